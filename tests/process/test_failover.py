"""Leaders die, freeze, leave; servers crash: what reaches the queue is each slot once, and none is missing."""

import random
import signal
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.daemon import Fleet
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, T, fast_entries, now_ms, wait_until
from tests.support.servers import RedisServer


@pytest.fixture
def fleet_of(server: RedisServer, client: redis.Redis, start_daemon: StartDaemon) -> Callable[..., Fleet]:
    """Starts several daemons with one file and waits for a leader and as many standbys as there are others."""

    def start(count: int, entries: dict[str, dict[str, Any]], lease_ttl: str = "1s") -> Fleet:
        config = {"schedules": entries}
        fleet = Fleet([start_daemon(server.url, config=config, lease_ttl=lease_ttl) for _ in range(count)], client)
        fleet.leader()
        wait_until(lambda: client.hlen(f"{T}:inst") >= count)
        return fleet

    return start


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 8))])
def test_after_kill_9_of_the_leader_a_standby_goes_on_and_every_slot_fires_once(
    seed: int, server: RedisServer, client: redis.Redis, fleet_of: Callable[..., Fleet], open_ledger: OpenLedger
) -> None:
    rng = random.Random(seed)
    ledger, entries = open_ledger(server), fast_entries(60)
    fleet = fleet_of(2, entries)
    ledger.settle(entries, 0)
    for _ in range(2):
        leader = fleet.leader()
        # Right after some message has come: at a random place between two fires, or in one.
        seen = len(ledger.all())
        ledger.wait_for(lambda found, seen=seen: len(found) > seen)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.02))
        leader.kill()
        killed = time.monotonic()
        fleet.leader(other_than=leader)
        assert time.monotonic() - killed < 1.6  # TTL, and half a second for a busy machine
        leader.start()
    counts = ledger.check(entries, now_ms(client))
    assert sum(counts.values()) > 600


def test_a_hand_over_by_sigterm_takes_less_than_100_ms(
    server: RedisServer, client: redis.Redis, fleet_of: Callable[..., Fleet], open_ledger: OpenLedger
) -> None:
    ledger, entries = open_ledger(server), fast_entries(100)
    fleet = fleet_of(3, entries, "2s")
    ledger.settle(entries, 0)
    gaps = []
    for _ in range(3):
        leader = fleet.leader()
        before = time.monotonic()
        assert leader.stop(signal.SIGTERM) == 0
        ledger.settle(entries, now_ms(client))
        gaps.append(ledger.longest_gap(before - 0.05, time.monotonic()))
        leader.start()
        wait_until(lambda: client.hlen(f"{T}:inst") >= 3)
    ledger.check(entries, now_ms(client))
    assert statistics.median(gaps) < 0.1, gaps


def test_a_leader_stopped_beyond_its_ttl_steps_down_and_lives_on_as_a_candidate(
    server: RedisServer, client: redis.Redis, fleet_of: Callable[..., Fleet], open_ledger: OpenLedger
) -> None:
    ledger, entries = open_ledger(server), fast_entries(40)
    fleet = fleet_of(2, entries)
    ledger.settle(entries, 0)
    old = fleet.leader()
    old.send(signal.SIGSTOP)
    new = fleet.leader(other_than=old)
    until = now_ms(client) + 500
    ledger.settle(entries, until)
    old.send(signal.SIGCONT)
    old.wait_for("lease_lost")
    ledger.settle(entries, now_ms(client) + 500)
    assert fleet.leader() is new
    new.kill()
    assert fleet.leader(other_than=new) is old
    ledger.check(entries, now_ms(client))


def test_when_all_instances_were_killed_a_new_one_makes_good_what_was_missed(
    server: RedisServer, client: redis.Redis, fleet_of: Callable[..., Fleet], open_ledger: OpenLedger
) -> None:
    ledger, entries = open_ledger(server), fast_entries(30)
    fleet = fleet_of(2, entries)
    ledger.settle(entries, 0)
    for daemon in fleet.daemons:
        daemon.kill()
    slots_missed = now_ms(client) + 1500
    wait_until(lambda: now_ms(client) > slots_missed)
    fleet.daemons[0].start()
    fleet.leader()
    ledger.check(entries, now_ms(client))


def test_five_that_start_at_once_elect_one_leader(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger, entries = open_ledger(server), fast_entries(20)
    daemons = [start_daemon(server.url, config={"schedules": entries}) for _ in range(5)]
    fleet = Fleet(daemons, client)
    wait_until(lambda: client.hlen(f"{T}:inst") == 5)
    leader = fleet.leader()
    ledger.check(entries, now_ms(client) + 1000)
    assert [len(daemon.events("leader_acquired")) for daemon in daemons].count(1) == 1
    assert sum(len(daemon.events("leader_acquired")) for daemon in daemons) == 1
    assert leader.events("leader_acquired")


def test_after_kill_9_of_redis_with_an_append_only_file_firing_goes_on_within_a_second_of_its_answering(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(appendonly="yes", appendfsync="always")
    ledger, entries = open_ledger(server), fast_entries(30)
    with server.client() as client:
        fleet = Fleet(
            [start_daemon(server.url, config={"schedules": entries}, lease_ttl="2s") for _ in range(2)], client
        )
        ledger.settle(entries, 0)
        for _ in range(2):
            ledger.wait_for_entry("e0", after=now_ms(client))
            server.kill()
            server.start()
            answered, clock = time.monotonic(), now_ms(client)
            ledger.wait_for_entry("e0", after=clock)
            assert time.monotonic() - answered < 1.5  # a second, and half of one for a busy machine
        assert all(daemon.running for daemon in fleet.daemons)
        ledger.check(entries, now_ms(client))


@pytest.mark.parametrize("how, code", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_by_a_signal_with_the_code_that_belongs_to_it(
    how: signal.Signals, code: int, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config={"schedules": fast_entries(3)})
    daemon.wait_for("entry_fired")
    asked = time.monotonic()
    assert daemon.stop(how) == code
    assert time.monotonic() - asked < 2
    assert daemon.events("leader_released")
    assert client.hget(f"{T}:lease", "owner") == b""
    assert client.hget(f"{T}:inst", daemon.name) is None


def test_two_interrupts_within_half_a_second_are_one_and_the_lease_is_still_released(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config={"schedules": fast_entries(3)})
    daemon.wait_for("entry_fired")
    server.freeze()  # so that leaving takes a while
    daemon.send(signal.SIGINT)
    time.sleep(0.1)  # the distance between the two is what this is about
    daemon.send(signal.SIGINT)
    server.thaw()
    assert daemon.wait() == 130
    assert daemon.events("leader_released")
    assert client.hget(f"{T}:lease", "owner") == b""


def test_a_second_interrupt_ends_it_at_once_while_redis_does_not_answer(
    server: RedisServer, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config={"schedules": fast_entries(3)}, lease_ttl="30s")
    daemon.wait_for("entry_fired")
    server.freeze()
    daemon.send(signal.SIGINT)
    time.sleep(0.6)  # more than half a second: meant
    again = time.monotonic()
    daemon.send(signal.SIGINT)
    assert daemon.wait() == 130
    assert time.monotonic() - again < 0.4
    server.thaw()


def test_a_daemon_waits_for_a_redis_that_is_not_there_yet(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server.kill()
    daemon = start_daemon(server.url, config={"schedules": fast_entries(3)})
    daemon.wait_for("redis_down")
    server.start()
    daemon.wait_for("redis_up")
    open_ledger(server).settle(fast_entries(3), 0)
