"""`beatd run --once`, `--dry-run` and `--strict`: the daemon for a moment, for show, and on safe servers only."""

from datetime import timedelta

import pytest
import redis

from beatd.client.blocking import Client
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, T, beatd, fast_entries, now_ms, put
from tests.support.servers import RedisServer

HOURLY = {"task": "t.t", "every": "1h", "anchor": "2026-01-01T00:00:00Z"}
HOUR_MS = 3_600_000


def store_due(store: Client, client: redis.Redis) -> None:
    """An entry ``due`` that owes the slot of this hour."""
    put(store, {"due": HOURLY})
    client.zadd(f"{T}:due", {"due": now_ms(client) // HOUR_MS * HOUR_MS})


def test_once_applies_the_files_fires_what_is_due_and_ends_with_0_though_others_are_due_all_the_time(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon
) -> None:
    store_due(store, client)
    often = fast_entries(5, queue="often")
    daemon = start_daemon(server.url, config={"schedules": {"of the file": HOURLY, **often}}, arguments=("--once",))
    assert daemon.wait(20) == 0
    assert client.llen("celery") == 1
    assert client.llen("often") > 5
    assert (client.zscore(f"{T}:due", "of the file") or 0) > now_ms(client)
    assert client.hget(f"{T}:lease", "owner") == b""
    assert len(daemon.events("leader_released")) == 1
    assert daemon.wait_for("stopped").fields["reason"] == "all that was due is fired"


def test_once_serves_what_was_asked_for_but_waits_for_nobody_to_mend_a_queue(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon
) -> None:
    put(store, {"asked": HOURLY, "stuck": {**HOURLY, "queue": "spoilt"}})
    client.set("spoilt", "no list")
    store.trigger("asked")
    store.trigger("stuck")
    store.backfill("asked", timedelta(hours=10), timedelta(0))
    daemon = start_daemon(server.url, arguments=("--once",))
    assert daemon.wait(20) == 0
    assert client.llen("celery") == 11
    assert len(daemon.events("request_served")) == 2
    assert daemon.wait_for("entry_skipped", entry="stuck").fields["reason"] == "blocked"


def test_once_ends_with_1_while_another_one_leads(server: RedisServer, start_daemon: StartDaemon) -> None:
    leader = start_daemon(server.url, lease_ttl="1s")
    leader.wait_for("leader_acquired")
    other = start_daemon(server.url, lease_ttl="1s", arguments=("--once",))
    assert other.wait(20) == 1
    assert not other.events("leader_acquired")
    assert leader.running


def test_once_ends_with_1_where_it_leads_and_can_t_fire(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon
) -> None:
    store_due(store, client)
    client.config_set("maxmemory", "1")
    daemon = start_daemon(server.url, lease_ttl="1s", arguments=("--once",))
    assert daemon.wait(20) == 1
    assert "is at its maxmemory limit" in daemon.log


def test_a_dry_run_prints_what_would_be_fired_and_writes_nothing(
    server: RedisServer, client: redis.Redis, store: Client
) -> None:
    put(store, {"owed": HOURLY, "late": {**HOURLY, "catchup": "none"}, "later": HOURLY})
    slot = now_ms(client) // HOUR_MS * HOUR_MS
    client.zadd(f"{T}:due", {"owed": slot, "late": slot - HOUR_MS, "later": slot + HOUR_MS})
    before = {key: client.dump(key) for key in client.keys("*")}
    done = beatd("run", "--dry-run", "--once", "--redis", server.url)
    assert {key: client.dump(key) for key in client.keys("*")} == before
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if "owed" in line] == [["fire", "owed"]]
    assert any(line.startswith("skip late missed ") for line in lines)
    assert not any("later" in line for line in lines)
    assert "3 entries wait for a slot" in done.stderr


def test_a_dry_run_names_what_another_client_stored_on_one_line(
    server: RedisServer, client: redis.Redis, store: Client
) -> None:
    put(store, {"owed": HOURLY})
    name = b"x\xff\x07\nfire x"
    client.zadd(f"{T}:due", {name: now_ms(client)})
    for key in ("def", "rev"):
        client.hset(f"{T}:{key}", name, client.hget(f"{T}:{key}", "owed"))
    done = beatd("run", "--dry-run", "--once", "--redis", server.url)
    (line,) = [line for line in done.stdout.splitlines() if "x" in line]
    assert line.startswith("invalid x\\udcff\\x07\\nfire x: ")


def test_a_dry_run_tells_what_the_files_would_change(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    daemon = start_daemon(server.url, config={"schedules": fast_entries(3)}, arguments=("--dry-run",))
    daemon.wait_for_line("the files would write 3 entries and remove 0")
    daemon.wait_for_line("3 entries wait for a slot")
    assert client.keys("*") == []


def test_a_dry_run_fires_the_very_ids_that_the_daemon_would(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    store_due(store, client)
    foretold = beatd("run", "--dry-run", "--once", "--redis", server.url).stdout
    ledger = open_ledger(server)
    start_daemon(server.url)
    fired = ledger.wait_for_entry("due")[0]  # at the full hour a second one follows
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
    warned, strict = start_daemon(server.url), start_daemon(server.url, arguments=("--strict",))
    assert strict.wait() == 3
    assert said in strict.log
    assert "or start without --strict" in strict.log
    assert said in warned.wait_for("risk_found").line
    warned.wait_for("leader_acquired")
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    warned.wait_for("redis_up")
    assert len(warned.events("redis_met")) == 1


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


def test_what_may_not_be_read_is_said_without_a_warning(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    client.execute_command("ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all", "-config")
    daemon = start_daemon(server.url.replace("redis://", "redis://bob:secret@"))
    assert "may not be read, so not checked: save" in daemon.wait_for("redis_met").line
    assert not daemon.events("risk_found", risk="Redis keeps nothing on disk")
