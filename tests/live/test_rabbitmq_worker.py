"""The whole way over RabbitMQ: `beatd run` sends, a real Celery worker that declared its queues executes."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain, chord, group, signature

from tests.support.celery_worker import CeleryWorker
from tests.support.daemon import Daemon
from tests.support.rabbit import RabbitServer
from tests.support.scenes import T, wait_until
from tests.support.servers import RedisServer

FOLDER = Path(__file__).parents[1] / "support" / "canvas_app"
SEEN = "seen"
WAIT = 30
APP = Celery("tests", set_as_current=False)
QUEUES: Mapping[str, Mapping[str, Any]] = {
    "celery": {},
    "urgent": {"x-max-priority": 10},
    "safe": {"x-queue-type": "quorum"},
}


def s(name: str, *args: Any) -> Any:
    return signature(f"tasks.{name}", args=args, app=APP)


def echo(text: str, queue: str = "celery", **options: Any) -> dict[str, Any]:
    return {"task": "tasks.echo", "args": [text], "queue": queue, "options": options}


ENTRIES: dict[str, dict[str, Any]] = {
    "chain": {"signature": chain(s("add", 1, 2), s("add", 4))},
    "group": {"signature": group(s("add", 10), s("add", 20))},
    "chord": {"signature": chord([s("add", 100), s("add", 200)], s("total"))},
    "link": {"task": "tasks.add", "args": [1000], "options": {"link": s("add", 1)}},
    "link_error": {"task": "tasks.fail", "options": {"link_error": s("echo")}},
    "eta": echo("eta", countdown="12s"),
    "expired": echo("expired", countdown="11s", expires="10s"),
    "dropped": echo("dropped", expires="1s"),
    "low": echo("low", "urgent", priority=1),
    "high": echo("high", "urgent", priority=9),
    "quorum": echo("quorum", "safe"),
}
EXECUTED = 15


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client(socket_timeout=WAIT + 5) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def worker(
    redis_server: RedisServer,
    rabbit_server: RabbitServer,
    client: redis.Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CeleryWorker]:
    """Declares its queues and goes; a daemon sends each entry once; then it comes back and finds them all."""
    folder = tmp_path_factory.mktemp("over-rabbitmq")
    with rabbit_server.channel() as channel:  # so that no ping is sent to nowhere
        channel.queue_declare("celery", durable=True, auto_delete=False)
    worker = CeleryWorker(
        rabbit_server.url,
        folder / "worker.log",
        queues=tuple(QUEUES),
        folder=FOLDER,
        results=redis_server.url,
        arguments=QUEUES,
    )
    worker.start()
    worker.stop()
    entries = {name: {"every": "1s", "max_runs": 1, **json.loads(json.dumps(spec))} for name, spec in ENTRIES.items()}
    daemon = Daemon(
        folder / "daemon", redis_server.url, config={"broker": rabbit_server.url, "schedules": entries}
    ).start()
    try:
        daemon.wait_for("entry_fired")
        wait_until(lambda: client.zcard(f"{T}:due") == client.hlen(f"{T}:ob") == 0)
        assert daemon.stop() == 0
        assert not daemon.events("broker_down")
        assert not daemon.events("message_returned")
    finally:
        daemon.close()
    worker.start()
    yield worker
    worker.close()
    with rabbit_server.channel() as channel:
        for name in QUEUES:
            channel.queue_delete(name)


@pytest.fixture(scope="module")
def executed(worker: CeleryWorker, client: redis.Redis) -> list[dict[str, Any]]:
    """All executions in their order."""
    found: list[dict[str, Any]] = []
    for _ in range(EXECUTED):
        item = client.blpop([SEEN], timeout=WAIT)
        assert item is not None, f"{len(found)} of {EXECUTED} were executed: {found}\n{worker.log}"
        found.append(json.loads(item[1]))
    return found


def said(executed: list[dict[str, Any]], *texts: str) -> list[str]:
    """Which of these texts were echoed, in their order."""
    echoed = [each["result"][0][0] for each in executed if each["task"] == "tasks.echo"]
    return [text for text in echoed if text in texts]


def test_a_chain_a_group_a_chord_and_links_are_executed(executed: list[dict[str, Any]]) -> None:
    sums = sorted(each["result"] for each in executed if each["task"] in ("tasks.add", "tasks.total"))
    assert sums == [3, 7, 10, 20, 100, 200, 300, 1000, 1001]


def test_an_errback_hears_of_the_failure(executed: list[dict[str, Any]]) -> None:
    (failed,) = [each for each in executed if each["task"] == "tasks.fail"]
    assert said(executed, failed["id"]) == [failed["id"]]


def test_an_eta_is_waited_for(executed: list[dict[str, Any]]) -> None:
    (eta,) = [each for each in executed if each["eta"]]
    assert said([eta], "eta") == ["eta"]
    assert eta["at"] >= datetime.fromisoformat(eta["eta"]).timestamp() * 1000


def test_what_has_expired_is_revoked_or_never_leaves_the_broker(
    executed: list[dict[str, Any]], worker: CeleryWorker
) -> None:
    assert said(executed, "expired", "dropped") == []
    (revoked,) = re.findall(r"Discarding revoked task: tasks.echo\[([^\]]+)\]", worker.log)
    assert worker.app.AsyncResult(revoked).state == "REVOKED"


def test_the_most_urgent_message_of_a_queue_with_priorities_comes_first(executed: list[dict[str, Any]]) -> None:
    assert said(executed, "low", "high") == ["high", "low"]


def test_queues_that_the_worker_declared_in_its_own_way_are_no_conflict(
    executed: list[dict[str, Any]], worker: CeleryWorker
) -> None:
    assert said(executed, "quorum") == ["quorum"]
    assert "PRECONDITION_FAILED" not in worker.log
