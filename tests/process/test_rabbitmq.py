"""The daemon with a real RabbitMQ: outages, missing queues, deaths at each step. At least once, each with one id."""

import json
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
import redis

from beatd.client.blocking import Client
from beatd.core.intent import MOST_OF_ONE_BAD_QUEUE
from tests.support.proxy import Behaviour, Proxy
from tests.support.rabbit import RabbitServer
from tests.support.scenes import FAST, StartDaemon, T, beatd, fast_entries, put, wait_until
from tests.support.servers import RedisServer

Declare = Callable[..., str]
HOURLY: Final = {"task": "t.t", "every": "1h"}


class Taken:
    """What was on a queue, by (entry, slot): the ids that came, each as often as it did."""

    def __init__(self, rabbit: RabbitServer, queue: str) -> None:
        self._rabbit = rabbit
        self._queue = queue
        self.ids: dict[tuple[str, str], Counter[str]] = {}

    def take(self) -> int:
        """Takes all there is; how many different slots have come so far."""
        for message in self._rabbit.take_all(self._queue):
            key = message.headers["periodic_task_name"], message.headers["beatd_slot"]
            self.ids.setdefault(key, Counter())[message.headers["id"]] += 1
        return len(self.ids)

    @property
    def repeats(self) -> int:
        """Messages beyond one a slot."""
        return sum(sum(found.values()) - 1 for found in self.ids.values())

    def check(self, client: redis.Redis) -> None:
        """All slots that were fired by the history are there, each under one id."""
        assert all(len(found) == 1 for found in self.ids.values()), "a repeat under another id"
        kept = [_text(head).split("\x1f") for head in client.hgetall(f"{T}:ob").values()]
        waiting = {(fields[0], _instant(fields[1])) for fields in kept}
        assert set(fired(client)) <= set(self.ids) | waiting, "decided and lost"


def fired(client: redis.Redis) -> list[tuple[str, str]]:
    """Entry and slot of every fire of the history."""
    found = []
    for row in rows(client, "hist"):
        for piece in row.get("fires", "").split("\x1e"):
            name, _, slots = piece.partition("\x1f")
            found += [(name, _instant(slot)) for slot in slots.split(",") if slot]
    return found


def rows(client: redis.Redis, stream: str) -> list[dict[str, str]]:
    """What a history holds."""
    found: Any = client.xrange(f"{T}:{stream}")
    return [{_text(key): _text(value) for key, value in fields.items()} for _, fields in found]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _instant(slot: str) -> str:
    from beatd.formats._instants import rfc3339  # noqa: PLC0415  # as the message's header has it

    return rfc3339(int(slot))


@pytest.fixture
def queue(rabbit_server: RabbitServer) -> Iterator[Declare]:
    """Declares a queue as a worker does, under a name of its own."""
    names: list[str] = []

    def declare(name: str = "") -> str:
        names.append(name or f"q-{uuid.uuid4().hex[:8]}")
        with rabbit_server.channel() as channel:
            channel.queue_declare(names[-1], durable=True, auto_delete=False)
        return names[-1]

    yield declare
    with rabbit_server.channel() as channel:
        for name in names:
            channel.queue_delete(name)


def config(url: str, entries: dict[str, Any]) -> dict[str, Any]:
    return {"broker": url, "schedules": entries}


def held(client: redis.Redis) -> int:
    return int(client.hlen(f"{T}:ob"))


def emptied(client: redis.Redis) -> bool:
    return held(client) == 0


def waiting(client: redis.Redis) -> set[str]:
    """Task ids of what lies in the outbox."""
    heads: Any = client.hgetall(f"{T}:ob")
    return {_text(head).split("\x1f")[2] for head in heads.values()}


def arrived(taken: Taken) -> set[str]:
    """Task ids of what was on the queue so far."""
    taken.take()
    return {task_id for found in taken.ids.values() for task_id in found}


def by(proxy: Proxy, rabbit: RabbitServer) -> str:
    """The node's URL by way of a proxy."""
    return rabbit.url.replace(f":{rabbit.port}/", f":{proxy.port}/")


def test_what_is_fired_is_on_its_queue_once_and_leaves_nothing_behind(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    taken = Taken(rabbit_server, queue())
    daemon = start_daemon(server.url, config=config(rabbit_server.url, fast_entries(10, queue=taken._queue)))
    daemon.wait_for("entry_fired", count=40)
    wait_until(lambda: emptied(client))
    assert daemon.stop() == 0
    assert taken.take() >= 40
    taken.check(client)
    assert taken.repeats == 0


def test_a_broker_that_was_away_at_due_time_gets_every_slot_that_the_policy_keeps(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    taken = Taken(rabbit_server, queue())
    with Proxy(rabbit_server.port) as proxy:
        daemon = start_daemon(server.url, config=config(by(proxy, rabbit_server), fast_entries(3, queue=taken._queue)))
        daemon.wait_for("entry_fired", count=5)
        proxy.behaviour = Behaviour(refusing=True)
        proxy.cut()
        down = daemon.wait_for("broker_down")
        wait_until(lambda: max(client.zcount(f"{T}:due", 0, f"({int(_now(client)) - 3000}"), 0) == 3)
        assert held(client) <= 3  # nothing is decided while it is away
        assert rabbit_server.url.split(":")[2].split("@")[0] not in down.line  # the password
        proxy.behaviour = Behaviour()
        daemon.wait_for("broker_up")
        before = len(daemon.events("entry_fired")) + len(daemon.events("entries_fired"))
        wait_until(lambda: len(daemon.events("entry_fired")) + len(daemon.events("entries_fired")) > before + 5)
        wait_until(lambda: emptied(client))
        late = max(int(event.fields["late_ms"]) for event in daemon.events("entry_fired"))
        assert late >= 2500
        assert daemon.stop() == 0
    taken.take()
    taken.check(client)
    slots = sorted(datetime.fromisoformat(slot) for name, slot in taken.ids if name == "e0")
    assert len(slots) > 15
    assert {later - earlier for earlier, later in pairwise(slots)} == {timedelta(milliseconds=200)}  # none is missing
    assert not [row for row in rows(client, "skip") if "missed" in row.get("skips", "")]


def _now(client: redis.Redis) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_a_missing_queue_is_told_at_once_blocks_its_entries_and_comes_back_with_the_queue(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    good, missing = Taken(rabbit_server, queue()), f"missing-{uuid.uuid4().hex[:8]}"
    entries = fast_entries(2, queue=good._queue)
    entries |= {f"lost-{n}": {**FAST, "every": "1s", "queue": missing, "fast": False} for n in range(150)}
    daemon = start_daemon(server.url, config=config(rabbit_server.url, entries))
    told = daemon.wait_for("message_returned", timeout=10)
    assert (told.fields["queue"], told.fields["result"]) == (missing, "returned")
    daemon.wait_for("entry_skipped", reason="blocked", queue=missing)
    wait_until(lambda: int(client.zcard(f"{T}:blocked")) >= 100)
    assert held(client) <= MOST_OF_ONE_BAD_QUEUE + 5
    before = good.take()
    wait_until(lambda: good.take() >= before + 20)
    lost = Taken(rabbit_server, queue(missing))
    wait_until(lambda: lost.take() > 0 and len({name for name, _ in lost.ids}) == 150, timeout=60)
    wait_until(lambda: int(client.zcard(f"{T}:blocked")) == 0)
    assert daemon.stop() == 0
    lost.take()
    good.take()
    assert lost.repeats == good.repeats == 0


@pytest.mark.parametrize("asked", [("trigger",), ("backfill", "--from", "3h", "--yes")])
def test_what_was_asked_for_and_waits_for_its_queue_is_told(
    server: RedisServer, rabbit_server: RabbitServer, start_daemon: StartDaemon, queue: Declare, asked: tuple[str, ...]
) -> None:
    hourly = {"task": "t", "every": "1h"}
    entries = {"lost": {**hourly, "queue": f"missing-{uuid.uuid4().hex[:8]}"}, "well": {**hourly, "queue": queue()}}
    start_daemon(server.url, config=config(rabbit_server.url, entries)).wait_for("config_reloaded")
    done = beatd(asked[0], "well", *asked[1:], "--redis", server.url)
    assert (done.returncode, "for the broker" in done.stderr) == (0, False), done.stderr
    done = beatd(asked[0], "lost", *asked[1:], "--redis", server.url)
    assert done.returncode == 0, done.stderr
    assert "for the broker (beatd outbox)" in done.stderr.splitlines()[-1]


def test_what_one_entry_does_wrong_holds_up_no_other_of_its_queue(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    taken = Taken(rabbit_server, queue())
    wrong = {
        "unsayable": {**FAST, "every": "100ms", "options": {"headers": {"k" * 300: 1}}},
        "not-taken": {**FAST, "options": {"headers": {"CC": "no list"}}},
        "no-exchange": {**FAST, "every": "100ms", "options": {"exchange": "missing", "routing_key": "k"}},
    }
    entries = fast_entries(2, queue=taken._queue) | {name: {**e, "queue": taken._queue} for name, e in wrong.items()}
    daemon = start_daemon(server.url, config=config(rabbit_server.url, entries))
    daemon.wait_for("entry_skipped", reason="undeliverable", entry="unsayable", count=10)
    daemon.wait_for("entry_skipped", reason="undeliverable", entry="not-taken")
    daemon.wait_for("entry_skipped", reason="blocked", entry="no-exchange", queue="missing/k")
    before = taken.take()
    wait_until(lambda: taken.take() >= before + 20)
    assert client.zmscore(f"{T}:blocked", ["e0", "e1"]) == [None, None]
    assert "can't be sent" in daemon.events("entry_skipped", entry="unsayable")[0].fields["error"]
    daemon.write(
        config(rabbit_server.url, fast_entries(2, queue=taken._queue) | {"unsayable": {**FAST, "queue": taken._queue}})
    )
    daemon.send(signal.SIGHUP)
    wait_until(lambda: taken.take() > 0 and any(name == "unsayable" for name, _ in taken.ids))
    assert daemon.stop() == 0


def test_a_node_that_restarts_in_a_storm_loses_nothing_and_repeats_have_the_same_id(
    server: RedisServer,
    client: redis.Redis,
    store: Client,
    rabbit_server: RabbitServer,
    queue: Declare,
    start_daemon: StartDaemon,
) -> None:
    count = 3_000
    taken = Taken(rabbit_server, queue())
    daemon = start_daemon(server.url, config={"broker": rabbit_server.url, "schedules": {"idle": HOURLY}})
    daemon.wait_for("broker_up") if daemon.events("broker_down") else daemon.wait_for("leader_acquired")
    for start in range(0, count, 500):
        put(store, {f"s{n}": {**HOURLY, "queue": taken._queue} for n in range(start, start + 500)})
    wait_until(lambda: int(client.zcount(f"{T}:due", 0, "+inf")) > count)
    moment = _now(client) // 1000 * 1000
    scores: Any = client.zrange(f"{T}:due", 0, -1, withscores=True)
    owed = {name: score - 3_600_000 for name, score in scores if _text(name).startswith("s")}
    client.zadd(f"{T}:due", owed)  # the slot of an hour ago: each is owed, and is the newest missed one
    wait_until(lambda: int(client.zcount(f"{T}:due", 0, moment)) < count - 500)
    rabbit_server.kill()
    rabbit_server.start()
    wait_until(lambda: int(client.zcount(f"{T}:due", 0, moment)) == 0 and emptied(client), timeout=60)
    assert daemon.stop() == 0
    taken.take()
    taken.check(client)
    assert len({name for name, _ in taken.ids}) == count


@pytest.mark.parametrize("step", ["before it is published", "before its confirm", "before it is taken out"])
def test_killed_at_any_step_nothing_is_lost_and_repeats_have_the_same_id(
    step: str,
    server: RedisServer,
    client: redis.Redis,
    rabbit_server: RabbitServer,
    queue: Declare,
    start_daemon: StartDaemon,
) -> None:
    taken = Taken(rabbit_server, queue())
    with Proxy(rabbit_server.port) as to_broker, Proxy(server.port) as to_redis:
        setup = config(by(to_broker, rabbit_server), fast_entries(5, queue=taken._queue))
        daemon = start_daemon(to_redis.url, config=setup, lease_ttl="6s")
        daemon.wait_for("entry_fired", count=10)
        if step == "before it is published":
            to_broker.lose("requests")
            wait_until(lambda: held(client) > 0)
        elif step == "before its confirm":
            to_broker.hold("replies")
            wait_until(lambda: bool(waiting(client) & arrived(taken)))
        else:
            seen = len(daemon.events("entry_fired"))
            to_redis.behaviour = Behaviour(slowest=0.2)
            daemon.wait_for("entry_fired", count=seen + 1)
        daemon.kill()
        to_broker.let_pass("replies")
        to_redis.behaviour = Behaviour()
        owed = held(client)
        again = start_daemon(to_redis.url, config=setup)
        again.wait_for("entry_fired", count=10)
        wait_until(lambda: emptied(client))
        assert again.stop() == 0
    taken.take()
    taken.check(client)
    if step == "before its confirm":
        assert taken.repeats >= 1
    assert taken.repeats <= owed + 5


def test_another_broker_s_messages_are_told_of_and_sent_nowhere_else(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    taken, missing = Taken(rabbit_server, queue()), f"missing-{uuid.uuid4().hex[:8]}"
    entries = {**fast_entries(1, queue=taken._queue), "lost": {**FAST, "every": "1s", "fast": False, "queue": missing}}
    first = start_daemon(server.url, config=config(rabbit_server.url, entries))
    first.wait_for("message_returned")
    assert first.stop() == 0
    first.wait_for_line("broker: amqp://")
    left = client.hgetall(f"{T}:ob")
    assert left
    lost = Taken(rabbit_server, queue(missing))
    with Proxy(rabbit_server.port) as proxy:  # another port: another broker, as far as anybody can tell
        second = start_daemon(server.url, config=config(by(proxy, rabbit_server), entries))
        told = second.wait_for("backlog", reason="outbox")
        assert "another broker" in told.line
        second.wait_for("entry_fired", entry="lost", count=2)
        assert second.stop() == 0
    # What the second one decided in its last moment may wait for its own broker.
    assert left.items() <= client.hgetall(f"{T}:ob").items()
    third = start_daemon(server.url, config={"schedules": entries})  # and with our Redis as the broker
    third.wait_for("backlog", reason="outbox")
    assert third.stop() == 0
    assert left.items() <= client.hgetall(f"{T}:ob").items()
    fourth = start_daemon(server.url, config=config(rabbit_server.url, entries))  # back where they belong
    wait_until(lambda: left.keys().isdisjoint(client.hkeys(f"{T}:ob")))
    assert fourth.stop() == 0
    lost.take()
    lost.take()
    assert lost.repeats == 0


@pytest.mark.parametrize("command", [("rm", "lost", "--yes"), ("pause", "lost")])
def test_rm_and_pause_take_back_what_waits(
    command: tuple[str, ...],
    server: RedisServer,
    client: redis.Redis,
    store: Client,
    rabbit_server: RabbitServer,
    queue: Declare,
    start_daemon: StartDaemon,
) -> None:
    missing = f"missing-{uuid.uuid4().hex[:8]}"
    daemon = start_daemon(server.url, config={"broker": rabbit_server.url, "schedules": {"idle": HOURLY}})
    daemon.wait_for("leader_acquired")
    put(store, {"lost": {**FAST, "every": "1s", "fast": False, "queue": missing}})
    daemon.wait_for("message_returned")
    done = beatd(*command, "--redis", server.url)
    assert done.returncode == 0, done.stderr
    assert emptied(client)
    lost = Taken(rabbit_server, queue(missing))
    put(store, {"after": {**FAST, "queue": missing}})
    daemon.wait_for("entry_fired", entry="after", count=3)
    assert daemon.stop() == 0
    lost.take()
    assert {name for name, _ in lost.ids} == {"after"}
    skips = [row.get("skips", "") for row in rows(client, "skip")]
    assert any(row.startswith("lost") and ("removed" in row or "paused" in row) for row in skips)


def test_once_ends_when_the_broker_has_all_and_with_1_where_it_takes_nothing(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    taken = Taken(rabbit_server, queue())
    setup = config(rabbit_server.url, {"due": {**FAST, "queue": taken._queue}})
    daemon = start_daemon(server.url, config=setup, lease_ttl="1s", arguments=("--once",))
    assert daemon.wait(20) == 0
    assert taken.take() >= 1
    assert emptied(client)
    gone = config(rabbit_server.url, {"due": {**FAST, "queue": f"missing-{uuid.uuid4().hex[:8]}"}})
    daemon = start_daemon(server.url, config=gone, lease_ttl="1s", arguments=("--once",))
    assert daemon.wait(30) == 1


def test_once_ends_with_1_where_one_queue_takes_nothing_and_others_do(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    gone = f"missing-{uuid.uuid4().hex[:8]}"
    setup = config(rabbit_server.url, {"lost": {**FAST, "queue": gone}, "well": {**FAST, "queue": queue()}})
    daemon = start_daemon(server.url, config=setup, lease_ttl="1s", arguments=("--once",))
    assert daemon.wait(30) == 1
    assert daemon.wait_for("stopped").fields["reason"] == "queues of the broker take no messages"


def test_ctrl_c_in_the_middle_of_a_storm_leaves_the_rest_to_the_successor(
    server: RedisServer, client: redis.Redis, rabbit_server: RabbitServer, queue: Declare, start_daemon: StartDaemon
) -> None:
    taken = Taken(rabbit_server, queue())
    with Proxy(rabbit_server.port, behaviour=Behaviour(slowest=0.05)) as proxy:
        setup = config(by(proxy, rabbit_server), fast_entries(20, queue=taken._queue))
        first = start_daemon(server.url, config=setup)
        first.wait_for("entry_fired", count=20)
        second = start_daemon(server.url, config=setup)
        second.wait_for("started")
        assert first.stop(signal.SIGINT) == 130
        second.wait_for("entry_fired", count=20)
        assert second.stop() == 0
    taken.take()
    taken.check(client)
    assert json.dumps(sorted({len(found) for found in taken.ids.values()})) == "[1]"
