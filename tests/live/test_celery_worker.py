"""A real Celery worker executes what the template renders."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from beatd.core.entry import entry_from_spec
from tests.support.celery_worker import CeleryWorker
from tests.support.messages import messages_of
from tests.support.servers import RedisServer

SLOT_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z
ANSWER_TIMEOUT = 30


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryWorker]:
    """A worker of examples/celery_app on the queues ``celery`` and ``reports``."""
    log = tmp_path_factory.mktemp("celery") / "worker.log"
    worker = CeleryWorker(redis_server.url, log, queues=("celery", "reports"))
    worker.start()
    yield worker
    worker.close()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


def push(client: redis.Redis, name: str, spec: dict[str, Any], slot_ms: int = SLOT_MS) -> str:
    """Renders the message of one slot and pushes it as the fire script does; gives the task id."""
    messages = messages_of(entry_from_spec(name, {"every": "5s", **spec}))
    task_id = str(uuid.uuid4())
    client.lpush(messages.queue_key, messages.render(task_id, slot_ms, str(uuid.uuid4())))
    return task_id


def result_of(worker: CeleryWorker, task_id: str) -> Any:
    return worker.app.AsyncResult(task_id).get(timeout=ANSWER_TIMEOUT)


@pytest.mark.parametrize(
    "spec, result",
    [
        ({"task": "tasks.add", "args": [2, 3.5]}, 5.5),
        ({"task": "tasks.greet", "args": ["Zoë"]}, "Hello, Zoë!"),
        ({"task": "tasks.greet", "kwargs": {"name": "世界 🌍", "greeting": "Grüße"}}, "Grüße, 世界 🌍!"),
        ({"task": "tasks.greet", "args": ["'\"\\\u2028"], "kwargs": {"greeting": ""}}, ", '\"\\\u2028!"),
        ({"task": "tasks.add", "args": [2**64, 1]}, 2**64 + 1),
        ({"task": "tasks.add", "args": [1, 1], "queue": "reports"}, 2),
        ({"task": "tasks.add", "args": [1, 1], "options": {"priority": 9}}, 2),
        ({"task": "tasks.add", "args": [1, 1], "options": {"time_limit": "1m", "soft_time_limit": 30}}, 2),
        ({"task": "tasks.add", "args": [1, 1], "options": {"shadow": "sum", "headers": {"team": "growth"}}}, 2),
    ],
)
def test_a_worker_executes_the_message(
    worker: CeleryWorker, client: redis.Redis, spec: dict[str, Any], result: object
) -> None:
    assert result_of(worker, push(client, "live", spec)) == result


def test_a_task_sees_its_entry_and_its_slot(worker: CeleryWorker, client: redis.Redis) -> None:
    task_id = push(client, "nightly ✓", {"task": "tasks.heartbeat"}, SLOT_MS + 396)

    assert result_of(worker, task_id) == {"entry": "nightly ✓", "slot": "2026-11-20T09:00:00.396Z"}


def test_a_countdown_counts_from_the_slot(worker: CeleryWorker, client: redis.Redis) -> None:
    task_id = push(client, "later", {"task": "tasks.add", "args": [1, 1], "options": {"countdown": "1h"}})

    # The slot lies long ago, and so does the hour after it.
    assert result_of(worker, task_id) == 2


def test_a_worker_discards_what_has_expired(worker: CeleryWorker, client: redis.Redis) -> None:
    spec = {"task": "tasks.add", "args": [1, 1], "options": {"expires": 60}}
    expired = push(client, "expired", spec, slot_ms=0)

    assert result_of(worker, push(client, "next", {"task": "tasks.add", "args": [1, 1]})) == 2
    assert worker.app.AsyncResult(expired).state == "REVOKED"


def test_ignore_result_leaves_no_result(worker: CeleryWorker, client: redis.Redis) -> None:
    ignored = push(client, "quiet", {"task": "tasks.add", "args": [1, 1], "options": {"ignore_result": True}})

    assert result_of(worker, push(client, "next", {"task": "tasks.add", "args": [1, 1]})) == 2
    assert worker.app.AsyncResult(ignored).state == "PENDING"
    assert f"Task tasks.add[{ignored}] succeeded" in worker.log


def test_the_most_urgent_message_is_executed_first(redis_server: RedisServer, tmp_path: Path) -> None:
    worker = CeleryWorker(redis_server.url, tmp_path / "worker.log", queues=("urgency",))
    with redis_server.client() as client:
        # 0 is the most urgent; pushed in the order that a queue without priorities would keep.
        pushed = [
            push(
                client,
                f"p{priority}",
                {"task": "tasks.heartbeat", "queue": "urgency", "options": {"priority": priority}},
            )
            for priority in (9, 6, 3, 0)
        ]
    worker.start()
    try:
        done = [result_of(worker, task_id)["entry"] for task_id in pushed]
        assert sorted(done, key=lambda entry: worker.log.index(f"entry={entry} ")) == ["p0", "p3", "p6", "p9"]
    finally:
        worker.close()


def test_a_message_that_is_taken_leaves_nothing_in_the_queue(worker: CeleryWorker, client: redis.Redis) -> None:
    task_id = push(client, "taken", {"task": "tasks.add", "args": [1, 1], "options": {"priority": 6}})

    assert result_of(worker, task_id) == 2
    stored = json.loads(client.get(f"celery-task-meta-{task_id}") or b"{}")
    assert stored["status"] == "SUCCESS"
    assert client.llen("celery\x06\x166") == 0
