"""Real workers run what follows a task: chains, groups, chords, links; and read every form of a message."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain, chord, group, signature

from beatd.core.entry import entry_from_spec
from beatd.formats.celery import readable
from tests.support.celery_worker import CeleryWorker
from tests.support.messages import messages_of
from tests.support.servers import RedisServer

FOLDER = Path(__file__).parents[1] / "support" / "canvas_app"
SLOT_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z
SEEN = "seen"
WAIT = 30
APP = Celery("tests", set_as_current=False)


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryWorker]:
    """A worker of an application that writes down what it executes."""
    log = tmp_path_factory.mktemp("canvas") / "worker.log"
    worker = CeleryWorker(redis_server.url, log, queues=("celery", "reports"), folder=FOLDER)
    worker.start()
    yield worker
    worker.close()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        client.delete(SEEN)
        yield client


def s(name: str, *args: Any, **options: Any) -> Any:
    return signature(f"tasks.{name}", args=args, options=options, app=APP)


def push(client: redis.Redis, spec: dict[str, Any], slot_ms: int = SLOT_MS, task_id: str = "") -> dict[str, Any]:
    """Renders the message of one slot and pushes it as the fire script does; gives it decoded."""
    messages = messages_of(entry_from_spec("live", {"every": "5s", **json.loads(json.dumps(spec))}))
    message = messages.render(task_id or str(uuid.uuid4()), slot_ms, str(uuid.uuid4()))
    client.lpush(messages.queue_key, message)
    decoded: dict[str, Any] = json.loads(message)
    return decoded


def seen(client: redis.Redis, count: int) -> list[dict[str, Any]]:
    """The next executions, in their order; a read that waits ends after half a minute."""
    found: list[dict[str, Any]] = []
    for _ in range(count):
        item = client.blpop([SEEN], timeout=WAIT)
        assert item is not None, f"{len(found)} of {count} were executed: {found}"
        found.append(json.loads(item[1]))
    return found


def none_more(worker: CeleryWorker, client: redis.Redis) -> None:
    """Nothing else is executed: whatever was on its way comes before a last task."""
    push(client, {"task": "tasks.echo", "args": ["last"], "options": {"priority": 9}})
    assert [each["result"] for each in seen(client, 1)] == [[["last"], {}]]


def results(found: list[dict[str, Any]]) -> list[Any]:
    return [each["result"] for each in found]


@pytest.mark.parametrize(
    "canvas, expected",
    [
        (chain(s("add", 1, 2), s("add", 4), s("add", 8)), [3, 7, 15]),
        (chain(s("add", 1), chain(s("add", 2), chain(s("add", 4), s("add", 8)))), [1, 3, 7, 15]),
        (chain(s("add", 1), group(s("add", 10), s("add", 20)), s("total")), [1, 11, 21, 32]),
        (chain(s("add", 1), group(s("add", 10), s("add", 20)), s("total"), s("add", 100)), [1, 11, 21, 32, 132]),
        (chain(s("add", 1), group(s("add", 10), s("add", 20))), [1, 11, 21]),
        (group(s("add", 1), s("add", 2), s("add", 3)), [1, 2, 3]),
        (group(s("add", 1), chain(s("add", 2), s("add", 100))), [1, 2, 102]),
        (group(s("add", 1), chord([s("add", 2), s("add", 4)], s("total"))), [1, 2, 4, 6]),
        (chord([s("add", 1), s("add", 2)], s("total")), [1, 2, 3]),
        (chord([s("add", 1), chain(s("add", 2), s("add", 4))], s("total")), [1, 2, 6, 7]),
        (chord([s("add", 1), s("add", 2)], chain(s("total"), s("add", 4), s("add", 8))), [1, 2, 3, 7, 15]),
        (chain(group(s("add", 1), s("add", 2)), s("total"), s("add", 4)), [1, 2, 3, 7]),
        (chain(group(s("add", 1), s("add", 2)), s("total"), group(s("add", 4), s("add", 8))), [1, 2, 3, 7, 11]),
        (chain(chord([s("add", 1)], s("total")), chord([s("add", 2), s("add", 4)], s("total"))), [1, 1, 3, 5, 8]),
        (chord([s("add", 1), group(s("add", 2), s("add", 4))], s("total")), [1, 2, 4, 7]),
        (group(group(s("add", 1), s("add", 2)), s("add", 4)), [1, 2, 4]),
    ],
    ids=str,
)  # fmt: skip
def test_a_worker_runs_a_canvas(worker: CeleryWorker, client: redis.Redis, canvas: Any, expected: list[int]) -> None:
    message = push(client, {"signature": canvas})

    found = seen(client, len(expected))

    assert sorted(results(found)) == sorted(expected)
    assert {each["root"] for each in found} == {message["headers"]["id"]}
    assert {each["id"] for each in found} <= {message["headers"]["id"], *ids_of(readable(message))}
    none_more(worker, client)


def ids_of(value: Any) -> set[str]:
    """All ids inside a body."""
    if isinstance(value, list):
        return {found for inner in value for found in ids_of(inner)}
    if not isinstance(value, dict):
        return set()
    own = {value["task_id"]} if "task_id" in value else set()
    return own | {found for inner in value.values() for found in ids_of(inner)}


@pytest.mark.parametrize(
    "canvas, count",
    [
        (chain(s("add", 1), s("add", 2), chain(s("add", 4), s("add", 8))), 4),
        (chain(s("add", 1), group(s("add", 10), s("add", 20)), s("total")), 4),
        (group(s("add", 1), chain(s("add", 2), s("add", 100))), 3),
        (chord([s("add", 1), s("add", 2)], s("total")), 3),
        (s("add", 1, link=[s("add", 2)]), 2),
    ],
    ids=str,
)
def test_a_message_that_arrives_twice_runs_tasks_of_the_same_ids(
    worker: CeleryWorker, client: redis.Redis, canvas: Any, count: int
) -> None:
    task_id = str(uuid.uuid4())
    push(client, {"signature": canvas}, task_id=task_id)
    first = seen(client, count)
    push(client, {"signature": canvas}, task_id=task_id)
    second = seen(client, count)

    assert sorted((each["id"], each["result"]) for each in first) == sorted(
        (each["id"], each["result"]) for each in second
    )
    assert len({each["id"] for each in first}) == count
    none_more(worker, client)


def test_a_link_gets_the_result_and_an_errback_hears_of_a_failure(worker: CeleryWorker, client: redis.Redis) -> None:
    options = {"link": [s("add", 10), s("add", 20)], "link_error": s("echo")}
    push(client, {"task": "tasks.add", "args": [1, 2], "options": options})
    assert sorted(results(seen(client, 3))) == [3, 13, 23]

    failed = push(client, {"task": "tasks.fail", "options": options})
    [_, errback] = seen(client, 2)
    assert (errback["task"], errback["result"]) == ("tasks.echo", [[failed["headers"]["id"]], {}])
    none_more(worker, client)


def test_a_chain_as_an_option_runs_its_last_step_first(worker: CeleryWorker, client: redis.Redis) -> None:
    push(client, {"task": "tasks.add", "args": [1], "options": {"chain": [s("add", 4), s("add", 2)]}})

    assert results(seen(client, 3)) == [1, 3, 7]


def test_a_failed_step_ends_its_chain_and_calls_the_errback_of_the_chain(
    worker: CeleryWorker, client: redis.Redis
) -> None:
    canvas = chain(s("add", 1), s("fail"), s("add", 2))
    canvas.options["link_error"] = [s("echo")]
    push(client, {"signature": canvas})

    found = seen(client, 3)
    assert [each["task"] for each in found] == ["tasks.add", "tasks.fail", "tasks.echo"]
    assert found[2]["result"] == [[found[1]["id"]], {}]
    none_more(worker, client)


def test_the_link_of_a_chain_follows_its_last_step(worker: CeleryWorker, client: redis.Redis) -> None:
    canvas = chain(s("add", 1), s("add", 2), group(s("add", 4), s("add", 8)), s("total"))
    canvas.options["link"] = [s("add", 100)]
    push(client, {"signature": canvas})

    assert sorted(results(seen(client, 6))) == [1, 3, 7, 11, 18, 118]


def test_the_result_of_a_group_is_that_of_its_tasks(worker: CeleryWorker, client: redis.Redis) -> None:
    message = push(client, {"signature": group(s("add", 1), chain(s("add", 2), s("add", 100)))})

    stored = worker.app.AsyncResult(message["headers"]["id"]).get(timeout=WAIT)
    kept = [child[0][0] for child in stored[1]]
    assert [worker.app.AsyncResult(each).get(timeout=WAIT) for each in kept] == [1, 102]
    seen(client, 3)


@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack"])
@pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
def test_a_worker_reads_every_form_of_a_message(
    worker: CeleryWorker, client: redis.Redis, serializer: str, compression: str | None
) -> None:
    args, kwargs = [1, "Grüße 🌍 'x' #", None, [True, 2.5]], {"ключ": {"a": "2026-01-01", "b": "no"}, "long": "x" * 400}
    options = {"serializer": serializer, "compression": compression}
    message = push(client, {"task": "tasks.echo", "args": args, "kwargs": kwargs, "options": options})

    assert results(seen(client, 1)) == [[args, kwargs]]
    assert readable(message)[:2] == [args, kwargs]


@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack"])
def test_what_is_filled_in_reaches_the_task(worker: CeleryWorker, client: redis.Redis, serializer: str) -> None:
    args = ["{{ beatd.slot }}", "{{beatd.slot_ms}}", "{{ beatd.entry }}/{{ beatd.slot_ms }}", "{{ other }}", "{{"]
    kwargs = {"run": {"id": "{{ beatd.task_id }}", "unique": "{{ beatd.uuid }}"}}
    options = {"serializer": serializer, "compression": "zlib"}
    spec = {"task": "tasks.echo", "args": args, "kwargs": kwargs, "options": options}
    task_id = push(client, spec)["headers"]["id"]
    push(client, spec, task_id=task_id)

    [first, again] = results(seen(client, 2))
    assert first == again
    assert first[0] == ["2026-11-20T09:00:00.000Z", SLOT_MS, f"live/{SLOT_MS}", "{{ other }}", "{{"]
    assert first[1]["run"]["id"] == task_id
    assert uuid.UUID(first[1]["run"]["unique"]).version == 5
    assert first[1]["run"]["unique"] != task_id


def test_what_is_filled_in_reaches_each_task_of_a_canvas(worker: CeleryWorker, client: redis.Redis) -> None:
    canvas = chain(s("echo", "{{ beatd.slot }}"), s("echo", "{{ beatd.entry }}", 1))
    push(client, {"signature": canvas})

    [first, second] = results(seen(client, 2))
    assert first == [["2026-11-20T09:00:00.000Z"], {}]
    assert second == [[first, "live", 1], {}]


def test_stamps_reach_the_task(worker: CeleryWorker, client: redis.Redis) -> None:
    options = {"stamped_headers": ["team"], "team": "growth"}
    push(client, {"task": "tasks.add", "args": [1], "options": options})

    assert [each["stamps"] for each in seen(client, 1)] == [{"team": "growth"}]


def test_an_eta_is_waited_for(worker: CeleryWorker, client: redis.Redis) -> None:
    seconds, micros = client.time()
    now = seconds * 1000 + micros // 1000
    push(client, {"task": "tasks.add", "args": [1], "options": {"countdown": "1500ms"}}, slot_ms=now)
    push(client, {"task": "tasks.add", "args": [2]}, slot_ms=now)

    [soon, later] = seen(client, 2)
    assert (soon["result"], later["result"]) == (2, 1)
    assert later["at"] >= now + 1_500


def test_an_expired_chain_does_not_begin(worker: CeleryWorker, client: redis.Redis) -> None:
    canvas = chain(s("add", 1), s("add", 2))
    expired = push(client, {"signature": canvas, "options": {"expires": 60}}, slot_ms=0)

    none_more(worker, client)
    assert worker.app.AsyncResult(expired["headers"]["id"]).state == "REVOKED"


def test_an_exchange_of_another_name_reaches_the_queue(worker: CeleryWorker, client: redis.Redis) -> None:
    options = {"exchange": "topics", "exchange_type": "topic", "routing_key": "a.b"}
    push(client, {"task": "tasks.add", "args": [5], "queue": "reports", "options": options})

    assert results(seen(client, 1)) == [5]
