"""The whole way: `beatd run` sends, a real Celery worker executes, and the id of a result follows from its slot."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from beatd.core.fire import TaskIds
from beatd.core.schedules import SCHEDULE_KEYS, parse_schedule
from beatd.formats._holes import Fire
from tests.support.celery_worker import CeleryWorker
from tests.support.daemon import Daemon
from tests.support.servers import RedisServer

ANSWER_TIMEOUT = 30
CHAIN = {
    "subtask_type": "chain",
    "kwargs": {"tasks": [{"task": "tasks.add", "args": [1, 2]}, {"task": "tasks.add", "args": [10]}]},
}
ENTRIES: dict[str, dict[str, Any]] = {
    "interval": {"task": "tasks.add", "every": "1s", "args": [2, 3.5]},
    "cron with seconds": {"task": "tasks.greet", "cron": "*/2 * * * * *", "args": ["Zoë"]},
    "每秒 / Grüße 🌍": {
        "task": "tasks.greet",
        "cron": "* * * * * *",
        "timezone": "Asia/Kathmandu",
        "kwargs": {"name": "世界 🌍", "greeting": "Grüße"},
    },
    "urgent": {"task": "tasks.add", "every": "500ms", "fast": True, "args": [1, 1], "options": {"priority": 6}},
    "elsewhere": {"task": "tasks.add", "every": "1s", "args": [40, 2], "queue": "reports"},
    "jittered": {"task": "tasks.heartbeat", "every": "2s", "jitter": "2s"},
    "big": {"task": "tasks.add", "every": "1s", "args": [2**64, 1]},
    "packed": {"task": "tasks.greet", "every": "1s", "args": ["x" * 300], "options": {"compression": "bzip2"}},
    "named": {"task": "tasks.greet", "every": "1s", "args": ["{{ beatd.entry }}"]},
    "chained": {"signature": CHAIN, "every": "1s"},
}
RESULTS: dict[str, Any] = {
    "interval": 5.5,
    "cron with seconds": "Hello, Zoë!",
    "每秒 / Grüße 🌍": "Grüße, 世界 🌍!",
    "urgent": 2,
    "elsewhere": 42,
    "big": 2**64 + 1,
    "packed": f"Hello, {'x' * 300}!",
    "named": "Hello, named!",
    "chained": 3,
}


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryWorker]:
    with redis_server.client() as client:
        client.flushall()
    log = tmp_path_factory.mktemp("celery") / "worker.log"
    worker = CeleryWorker(redis_server.url, log, queues=("celery", "reports"))
    worker.start()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def started_at(
    worker: CeleryWorker, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """A daemon with these entries; gives an instant (UTC ms) from which on it has fired all that is due."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), redis_server.url, config={"schedules": ENTRIES})
    daemon.start()
    daemon.wait_for("config_reloaded")
    daemon.wait_for("entry_fired")
    with redis_server.client() as client:
        seconds, micros = client.time()
    yield seconds * 1000 + micros // 1000
    daemon.close()


def slots(entry: str, after: int, count: int) -> list[int]:
    spec = {key: value for key, value in ENTRIES[entry].items() if key in SCHEDULE_KEYS}
    schedule, found = parse_schedule(spec, name=entry), []
    for _ in range(count):
        slot = schedule.next_ms(after)
        assert slot is not None
        found.append(slot)
        after = slot
    return found


@pytest.mark.parametrize("entry", RESULTS)
def test_a_worker_executes_each_slot_under_the_id_that_follows_from_it(
    entry: str, worker: CeleryWorker, started_at: int
) -> None:
    for slot in slots(entry, started_at, 3):
        task_id = TaskIds("default").of(entry, slot)
        assert worker.app.AsyncResult(task_id).get(timeout=ANSWER_TIMEOUT) == RESULTS[entry]


def test_a_task_sees_its_slot_and_not_the_moment_at_which_jitter_sent_it(worker: CeleryWorker, started_at: int) -> None:
    slot = slots("jittered", started_at, 1)[0]
    result = worker.app.AsyncResult(TaskIds("default").of("jittered", slot)).get(timeout=ANSWER_TIMEOUT)
    text = datetime.fromtimestamp(slot / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert result == {"entry": "jittered", "slot": text}


def test_a_chain_goes_on_under_ids_that_follow_from_its_slot(worker: CeleryWorker, started_at: int) -> None:
    for slot in slots("chained", started_at, 3):
        first = Fire("chained", slot, TaskIds("default").of("chained", slot))
        assert worker.app.AsyncResult(first.id_of("1")).get(timeout=ANSWER_TIMEOUT) == 13


def test_each_result_was_stored_once(worker: CeleryWorker, started_at: int, redis_server: RedisServer) -> None:
    """The worker's own log is the witness: no id was received twice."""
    received = [line.split("[")[-1].split("]")[0] for line in worker.log.splitlines() if " received" in line]
    assert len(received) > 10
    assert len(received) == len(set(received))


@pytest.mark.nightly
def test_a_cron_of_five_fields_is_executed_at_the_next_minute(
    worker: CeleryWorker, redis_server: RedisServer, tmp_path: Path
) -> None:
    minutely = {"task": "tasks.add", "cron": "* * * * *", "args": [1, 2]}
    config = {"namespace": "minutes", "schedules": {"minutely": minutely}}
    daemon = Daemon(tmp_path, redis_server.url, config=config)
    try:
        daemon.start().wait_for("config_reloaded")
        with redis_server.client() as client:
            slot = (client.time()[0] // 60 + 1) * 60_000
        result = worker.app.AsyncResult(TaskIds("minutes").of("minutely", slot))
        assert result.get(timeout=90) == 3
    finally:
        daemon.close()
