"""Redis away, frozen, full, emptied or cut off: the daemon lives, says so once, and goes on."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.daemon import Daemon
from tests.support.ledger import Ledger
from tests.support.servers import RedisServer

StartRedis = Callable[..., RedisServer]
StartDaemon = Callable[..., Daemon]
OpenLedger = Callable[..., Ledger]

T = "{beatd:default:0}"
FAST: dict[str, Any] = {"task": "t.t", "every": "200ms", "fast": True, "catchup": "all", "catchup_limit": 1000}
FAST_ENTRIES = {f"e{i}": FAST for i in range(20)}


def now_ms(client: redis.Redis) -> int:
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def wait_until(condition: Callable[[], bool], timeout: float = 20) -> None:
    give_up = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < give_up, f"not in {timeout:g} s"
        time.sleep(0.005)


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def memory_kb(daemon: Daemon) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{daemon.pid}/status").read_text())
    assert found
    return int(found[1])


def cut_all(client: redis.Redis) -> None:
    for kind in ("pubsub", "normal"):
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    return start_redis()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


def test_an_outage_is_a_few_lines_and_not_a_flood(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES}, lease_ttl="1s")
    ledger.settle(FAST_ENTRIES, 0)
    server.kill()
    daemon.wait_for("lease_lost")
    time.sleep(1.5)  # an outage of some length, with a few dozen tries in it
    lines = len([e for e in list(daemon._log.events) if e.name != "entry_fired"])
    server.start()
    daemon.wait_for("redis_up")
    assert lines < 12, daemon.log[-3000:]
    with server.client() as client:
        ledger.check_once()
        ledger.wait_for_entry("e0", after=now_ms(client))


@pytest.mark.parametrize("failures", [1_100])
def test_no_number_of_failed_tries_ends_a_daemon(failures: int, start_redis: StartRedis) -> None:
    """Five minutes of an outage in a moment: the pauses between tries are bounded however many there were."""
    import random  # noqa: PLC0415

    from beatd.daemon.trouble import Trouble  # noqa: PLC0415
    from beatd.errors import Unreachable  # noqa: PLC0415

    told: list[str] = []

    class Sink:
        def emit(self, event: str, **fields: object) -> None:
            told.append(event)

        def fired(self, items: object, at: int) -> None:
            raise AssertionError

    trouble = Trouble(Sink(), random.Random(1), lambda: 0.0)
    pauses = [trouble.met(Unreachable("no answer")) for _ in range(failures)]
    assert max(pauses) <= 0.5
    assert told == ["redis_down"]
    trouble.over()
    assert told == ["redis_down", "redis_up"]
    assert trouble.met(Unreachable("no answer")) <= 0.1


def test_a_server_frozen_for_three_seconds_loses_and_doubles_nothing(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemons = [start_daemon(server.url, config={"schedules": FAST_ENTRIES}) for _ in range(2)]
    ledger.settle(FAST_ENTRIES, 0)
    server.freeze()
    time.sleep(3)  # longer than the TTL of 2 s
    server.thaw()
    ledger.check(FAST_ENTRIES, now_ms(client) + 500)
    assert all(daemon.running for daemon in daemons)


def test_cutting_all_connections_two_hundred_times_leaks_nothing_and_keeps_the_leader(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES}, lease_ttl="3s")
    ledger = open_ledger(server)
    ledger.settle(FAST_ENTRIES, 0)
    for _ in range(10):
        cut_all(client)
        time.sleep(0.05)
    ledger.wait_for_entry("e0", after=now_ms(client))
    before, memory = descriptors(daemon), memory_kb(daemon)
    for _ in range(200):
        cut_all(client)
        time.sleep(0.015)
    ledger.check(FAST_ENTRIES, now_ms(client) + 500)
    assert descriptors(daemon) <= before + 2
    assert memory_kb(daemon) < memory + 8_000
    assert len(daemon.events("leader_acquired")) <= 2


def test_flushing_the_scripts_under_way_is_not_noticed(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES})
    ledger.settle(FAST_ENTRIES, 0)
    for _ in range(10):
        client.script_flush()
        seen = len(ledger.all()) + 5
        ledger.wait_for(lambda found, seen=seen: len(found) > seen)  # type: ignore[misc]
    ledger.check(FAST_ENTRIES, now_ms(client))
    assert not daemon.events("redis_down")


def test_after_flushall_the_file_entries_are_written_again_and_fire(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    start_daemon(server.url, config={"schedules": FAST_ENTRIES})
    ledger.settle(FAST_ENTRIES, 0)
    for _ in range(2):
        client.flushall()
        at = now_ms(client)
        ledger.settle(FAST_ENTRIES, at + 1)
    ledger.check_once()


def test_at_the_memory_limit_nothing_is_lost_and_the_lease_stays(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(maxmemory="20mb", maxmemory_policy="noeviction")
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES})
    ledger.settle(FAST_ENTRIES, 0)
    with server.client() as client:
        client.config_set("maxmemory", "1")
        daemon.wait_for("redis_down", service="leader")
        time.sleep(2.5)  # longer than the TTL: the lease has to be renewed meanwhile
        lines = [e for e in list(daemon._log.events) if e.name != "entry_fired"]
        client.config_set("maxmemory", "0")
        ledger.check(FAST_ENTRIES, now_ms(client))
    assert not daemon.events("lease_lost")
    assert len(lines) < 20, daemon.log[-3000:]


def test_a_wrong_password_at_the_start_is_told_and_ends_with_6(
    start_redis: StartRedis, start_daemon: StartDaemon
) -> None:
    server = start_redis(requirepass="secret")
    daemon = start_daemon(server.url.replace("secret", "guess"))
    assert daemon.wait() == 6
    assert "password" in daemon.log
    assert "guess" not in daemon.log


def test_a_database_that_does_not_exist_ends_with_6_at_the_start(
    server: RedisServer, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url.removesuffix("/0") + "/99")
    assert daemon.wait() == 6


def test_a_password_changed_under_way_is_waited_out(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(requirepass="secret")
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES})
    ledger.settle(FAST_ENTRIES, 0)
    with server.client() as client:
        client.config_set("requirepass", "other")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        daemon.wait_for("lease_lost")
        client.config_set("requirepass", "secret")
        ledger.check(FAST_ENTRIES, now_ms(client))
    assert daemon.running


def test_a_dataset_that_goes_back_under_a_living_leader_is_noticed_and_what_it_owes_fires_again_under_its_ids(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    """The lease record survives, and so do the connections: only the count of batches tells."""
    try:
        server = start_redis(enable_debug_command="yes")
    except RuntimeError:  # before Redis 7 there is no such option, and DEBUG is always there
        server = start_redis()
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES}, lease_ttl="6s")
    ledger.settle(FAST_ENTRIES, 0)
    with server.client() as client:
        client.save()
        at = now_ms(client)
        ledger.settle(FAST_ENTRIES, at + 600)
        client.execute_command("DEBUG", "RELOAD", "NOSAVE")
        ledger.settle(FAST_ENTRIES, now_ms(client) + 500)
    daemon.wait_for("backlog", reason="rollback")
    assert not daemon.events("lease_lost")
    ids: dict[tuple[str, int], set[str]] = {}
    for message in ledger.all():
        ids.setdefault((message.entry, message.slot), set()).add(message.id)
    assert all(len(of_one) == 1 for of_one in ids.values())
