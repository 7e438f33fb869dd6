"""A Redis that begins to say no while the daemon fires: it is told once and by name, and firing goes on by itself."""

import shutil
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
import redis

from beatd.store.rights import OPTIONAL
from tests.support.daemon import Daemon
from tests.support.ledger import Ledger
from tests.support.proxy import Proxy
from tests.support.scenes import (
    OpenLedger,
    StartDaemon,
    StartRedis,
    T,
    beatd,
    call_for_upkeep,
    cut_all,
    fast_entries,
    now_ms,
    wait_until,
)
from tests.support.servers import RedisServer

ENTRIES = fast_entries(10)
CONFIG = {"schedules": ENTRIES}


@pytest.fixture
def firing(server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger) -> tuple[Daemon, Ledger]:
    """A daemon that has fired all its entries, and the ledger of its queue."""
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config=CONFIG, lease_ttl="1s")
    ledger.settle(ENTRIES, 0)
    return daemon, ledger


def told(daemon: Daemon) -> list[str]:
    """What was said of Redis; the elector and the leader each have a connection, and each may say it."""
    return [event.fields.get("error", "") for event in daemon.events("redis_down")]


def goes_on(daemon: Daemon, ledger: Ledger, client: redis.Redis, said: str, *, times: int = 2) -> None:
    """It has said so, not often, and no slot was lost or doubled."""
    ledger.check(ENTRIES, now_ms(client) + 300)
    assert 1 <= sum(said in text for text in told(daemon)) <= times, told(daemon)
    assert daemon.running


def test_a_right_that_is_taken_away_is_named_and_waited_for(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    client.execute_command("ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all")
    daemon = start_daemon(server.url.replace("redis://", "redis://bob:secret@"), config=CONFIG, lease_ttl="1s")
    ledger.settle(ENTRIES, 0)
    client.execute_command("ACL", "SETUSER", "bob", "-lpush")
    said = daemon.wait_for("redis_down", service="leader")
    assert "the user 'bob' may not use lpush" in said.line
    assert "ACL SETUSER bob " in said.line
    client.execute_command("ACL", "SETUSER", "bob", "+lpush")
    goes_on(daemon, ledger, client, "may not use lpush")


def test_rights_that_are_for_people_only_stop_no_fire(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    denied = [f"-{name}" for name in OPTIONAL]
    client.execute_command("ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all", *denied)
    url = server.url.replace("redis://", "redis://bob:secret@")
    ledger, daemon = open_ledger(server), start_daemon(url, config=CONFIG, lease_ttl="1s")
    leads = daemon.wait_for("leader_acquired").at
    daemon.wait_for_line(f"the user may not run {', '.join(OPTIONAL)}: what they are for is left out")
    assert beatd("set", "x", "--task", "t", "--every", "1s", "--redis", url).returncode == 0
    ledger.wait_for_entry("x")
    assert beatd("rm", "x", "--yes", "--redis", url).returncode == 0
    to_come = max(0.0, leads + 5.5 - time.monotonic())  # until a round of upkeep is over, whose rights are denied too
    ledger.check(ENTRIES, now_ms(client) + round(to_come * 1000))
    assert daemon.stop() == 0
    assert not [text for text in told(daemon) if "was not answered" not in text]  # a busy machine may be late


def test_without_memory_fires_wait_and_entries_can_be_removed(
    client: redis.Redis, server: RedisServer, firing: tuple[Daemon, Ledger]
) -> None:
    daemon, ledger = firing
    client.config_set("maxmemory", "1")
    daemon.wait_for("redis_down", service="leader")
    removed = beatd("set", "x", "--task", "t", "--every", "1s", "--redis", server.url)
    assert removed.returncode == 6
    assert "is at its maxmemory limit and refuses to write" in removed.stderr
    client.config_set("maxmemory", "0")
    assert beatd("set", "x", "--task", "t", "--every", "1s", "--redis", server.url).returncode == 0
    client.config_set("maxmemory", "1")
    assert beatd("rm", "x", "--yes", "--redis", server.url).returncode == 0
    time.sleep(1.2)  # longer than the TTL: the lease has to be renewed meanwhile
    client.config_set("maxmemory", "0")
    goes_on(daemon, ledger, client, "is at its maxmemory limit", times=3)
    assert not daemon.events("lease_lost")
    assert not daemon.events("leader_released")


def test_a_disk_that_is_full(client: redis.Redis, server: RedisServer, firing: tuple[Daemon, Ledger]) -> None:
    daemon, ledger = firing
    client.config_set("save", "3600 1")
    shutil.rmtree(server.folder)
    client.bgsave()
    daemon.wait_for_line("can't persist and refuses to write")
    client.config_set("save", "")
    goes_on(daemon, ledger, client, "can't persist and refuses to write")


def test_replicas_that_go_away(client: redis.Redis, firing: tuple[Daemon, Ledger]) -> None:
    daemon, ledger = firing
    client.config_set("min-replicas-to-write", "1")
    daemon.wait_for_line("fewer replicas than min-replicas-to-write")
    client.config_set("min-replicas-to-write", "0")
    goes_on(daemon, ledger, client, "fewer replicas")


def test_a_failover_that_makes_the_server_a_replica_leads_to_the_new_primary(
    server: RedisServer, start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    with server.client() as client:
        client.config_set("repl-diskless-sync-delay", "0")  # no other replica is waited for
    other = start_redis(replicaof=f"127.0.0.1 {server.port}")
    with Proxy(server.port) as address, server.client() as old, other.client() as new:
        wait_until(lambda: new.info("replication")["master_link_status"] == "up")
        daemons = [start_daemon(address.url, config=CONFIG, lease_ttl="1s") for _ in range(2)]
        before = open_ledger(server)
        before.settle(ENTRIES, 0)
        before.close()
        replicated: Any = old.info("replication")["master_repl_offset"]
        wait_until(lambda: new.info("replication")["slave_repl_offset"] >= replicated)
        new.execute_command("REPLICAOF", "NO", "ONE")
        old.execute_command("REPLICAOF", "127.0.0.1", str(other.port))
        wait_until(lambda: any("is a replica and refuses to write" in text for d in daemons for text in told(d)))
        address.port_behind = other.port
        after = open_ledger(other)
        after.settle(ENTRIES, now_ms(new) + 500)
        after.check_once()
        assert all(daemon.running for daemon in daemons)
        assert any(len(daemon.events("redis_met")) == 2 for daemon in daemons)


def test_a_long_script_of_somebody_else(
    server: RedisServer, client: redis.Redis, firing: tuple[Daemon, Ledger]
) -> None:
    daemon, ledger = firing
    client.config_set("lua-time-limit", "50")

    def hog() -> None:
        with suppress(redis.RedisError), server.client(socket_timeout=30) as other:
            other.eval("while true do end", 0)

    thread = threading.Thread(target=hog)
    thread.start()
    daemon.wait_for("redis_down")
    time.sleep(0.5)  # it lasts
    client.execute_command("SCRIPT", "KILL")
    thread.join()
    ledger.check(ENTRIES, now_ms(client) + 300)
    assert len(told(daemon)) <= 6, told(daemon)


def test_a_server_that_restarts_and_takes_long_to_load(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(appendonly="yes", appendfsync="always")
    ledger, daemon = open_ledger(server), start_daemon(server.url, config=CONFIG, lease_ttl="1s")
    ledger.settle(ENTRIES, 0)
    with server.client() as client:
        client.mset({f"k{i}": "x" for i in range(20_000)})
        client.bgrewriteaof()
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    server.kill()
    server.options.update({"key-load-delay": "50", "loading-process-events-interval-bytes": "1024"})
    server.start()
    daemon.wait_for_line("is still loading its data")
    with server.client() as client:
        goes_on(daemon, ledger, client, "is still loading its data")


def test_a_server_that_takes_no_more_clients_while_all_connections_are_cut(
    client: redis.Redis, firing: tuple[Daemon, Ledger]
) -> None:
    daemon, ledger = firing
    client.config_set("maxclients", "1")
    cut_all(client)
    daemon.wait_for_line("takes no more clients")
    client.config_set("maxclients", "1000")
    goes_on(daemon, ledger, client, "takes no more clients")


def test_a_key_of_beatd_that_somebody_has_overwritten(client: redis.Redis, firing: tuple[Daemon, Ledger]) -> None:
    daemon, ledger = firing
    client.rename(f"{T}:rev", "aside")
    client.set(f"{T}:rev", "x")
    said = daemon.wait_for("lease_refused")
    assert f"{T}:rev holds a string, beatd keeps a hash there: rename or delete that key" in said.line
    client.rename("aside", f"{T}:rev")
    ledger.check(ENTRIES, now_ms(client) + 300)
    assert len(daemon.events("lease_refused")) <= 3
    assert not daemon.events("lease_lost")


@pytest.mark.parametrize("key", ["hist", "skip", "log"])
def test_rows_for_people_that_somebody_has_overwritten_stop_no_fire(
    key: str, client: redis.Redis, firing: tuple[Daemon, Ledger]
) -> None:
    daemon, ledger = firing
    client.delete(f"{T}:{key}")
    client.set(f"{T}:{key}", "x")
    call_for_upkeep(client)  # which is where histories are kept short
    assert f"{T}:{key}" in daemon.wait_for("backlog").line
    ledger.check(ENTRIES, now_ms(client) + 300)
    assert not daemon.events("lease_refused")
    assert not daemon.events("lease_lost")


def test_a_newer_format_keeps_this_version_from_leading_and_from_editing(
    server: RedisServer, client: redis.Redis, firing: tuple[Daemon, Ledger], start_daemon: StartDaemon
) -> None:
    daemon, _ = firing
    client.hset(f"{T}:lease", "format", "2")
    assert "the stored format is 2" in daemon.wait_for("lease_lost").line + daemon.wait_for("lease_refused").line
    standby = start_daemon(server.url, config=CONFIG, lease_ttl="1s")
    said = standby.wait_for("lease_refused")
    assert "the stored format is 2, this instance speaks 1: it stays standby until it is upgraded" in said.line
    refused = beatd("set", "x", "--task", "t", "--every", "1s", "--redis", server.url)
    assert refused.returncode == 5
    assert "the stored format is 2, this client speaks 1: use the same version of beatd" in refused.stderr
    assert len(standby.events("lease_refused")) == 1
    client.hset(f"{T}:lease", "format", "1")
    wait_until(lambda: bool(standby.events("leader_acquired") or len(daemon.events("leader_acquired")) > 1))
