"""What other clients write into our keys by hand: the one entry suffers, it is shown, and the others fire."""

import json
import time
from typing import Any

import pytest
import redis

from beatd.client import entries as edits
from beatd.client.blocking import Client
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.core.overview import judged
from beatd.store.entries import Row
from beatd.store.overview import read_overview
from tests.support.scenes import FAST, OpenLedger, StartDaemon, T, beatd, now_ms, put, wait_until
from tests.support.servers import RedisServer

SLOW: dict[str, Any] = {"task": "t.t", "every": "1h"}


def state(store: Client, name: str) -> str:
    row: Row | None = store.row(name)
    return "absent" if row is None else row.state_at(store.now_ms())


def stuck(client: redis.Redis) -> list[tuple[bytes, float]]:
    """Negative scores, and moments more than three seconds in the past."""
    late: Any = client.zrangebyscore(f"{T}:due", "-inf", now_ms(client) - 3_000, withscores=True)
    return list(late)


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b"\x00",
    b"[" * 100_000,
    b'{"task": "t.t"}',
    b'{"task": "t.t", "every": "1x"}',
    b'{"task": "t.t", "cron": "61 * * * *"}',
    b'{"task": "t.t", "cron": "0 0 31 2 *"}',
    b'{"task": "t.t", "every": 1e400}',
    b'{"task": "t.t", "every": ' + b"9" * 5_000 + b"}",
    b'{"task": "t.t", "every": "1s", "args": [NaN]}',
    b'{"task": "t.t", "every": "1s", "timezone": "../../etc/passwd"}',
    b'{"task": "t.t", "every": "1s", "timezone": 5}',
    b'{"task": "\\ud800", "every": "1s"}',
    b'{"task": "t.t", "every": "1s", "queue": "\\ud800"}',
    b'{"task": "t.t", "every": "1s", "options": {"priority": "x"}}',
    b'{"task": "t.t", "every": "1s", "options": {"headers": 3}}',
    b'{"task": "t.t", "every": "1s", "options": {"expires": -1}}',
    b'{"task": "t.t", "every": "1s", "options": {"expires": "9999999999d"}}',
    b'{"task": "t.t", "every": "1s", "start": "2026-13-01T00:00"}',
    b'{"task": "t.t", "every": "1s", "tags": [[]]}',
    b'{"task": "t.t", "every": "1s", "args": ["' + b"x" * 150_000 + b'"]}',
    b'{"task": "t.t", "every": "1s", "kwargs": {"a": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_001 + b"}",
    b'{"task": "t.t", "rrule": "FREQ=DAILY;BYDAY=XX"}',
    b'{"task": "t.t", "rrule": "FREQ=SECONDLY"}',
]


def test_broken_definitions_become_invalid_and_the_others_fire(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"healthy": FAST}})
    ledger.settle({"healthy": FAST}, 0)
    for number, definition in enumerate(BROKEN):
        name = f"broken-{number}"
        pipe = client.pipeline()
        pipe.hset(f"{T}:def", name, definition)
        pipe.hset(f"{T}:rev", name, f"n{number}.f")
        pipe.zadd(f"{T}:due", {name: -1})
        pipe.execute()
    wait_until(lambda: client.zcount(f"{T}:due", "-inf", "(0") == 0)
    states = {number: state(store, f"broken-{number}") for number in range(len(BROKEN))}
    assert {number: s for number, s in states.items() if s != "invalid"} in ({}, {11: "finished"})
    ledger.check({"healthy": FAST}, now_ms(client))
    assert daemon.running
    assert len(daemon.events("entry_invalid")) <= len(BROKEN) + 2


SCORES = ["inf", "-inf", "1.5", "0", "-0.5", "-1e300", "1e300", "9007199254740993", "1", "-1"]


@pytest.mark.parametrize("staged", [True, False])
def test_a_score_written_by_hand_is_planned_anew(
    staged: bool, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    entries = {f"spoilt {score}": {**FAST, "catchup": "latest", "grace": "1s"} for score in SCORES}
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {**entries, "healthy": FAST}}, lease_ttl="1s")
    ledger.settle(entries, 0)
    if not staged:
        daemon.stop()
    client.execute_command("ZADD", f"{T}:due", *[w for score in SCORES for w in (score, f"spoilt {score}")])
    if not staged:
        daemon.start()
    ledger.settle(entries, now_ms(client) + 500)
    ledger.check({"healthy": FAST}, now_ms(client))
    assert not stuck(client)
    assert daemon.running


FIELDS = [("jit", "x"), ("jit", "nan"), ("jit", "9" * 30), ("left", "x"), ("left", "-1"), ("left", "9" * 5_000),
          ("last", "x"), ("last", "9" * 5_000 + "|1||"), ("last", "|||"), ("out", "x"), ("rev", "\xff"), ("rev", ""),
          ("file", "x"), ("inst", "x"), ("hold", "x"), ("gone", "x"), ("ob", "x"), ("obm", "x")]  # fmt: skip


def test_no_spoilt_field_stops_the_others(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    for number, (key, value) in enumerate(FIELDS):
        put(store, {f"spoilt {number}": {**FAST, "max_runs": 1_000_000}})
        client.hset(f"{T}:{key}", f"spoilt {number}", value.encode("latin-1"))
        client.hset(f"{T}:{key}", b"\xff\x00 orphan", value.encode("latin-1"))
    daemon = start_daemon(server.url, config={"schedules": {"healthy": FAST}})
    ledger.settle({"healthy": FAST}, now_ms(client) + 2_000)
    ledger.check({"healthy": FAST}, now_ms(client))
    assert daemon.running
    assert not stuck(client)
    assert {"healthy", "spoilt 0"} <= {row.name for row in store.rows()}
    judged(read_overview(store.link))


@pytest.mark.parametrize("kind", ["ob", "obm"])
def test_a_spoilt_outbox_stops_nobody_whose_messages_go_to_redis(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger, kind: str
) -> None:
    ledger = open_ledger(server)
    client.set(f"{T}:{kind}", "x")
    daemon = start_daemon(server.url, config={"schedules": {"healthy": FAST}})
    ledger.settle({"healthy": FAST}, now_ms(client) + 2_000)
    ledger.check({"healthy": FAST}, now_ms(client))
    assert daemon.running
    status = beatd("status", "--redis", server.url)
    assert (status.returncode, f"{T}:{kind} holds a string" in status.stdout) == (1, True)


def test_spoilt_numbers_of_the_lease_stop_neither_the_leader_nor_status(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"healthy": FAST}}, lease_ttl="1s")
    ledger.settle({"healthy": FAST}, 0)
    client.hset(f"{T}:lease", mapping={"until": "x", "ttl": "x", "rn": "x", "seq": "x", "host": b"\xff"})
    client.hset(f"{T}:inst", mapping={"a": '{"seen": "x"}', "b": "[]", b"\xff": "{"})
    for command in ("status", "ls"):
        done = beatd(command, "--redis", server.url)
        assert done.returncode in (0, 1, 2)
        assert "Traceback" not in done.stderr
    ledger.check({"healthy": FAST}, now_ms(client) + 1_500)
    assert daemon.running


def test_a_name_in_the_timetable_that_has_no_revision_is_taken_out(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"healthy": FAST}})
    ledger.settle({"healthy": FAST}, 0)
    client.zadd(f"{T}:due", {f"orphan-{i}": -i - 1 for i in range(600)})
    client.zadd(f"{T}:due", {f"late-{i}": now_ms(client) + i for i in range(600)})
    client.zadd(f"{T}:due", {"half": now_ms(client) + 100.5})
    wait_until(lambda: client.zcard(f"{T}:due") == 1)
    ledger.check({"healthy": FAST}, now_ms(client))
    assert daemon.running


def test_entries_written_with_one_nonce_are_still_themselves(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    entries = {f"e{i}": {**FAST, "anchor": "2026-01-01T00:00:00Z"} for i in range(5)}
    items = [put_item(entry_from_spec(name, spec), "one-nonce", left="") for name, spec in entries.items()]
    assert len({item.rev for item in items}) == 1
    store.run(edits.put(store.keys, items, "{}"))
    start_daemon(server.url)
    ledger.settle(entries, 0)
    ledger.check(entries, now_ms(client))


def test_a_queue_of_a_wrong_type_blocks_its_entries_only_until_it_is_mended(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server, queues=("celery",))
    entries = {"healthy": FAST, "blocked": {**FAST, "queue": "clobbered"}}
    client.set("clobbered", "x")
    start_daemon(server.url, config={"schedules": entries})
    wait_until(lambda: state(store, "blocked") == "blocked")
    ledger.check({"healthy": FAST}, now_ms(client) + 500)
    client.delete("clobbered")
    mended = open_ledger(server, queues=("clobbered",))
    mended.check({"blocked": entries["blocked"]}, now_ms(client))
    assert state(store, "blocked") == "scheduled"


@pytest.mark.nightly
def test_a_clobbered_key_is_told_of_and_once_it_is_mended_firing_goes_on(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"healthy": FAST}}, lease_ttl="1s")
    for key in ("due", "rev", "def", "last", "lease", "hist", "log", "file", "inst", "meta"):
        ledger.wait_for_entry("healthy", after=now_ms(client))
        client.set(f"{T}:{key}", "x")
        time.sleep(0.21)  # at least one fire is refused meanwhile
        client.flushall()
    ledger.wait_for_entry("healthy", after=now_ms(client))
    assert daemon.running
    ledger.check_once()
    lines = [e for e in list(daemon._log.events) if e.name != "entry_fired"]
    assert len(lines) < 100, "\n".join(e.line for e in lines)


def test_json_written_by_another_client_with_its_own_spelling_fires(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    """Unicode, blanks and slashes in names, unsorted JSON with escapes: opaque to every script."""
    ledger = open_ledger(server)
    names = ["a b", "reports/daily", "Grüße 世界 🌍", "{tag}", "per%cent", "quote'\"", "a|b", "a:b;c,d", "-1", "*"]
    for number, name in enumerate(names):
        pipe = client.pipeline()
        spec = {"fast": True, "every": "200ms", "task": "t.t", "args": ["é"]}
        pipe.hset(f"{T}:def", name, json.dumps(spec, indent=3))
        pipe.hset(f"{T}:rev", name, f"n{number}.f")
        pipe.zadd(f"{T}:due", {name: -now_ms(client)})
        pipe.execute()
    start_daemon(server.url)
    entries = {name: {"every": "200ms", "fast": True} for name in names}
    ledger.settle(entries, 0)
    ledger.check(entries, now_ms(client))
