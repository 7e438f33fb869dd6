"""Triggers and backfills with a real daemon: pushed once, beside the timetable, and never after a pause or removal."""

import json
import random
import threading
import time
import uuid
from collections import Counter
from typing import Any, Final

import pytest
import redis

from beatd.client import steps
from beatd.client.blocking import Client
from beatd.core.fire import TaskIds
from beatd.core.requests import Request, Wanted, read_request
from beatd.store.requests import Asking, check_request, request_call
from tests.support.daemon import Fleet
from tests.support.scenes import FAST, StartDaemon, T, beatd, now_ms, put, wait_until
from tests.support.servers import RedisServer

HOURLY: Final[dict[str, Any]] = {"task": "t.t", "every": "1h", "anchor": "1970-01-01T00:30:00Z", "args": [1]}
HOUR: Final = 3_600_000
WHO: Final = '{"client":"test"}'


def ask(store: Client, wanted: Wanted, request_id: str | None = None, before: bytes = b"") -> str:
    asking = Asking(request_id or str(uuid.uuid4()), wanted, wanted.begins_at, before)
    [(codes, _)] = store.run(steps.ask(request_call(store.keys, [asking], WHO)))
    check_request([asking], codes)
    return asking.id


def request_of(client: redis.Redis, request_id: str) -> Request:
    value: Any = client.hget(f"{T}:req", request_id)
    found = read_request(request_id, value)
    assert found is not None
    return found


def ended(client: redis.Redis, request_id: str) -> Request:
    wait_until(lambda: request_of(client, request_id).state != "open")
    return request_of(client, request_id)


def messages(client: redis.Redis, queue: str = "celery") -> list[dict[str, Any]]:
    raw: Any = client.lrange(queue, 0, -1)
    return [json.loads(text) for text in reversed(raw)]


def headers(client: redis.Redis, queue: str = "celery") -> list[dict[str, Any]]:
    return [message["headers"] for message in messages(client, queue)]


def timetable(client: redis.Redis) -> list[Any]:
    return [
        client.zrange(f"{T}:due", 0, -1, withscores=True),
        *[client.hgetall(f"{T}:{kind}") for kind in ("out", "last", "left", "rev")],
    ]


def test_a_trigger_is_pushed_at_once_and_moves_nothing(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": {**HOURLY, "max_runs": 3, "options": {"headers": {"team": "x"}}}})
    daemon = start_daemon(server.url)
    daemon.wait_for("leader_acquired")
    wait_until(lambda: client.zcount(f"{T}:due", 0, "+inf") == 1)
    before = timetable(client)
    asked = now_ms(client)
    began = time.monotonic()
    request_id = ask(store, Wanted("trigger", "a", args=(2,), kwargs={"k": "v"}))
    assert ended(client, request_id).state == "done"
    assert time.monotonic() - began < 1.0
    (message,) = messages(client)
    said = message["headers"]
    assert (said["id"], said["beatd_cause"], said["team"]) == (request_id, "trigger", "x")
    assert (said["argsrepr"], said["kwargsrepr"]) == ("[2]", "{'k': 'v'}")
    assert asked <= slot_of(said) <= now_ms(client)
    assert timetable(client) == before
    daemon.wait_for("request_served", entry="a", cause="trigger", id=request_id, messages="1")


def slot_of(said: dict[str, Any]) -> int:
    from datetime import datetime  # noqa: PLC0415

    return round(datetime.fromisoformat(said["beatd_slot"]).timestamp() * 1000)


def test_the_commands_wait_for_the_push_and_say_what_came_of_it(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": HOURLY, "dead": {**HOURLY, "options": {"expires": "2020-01-01T00:00:00Z"}}})
    start_daemon(server.url).wait_for("leader_acquired")
    done = beatd("trigger", "a", "--redis", server.url)
    assert (done.returncode, done.stderr) == (0, "a: pushed\n")
    assert [h["id"] for h in headers(client)] == [done.stdout.strip()]
    dead = beatd("trigger", "dead", "--redis", server.url)
    assert dead.returncode == 5
    assert "was refused: expired" in dead.stderr
    filled = beatd("backfill", "a", "--from", "30h", "--yes", "--redis", server.url)
    assert (filled.returncode, filled.stderr) == (0, "a: pushed 30\n")
    again = beatd(
        "backfill", "a", "--from", "2026-01-01T00:00Z", "--to", "2026-01-01T09:00Z", "--yes", "--redis", server.url
    )
    assert (again.returncode, again.stderr) == (0, "a: pushed 9\n")
    assert len(headers(client)) == 40


def test_a_backfill_pushes_each_past_slot_once_with_its_own_task_id(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": {**HOURLY, "options": {"expires": "5m"}}})
    start_daemon(server.url).wait_for("leader_acquired")
    wait_until(lambda: client.zcount(f"{T}:due", 0, "+inf") == 1)
    before, now = timetable(client), now_ms(client)
    wanted = Wanted("backfill", "a", first=now - 500 * HOUR, last=now)
    request_id = ask(store, wanted, "b1")
    found = ended(client, request_id)
    assert (found.state, found.pushed) == ("done", 500)
    said = headers(client)
    ids = TaskIds("default")
    assert [h["id"] for h in said] == [ids.of("a", slot_of(h)) for h in said]
    slots = [slot_of(h) for h in said]
    assert slots == sorted(set(slots))
    assert len(slots) == 500
    assert {h["beatd_cause"] for h in said} == {"backfill"}
    assert {h["expires"] for h in said} == {None}, "what is long past would be dead on arrival"
    assert ask(store, wanted, "b1") == "b1"
    time.sleep(0.3)
    assert len(headers(client)) == 500
    assert timetable(client) == before


def test_what_the_timetable_still_owes_is_left_to_it(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": HOURLY})
    start_daemon(server.url).wait_for("leader_acquired")
    wait_until(lambda: client.zcount(f"{T}:due", 0, "+inf") == 1)
    now = now_ms(client)
    owed: Any = client.zscore(f"{T}:due", "a")
    found = ended(client, ask(store, Wanted("backfill", "a", first=now - 2 * HOUR, last=now + 5 * HOUR)))
    assert (found.state, found.pushed) == ("done", 2)
    assert "the timetable fires by itself" in found.why
    assert all(slot_of(h) < owed for h in headers(client))


@pytest.mark.parametrize("end", ["pause", "hold", "remove"])
def test_after_a_pause_or_a_removal_nothing_of_open_requests_is_pushed(
    end: str, client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    """P4: a marker pushed after the acknowledgement has nothing of the entry behind it."""
    start_daemon(server.url).wait_for("leader_acquired")
    names = [f"e{i}" for i in range(6)]
    put(store, {name: {**HOURLY, "every": "1m"} for name in names})
    pushed_at_all = 0
    for name in names:
        now = now_ms(client)
        backfill = ask(store, Wanted("backfill", name, first=now - 90 * HOUR, last=now, most=6_000))
        triggers = [ask(store, Wanted("trigger", name)) for _ in range(10)]
        wait_until(lambda key=backfill: request_of(client, key).pushed > 200)  # type: ignore[misc]
        if end == "remove":
            store.remove(name)
        else:
            store.pause(name, until=None if end == "pause" else "1h")
        client.lpush("celery", json.dumps({"headers": {"marker": name}}))
        found = request_of(client, backfill)
        assert (found.state, found.why) == ("withdrawn", {"remove": "removed"}.get(end, "paused"))
        assert {request_of(client, key).state for key in triggers} <= {"done", "withdrawn"}
        pushed_at_all += found.pushed
    time.sleep(0.3)
    seen: set[str] = set()
    for said in headers(client):
        if "marker" in said:
            seen.add(said["marker"])
        else:
            assert said["periodic_task_name"] not in seen
    assert seen == set(names)
    assert pushed_at_all > 200 * len(names)
    assert client.hlen(f"{T}:asked") == 0


def test_requests_go_on_with_the_definition_of_an_edit(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    start_daemon(server.url).wait_for("leader_acquired")
    every = {**HOURLY, "every": "1m", "anchor": "1970-01-01T00:00:00Z"}
    put(store, {"a": {**every, "args": [0]}})
    now = now_ms(client)
    request_id = ask(store, Wanted("backfill", "a", first=now - 50 * HOUR, last=now, most=10_000))
    for version in range(1, 12):
        put(store, {"a": {**every, "args": [version]}})
        client.lpush("celery", json.dumps({"headers": {"marker": version}}))
    assert ended(client, request_id).state == "done"
    behind = 0
    for said in headers(client):
        if "marker" in said:
            behind = said["marker"]
        else:
            assert int(said["argsrepr"][1:-1]) >= behind, "of an older definition than the one acknowledged"
    assert behind == 11
    assert request_of(client, request_id).pushed == 3_000


def test_requests_of_a_paused_entry_are_served_and_others_refused_with_a_reason(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": HOURLY, "dead": {**HOURLY, "options": {"expires": "2020-01-01T00:00:00Z"}}, "bad": HOURLY})
    daemon = start_daemon(server.url)
    daemon.wait_for("leader_acquired")
    store.pause("a")
    assert ended(client, ask(store, Wanted("trigger", "a"))).state == "done"
    dead = ended(client, ask(store, Wanted("trigger", "dead")))
    assert (dead.state, dead.why.partition(":")[0]) == ("refused", "expired")
    client.hset(f"{T}:def", "bad", '{"task":1}')
    client.hset(f"{T}:rev", "bad", "other.f")
    bad = ended(client, ask(store, Wanted("trigger", "bad")))
    assert bad.state == "refused"
    assert "schedule" in bad.why
    too_many = ended(client, ask(store, Wanted("backfill", "a", first=0, last=now_ms(client), most=150)))
    assert (too_many.state, too_many.pushed, too_many.why) == ("refused", 150, "there are more than 150 slots")
    assert len(headers(client)) == 151
    daemon.wait_for("request_refused", messages="150")


def test_a_queue_of_another_type_makes_a_request_wait_and_the_rest_go_on(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": {**HOURLY, "queue": "spoilt"}, "b": HOURLY})
    daemon = start_daemon(server.url)
    daemon.wait_for("leader_acquired")
    client.set("spoilt", "x")
    waits = ask(store, Wanted("trigger", "a"))
    assert ended(client, ask(store, Wanted("trigger", "b"))).state == "done"
    daemon.wait_for("entry_skipped", entry="a", reason="blocked")
    assert request_of(client, waits).state == "open"
    client.delete("spoilt")
    assert ended(client, waits).state == "done"
    assert len(headers(client, "spoilt")) == 1


def test_keys_of_requests_that_somebody_spoilt_stop_no_fire(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    put(store, {"a": {**FAST, "catchup": "none"}})
    client.set(f"{T}:asked", "x")
    client.set(f"{T}:req", "x")
    daemon = start_daemon(server.url)
    told = daemon.wait_for("backlog", reason="requests")
    assert told.fields["error"].startswith(f"{T}:asked holds a string")
    daemon.wait_for("backlog", reason="upkeep")
    count: Any = client.llen("celery")
    wait_until(lambda: client.llen("celery") > count + 5)
    client.delete(f"{T}:asked", f"{T}:req")
    assert ended(client, ask(store, Wanted("trigger", "a"))).state == "done"
    assert not daemon.events("lease_lost")


def test_a_rate_is_kept_to(client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon) -> None:
    put(store, {"a": HOURLY})
    start_daemon(server.url).wait_for("leader_acquired")
    now = now_ms(client)
    began = time.monotonic()
    paced = ask(store, Wanted("backfill", "a", first=now - 30 * HOUR, last=now, rate=20))
    assert ended(client, ask(store, Wanted("trigger", "a"))).state == "done"
    assert time.monotonic() - began < 1.0, "others don't wait for it"
    assert ended(client, paced).pushed == 30
    assert 0.9 < time.monotonic() - began < 4


def test_killed_leaders_push_no_slot_of_a_request_twice_and_lose_none(
    client: redis.Redis, store: Client, server: RedisServer, start_daemon: StartDaemon
) -> None:
    fleet = Fleet([start_daemon(server.url, lease_ttl="1s") for _ in range(2)], client)
    fleet.leader()
    put(store, {"a": {**HOURLY, "every": "1m"}, **{f"t{i}": HOURLY for i in range(20)}})
    now = now_ms(client)
    request_id = ask(store, Wanted("backfill", "a", first=now - 5_000 * 60_000 + 1, last=now, most=5_000, rate=2_000))
    stop = threading.Event()
    asked: list[str] = []

    def trigger() -> None:
        rng = random.Random(7)
        with Client(server.url) as other:
            while not stop.is_set():
                asked.append(ask(other, Wanted("trigger", f"t{rng.randrange(20)}")))
                time.sleep(0.005)

    thread = threading.Thread(target=trigger)
    thread.start()
    try:
        for _ in range(3):
            time.sleep(0.4)
            leader = fleet.leader()
            name = leader.name
            leader.kill()
            leader.start()
            wait_until(lambda gone=name: client.hget(f"{T}:lease", "host") != gone.encode())  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
    assert ended(client, request_id).state == "done"
    for key in asked:
        assert ended(client, key).state == "done"
    # At a full minute the timetable fires too.
    counts = Counter((h["beatd_cause"], h["id"]) for h in headers(client) if "beatd_cause" in h)
    assert max(counts.values()) == 1
    assert sorted(key for cause, key in counts if cause == "trigger") == sorted(asked)
    assert sum(1 for cause, _ in counts if cause == "backfill") == 5_000
