"""Edits while the daemon fires: obeyed at once, nothing doubled, and no entry is ever left behind."""

import math
import os
import random
import signal
import time
from itertools import pairwise
from typing import Any

import pytest
import redis

from beatd.client import entries
from beatd.client.blocking import Client
from beatd.errors import BeatdError
from beatd.store.entries import Pause
from tests.support.daemon import Fleet
from tests.support.ledger import by_entry
from tests.support.scenes import FAST, OpenLedger, StartDaemon, T, beatd, now_ms, put, wait_until
from tests.support.servers import RedisServer

STRESS_S = float(os.environ.get("BEATD_TEST_STRESS_S", "3"))
SEED = int(os.environ.get("BEATD_TEST_SEED", "20261120"))


def test_set_and_rm_from_the_command_line_are_obeyed_at_once(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url)
    daemon.wait_for("leader_acquired")
    name = "Grüße / 世界 🌍"
    made = beatd("set", name, "--redis", server.url, "--task", "t.t", "--every", "200ms", "--fast")
    assert made.returncode == 0, made.stderr
    ledger.wait_for_entry(name, 2)
    changed = beatd("set", name, "--redis", server.url, "--kwargs", '{"a": 1}')
    assert changed.returncode == 0, changed.stderr
    ledger.wait_for_entry(name, 2, after=now_ms(client))
    gone = beatd("rm", name, "--redis", server.url, "--yes")
    assert gone.returncode == 0, gone.stderr
    at = now_ms(client)
    put(store, {"other": FAST})
    ledger.wait_for_entry("other", 3, after=at)
    assert not [m for m in ledger.all(name) if m.slot > at]
    ledger.check_once()


def test_a_paused_entry_fires_nothing_until_it_is_resumed_or_its_pause_ends(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    start_daemon(server.url).wait_for("leader_acquired")
    every = {"every": "100ms", "anchor": "1970-01-01T00:00:00Z", "grace": "0s"}
    put(store, {name: {**FAST, **every} for name in ("left", "caught", "held", "other")})
    for name in ("left", "caught", "held", "other"):
        ledger.wait_for_entry(name, 2)
    until = now_ms(client) // 100 * 100 + 1_000  # the very instant of a slot
    store.run(entries.pause(store.keys, ["left", "caught"], "p1", "{}", Pause("me")))
    store.run(entries.pause(store.keys, ["held"], "p2", "{}", Pause("me", until=until)))
    at = now_ms(client)
    ledger.wait_for_entry("other", 3, after=at)
    resumed = now_ms(client)
    assert not [m for m in ledger.all() if m.entry != "other" and m.slot > at]
    store.run(entries.resume(store.keys, ["left"], "r1", "{}", catchup=False))
    store.run(entries.resume(store.keys, ["caught"], "r2", "{}", catchup=True))
    for name in ("left", "caught", "held"):
        ledger.wait_for_entry(name, 3, after=until)
    slots = {name: [m.slot for m in ledger.all(name)] for name in ("left", "caught", "held")}
    assert all(after - before == 100 for before, after in pairwise(slots["caught"]))
    assert not [slot for slot in slots["left"] if at < slot <= resumed]
    assert min(slot for slot in slots["held"] if slot > at) == until
    ledger.check_once()


def test_a_burst_of_changed_schedules_leaves_no_slot_twice_and_no_entry_behind(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    rng = random.Random(SEED)
    ledger, names = open_ledger(server), [f"e{i}" for i in range(100)]
    periods = dict.fromkeys(names, 200)
    start_daemon(server.url, config={"schedules": {"healthy": FAST}})
    put(store, dict.fromkeys(names, FAST))
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        chosen = rng.sample(names, 10)
        periods.update({name: rng.choice([150, 200, 250, 400]) for name in chosen})
        put(store, {name: {**FAST, "every": f"{periods[name]}ms"} for name in chosen})
    at = now_ms(client) + 1_000
    specs = {name: {**FAST, "every": f"{periods[name]}ms"} for name in names}
    ledger.settle(specs, at)
    ledger.check({"healthy": FAST}, at)
    for name, slots in by_entry(ledger.all()).items():
        assert slots == sorted(slots), f"{name} fired out of order"
    assert client.zcount(f"{T}:due", "-inf", "(0") == 0


def test_five_thousand_entries_due_in_one_second_do_not_delay_a_heartbeat(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server, queues=("heartbeat", "storm"))
    heartbeat = {"task": "t.t", "every": "1s", "queue": "heartbeat"}
    start_daemon(server.url, config={"schedules": {"heartbeat": heartbeat}}, lease_ttl="6s")
    at = (now_ms(client) // 1000 + 4) * 1000
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 1000))
    put(store, {f"storm-{i}": {"task": "t.t", "at": when, "queue": "storm"} for i in range(5_000)})
    ledger.wait_for(lambda found: sum(m.entry.startswith("storm") for m in found) == 5_000)
    ledger.wait_for_entry("heartbeat", 2, after=at)
    ledger.check_once()
    lasts: Any = client.hgetall(f"{T}:last")
    fired = [int(value.split(b"|")[1]) for name, value in lasts.items() if name.startswith(b"storm")]
    assert len(fired) == 5_000
    assert max(fired) - at < 2_500
    around = [m for m in ledger.all("heartbeat") if at - 1_000 <= m.slot <= at + 2_000]
    assert max(m.wall_ms - m.slot for m in around) < 400


def test_a_file_and_the_api_may_not_hold_one_name(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server, queues=("celery", "api"))
    put(store, {"mine": {**FAST, "queue": "api"}})
    daemon = start_daemon(server.url, config={"schedules": {"mine": FAST, "other": FAST}})
    told = daemon.wait_for("config_refused", entry="mine").line
    assert "owner_conflict" in told
    assert "beatd rm mine" in told
    wait_until(lambda: "1 entry of the files is not in effect" in beatd("status", "--redis", server.url).stdout)
    ledger.settle({"mine": FAST, "other": FAST}, 0)
    assert store.get("mine").owner == "api"
    refused = beatd("set", "other", "--redis", server.url, "--kwargs", "{}")
    assert refused.returncode == 5
    store.run(entries.remove(store.keys, ["mine"], "{}"))
    wait_until(lambda: (found := store.find("mine")) is not None and found.owner == "file")
    ledger.settle({"mine": FAST}, now_ms(client))
    wait_until(lambda: "entry of the files" not in beatd("status", "--redis", server.url).stdout)
    assert len(daemon.events("config_refused")) == 1
    ledger.check_once()


def test_an_edited_file_keeps_what_was_fired_and_takes_away_what_is_gone(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"stays": FAST, "changes": FAST, "goes": FAST}})
    ledger.settle({"stays": FAST, "changes": FAST, "goes": FAST}, 0)
    assert daemon.stop() == 0
    changed, comes = {**FAST, "every": "300ms"}, {**FAST, "args": [2]}  # as "goes" was, it would be a rename
    daemon.write({"schedules": {"stays": {**FAST, "args": [1]}, "changes": changed, "comes": comes}})
    daemon.start()
    daemon.wait_for("config_reloaded", put="3", removed="1")
    at = now_ms(client)
    ledger.settle({"stays": FAST, "changes": changed, "comes": comes}, at + 700)
    assert not [m for m in ledger.all("goes") if m.slot > at]
    ledger.check({"stays": FAST}, at)


def test_file_entries_come_back_after_they_were_lost(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"a": FAST}}, lease_ttl="1s")
    ledger.settle({"a": FAST}, 0)
    # As after a FLUSHALL between the writing of the entries and the note that they are written.
    client.delete(*[f"{T}:{kind}" for kind in ("def", "rev", "due", "file", "last")])
    at = now_ms(client)
    daemon.wait_for("config_reloaded", count=2)
    ledger.settle({"a": FAST}, at)


Periods = dict[str, int | None]


def chaos(
    rng: random.Random, fleet: Fleet, client: redis.Redis, store: Client, periods: Periods, *, faults: bool
) -> None:
    """Edits of every kind at full speed, with deaths and cut connections in between. Watches I14 all along."""
    names, seen_late = list(periods), None
    until, next_fault = time.monotonic() + STRESS_S, 0.0 if faults else math.inf
    while time.monotonic() < until:
        name = rng.choice(names)
        what = rng.random()
        try:
            if what < 0.25:
                store.run(entries.remove(store.keys, [name], "{}"))
                periods[name] = None
            elif what < 0.35:
                enabled = rng.random() < 0.5
                put(store, {name: {**FAST, "every": f"{periods[name] or 200}ms", "enabled": enabled}})
                periods[name] = (periods[name] or 200) if enabled else None
            else:
                every = rng.choice([100, 200, 350, 1_100])
                put(store, {name: {**FAST, "every": f"{every}ms", "args": [rng.random()]}})
                periods[name] = every
        except BeatdError:
            pass  # gone already
        if time.monotonic() > next_fault:
            next_fault = time.monotonic() + rng.uniform(0.3, 1.5)
            fault(rng, fleet, client)
        seen_late = watch(client, seen_late)
        time.sleep(rng.uniform(0, 0.01))


def fault(rng: random.Random, fleet: Fleet, client: redis.Redis) -> None:
    victim = rng.choice(fleet.daemons)
    match rng.choice(["kill", "leave", "normal", "pubsub", "flush", "none", "none"]):
        case "kill":
            victim.kill()
            victim.start()
        case "leave":
            victim.stop(signal.SIGTERM)
            victim.start()
        case "flush":
            client.script_flush()
        case "none":
            pass
        case kind:
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def watch(client: redis.Redis, before: float | None) -> float | None:
    """Fails when something has been late, or unplanned, for longer than 4 s of which a leader lived all."""
    at, stale = time.monotonic(), now_ms(client) - 4_000
    late = client.zrangebyscore(f"{T}:due", 0, stale, start=0, num=1, withscores=True)
    unplanned: Any = client.zrangebyscore(f"{T}:due", "-inf", "(0", start=0, num=5, withscores=True)
    old = [(name, score) for name, score in unplanned if -score < stale]
    if not late and not old:
        return None
    if before is not None:
        assert at - before < 4, f"stuck for 4 s: {late or old}"
        return before
    return at


@pytest.mark.parametrize("faults", [True, False], ids=["deaths and cut connections", "a quiet leader"])
def test_no_entry_is_left_behind_under_a_storm_of_edits(
    faults: bool, server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon,
    open_ledger: OpenLedger
) -> None:  # fmt: skip
    """A quiet leader too, for every change of leader heals. BEATD_TEST_STRESS_S and BEATD_TEST_SEED: longer, other."""
    rng = random.Random(SEED)
    ledger = open_ledger(server)
    quiet = {f"quiet-{i}": FAST for i in range(20)}
    config = {"schedules": quiet}
    fleet = Fleet([start_daemon(server.url, config=config, lease_ttl="1s") for _ in range(2)], client)
    ledger.settle(quiet, 0)
    periods: Periods = dict.fromkeys([f"e{i}" for i in range(60)])
    chaos(rng, fleet, client, store, periods, faults=faults)
    at = now_ms(client)
    alive = {name: {**FAST, "every": f"{every}ms"} for name, every in periods.items() if every is not None}
    ledger.settle({**quiet, **alive}, at)
    ledger.check(quiet, at)
    wait_until(lambda: client.zcount(f"{T}:due", "-inf", now_ms(client) - 1_000) == 0, timeout=5)
    names: list[Any] = client.hkeys(f"{T}:rev")
    places: list[Any] = [client.zrange(f"{T}:{kind}", 0, -1) for kind in ("due", "blocked")]
    assert sorted([*client.hkeys(f"{T}:out"), *places[0], *places[1]]) == sorted(names)
    assert all(daemon.running for daemon in fleet.daemons)
