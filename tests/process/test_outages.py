"""Redis away, frozen, full, emptied or cut off: the daemon lives, says so once, and goes on."""

import re
import time
from pathlib import Path

import redis

from tests.support.daemon import Daemon
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, cut_all, fast_entries, now_ms
from tests.support.servers import RedisServer

FAST_ENTRIES = fast_entries(20)


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def memory_kb(daemon: Daemon) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{daemon.pid}/status").read_text())
    assert found
    return int(found[1])


def test_an_outage_is_a_few_lines_and_not_a_flood(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES}, lease_ttl="1s")
    ledger.settle(FAST_ENTRIES, 0)
    server.kill()
    daemon.wait_for("lease_lost")
    time.sleep(1)  # an outage of some length, with a dozen tries in it
    lines = len([e for e in list(daemon._log.events) if e.name != "entry_fired"])
    server.start()
    daemon.wait_for("redis_up")
    assert lines < 12, daemon.log[-3000:]
    with server.client() as client:
        ledger.check_once()
        ledger.wait_for_entry("e0", after=now_ms(client))


def test_a_server_frozen_beyond_the_ttl_loses_and_doubles_nothing(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemons = [start_daemon(server.url, config={"schedules": FAST_ENTRIES}, lease_ttl="1s") for _ in range(2)]
    ledger.settle(FAST_ENTRIES, 0)
    server.freeze()
    time.sleep(1.5)
    server.thaw()
    ledger.check(FAST_ENTRIES, now_ms(client) + 500)
    assert all(daemon.running for daemon in daemons)


def test_cutting_all_connections_a_hundred_times_leaks_nothing_and_keeps_the_leader(
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
    for _ in range(100):
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


def test_a_password_changed_under_way_is_waited_out(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(requirepass="secret")
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": FAST_ENTRIES}, lease_ttl="1s")
    ledger.settle(FAST_ENTRIES, 0)
    with server.client() as client:
        client.config_set("requirepass", "other")
        cut_all(client)
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
