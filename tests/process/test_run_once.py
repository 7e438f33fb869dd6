"""`beatd run --once`, `--dry-run` and `--strict`: the daemon for a moment, for show, and on safe servers only."""

from collections.abc import Callable

import pytest

from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.store.client import Client
from tests.support.daemon import Daemon
from tests.support.ledger import Ledger
from tests.support.scenes import T, beatd, fast_entries, now_ms
from tests.support.servers import RedisServer

StartRedis = Callable[..., RedisServer]
StartDaemon = Callable[..., Daemon]
OpenLedger = Callable[..., Ledger]
HOURLY = {"task": "t.t", "every": "1h", "anchor": "2026-01-01T00:00:00Z"}


def test_once_applies_the_files_fires_what_is_due_and_ends_with_0(
    clean_redis: RedisServer, start_daemon: StartDaemon
) -> None:
    with clean_redis.client() as client:
        due = start_daemon(clean_redis.url, config={"schedules": {"due": HOURLY}}, arguments=("--once",))
        assert due.wait(20) == 0
        assert client.llen("celery") == 0
        assert client.hget(f"{T}:lease", "owner") == b""
        hour = 3_600_000
        client.zadd(f"{T}:due", {"due": now_ms(client) // hour * hour})
        again = start_daemon(clean_redis.url, config={"schedules": {"due": HOURLY}}, arguments=("--once",))
        assert again.wait(20) == 0
        assert client.llen("celery") == 1
    assert len(again.events("leader_released")) == 1
    assert again.wait_for("stopped").fields["reason"] == "all that was due is fired"


def test_once_ends_with_entries_that_are_due_all_the_time(clean_redis: RedisServer, start_daemon: StartDaemon) -> None:
    daemon = start_daemon(clean_redis.url, config={"schedules": fast_entries(5)}, arguments=("--once",))
    assert daemon.wait(20) == 0


def test_once_ends_with_1_while_another_one_leads(clean_redis: RedisServer, start_daemon: StartDaemon) -> None:
    leader = start_daemon(clean_redis.url, lease_ttl="1s")
    leader.wait_for("leader_acquired")
    other = start_daemon(clean_redis.url, lease_ttl="1s", arguments=("--once",))
    assert other.wait(20) == 1
    assert not other.events("leader_acquired")
    assert leader.running


def test_once_ends_with_1_where_it_leads_and_can_t_fire(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis()
    with server.client() as client:
        start_daemon(server.url, config={"schedules": {"due": HOURLY}}, arguments=("--once",)).wait(20)
        client.zadd(f"{T}:due", {"due": now_ms(client) // 3_600_000 * 3_600_000})
        client.config_set("maxmemory", "1")
    daemon = start_daemon(server.url, config={"schedules": {"due": HOURLY}}, lease_ttl="1s", arguments=("--once",))
    assert daemon.wait(20) == 1
    assert "is at its maxmemory limit" in daemon.log


def test_a_dry_run_prints_what_would_be_fired_and_writes_nothing(clean_redis: RedisServer) -> None:
    with clean_redis.client() as client, Client(clean_redis.url, "default") as store:
        for name, more in (("owed", {}), ("late", {"catchup": "none"}), ("later", {})):
            store.put([put_item(entry_from_spec(name, {**HOURLY, **more}), f"n-{name}", left="")], "{}")
        slot = now_ms(client) // 3_600_000 * 3_600_000
        client.zadd(f"{T}:due", {"owed": slot, "late": slot - 3_600_000, "later": slot + 3_600_000})
        before = {key: client.dump(key) for key in client.keys("*")}
        done = beatd("run", "--dry-run", "--once", "--redis", clean_redis.url)
        assert {key: client.dump(key) for key in client.keys("*")} == before
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if "owed" in line] == [["fire", "owed"]]
    assert any(line.startswith("skip late missed ") for line in lines)
    assert not any("later" in line for line in lines)
    assert "3 entries wait for a slot" in done.stderr


def test_a_dry_run_tells_what_the_files_would_change(
    clean_redis: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    daemon = start_daemon(clean_redis.url, config={"schedules": fast_entries(3)}, arguments=("--dry-run",))
    daemon.wait_for_line("the files would write 3 entries and remove 0")
    daemon.wait_for_line("3 entries wait for a slot")
    with clean_redis.client() as client:
        assert client.keys("*") == []


def test_a_dry_run_fires_the_very_ids_that_the_daemon_would(
    clean_redis: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    entries = {"due": HOURLY}
    with clean_redis.client() as client:
        first = start_daemon(clean_redis.url, config={"schedules": entries}, arguments=("--once",))
        assert first.wait(20) == 0
        client.zadd(f"{T}:due", {"due": now_ms(client) // 3_600_000 * 3_600_000})
        file = str(first.folder / "schedules.yaml")
        foretold = beatd("run", "-c", file, "--dry-run", "--once", "--redis", clean_redis.url).stdout
        ledger = open_ledger(clean_redis)
        start_daemon(clean_redis.url, config={"schedules": entries})
        (fired,) = ledger.wait_for_entry("due")
    assert f"id={fired.id}" in foretold


@pytest.mark.parametrize(
    "options, said",
    [
        ({"maxmemory_policy": "allkeys-lru", "appendonly": "yes"}, "maxmemory-policy is allkeys-lru"),
        ({"maxmemory_policy": "volatile-lru", "appendonly": "yes"}, "maxmemory-policy is volatile-lru"),
        ({}, "Redis keeps nothing on disk"),
    ],
)
def test_a_server_that_may_forget_is_warned_of_and_refused_under_strict(
    options: dict[str, str], said: str, start_redis: StartRedis, start_daemon: StartDaemon
) -> None:
    server = start_redis(**options)
    warned = start_daemon(server.url)
    assert said in warned.wait_for("risk_found").line
    warned.wait_for("leader_acquired")
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    warned.wait_for("redis_up")
    assert len(warned.events("redis_met")) == 1
    strict = start_daemon(server.url, arguments=("--strict",))
    assert strict.wait() == 3
    assert said in strict.log
    assert "or start without --strict" in strict.log


def test_a_safe_server_is_used_under_strict_and_a_later_one_that_is_not_is_warned_of(
    start_redis: StartRedis, start_daemon: StartDaemon
) -> None:
    server = start_redis(appendonly="yes")
    daemon = start_daemon(server.url, arguments=("--strict",))
    daemon.wait_for("leader_acquired")
    assert not daemon.events("risk_found")
    server.options.update({"maxmemory-policy": "allkeys-lru"})
    server.restart()
    assert "allkeys-lru" in daemon.wait_for("risk_found").line
    assert daemon.running


def test_what_may_not_be_read_is_said_without_a_warning(clean_redis: RedisServer, start_daemon: StartDaemon) -> None:
    with clean_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all", "-config")
    daemon = start_daemon(clean_redis.url.replace("redis://", "redis://bob:secret@"))
    assert "may not be read, so not checked: save" in daemon.wait_for("redis_met").line
    assert not daemon.events("risk_found", risk="Redis keeps nothing on disk")
