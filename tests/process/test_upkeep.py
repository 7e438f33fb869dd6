"""What the leader looks after beside firing: names that lie astray, what is over, zone data, histories in bytes."""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import redis

from beatd.client import entries
from beatd.client.blocking import Client
from beatd.client.change_log import changes
from tests.support.scenes import StartDaemon, T, call_for_upkeep, now_ms, put, wait_until
from tests.support.servers import RedisServer

WEEK_MS = 7 * 86_400_000
SLOW: dict[str, Any] = {"task": "t.t", "cron": "0 3 1 1 *"}


def test_what_somebody_did_to_the_places_by_hand_is_mended(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon
) -> None:
    put(store, dict.fromkeys(("lost", "doubled", "stays"), SLOW))
    daemon = start_daemon(server.url)
    wait_until(lambda: (client.zscore(f"{T}:due", "stays") or -1) > 0)
    client.zrem(f"{T}:due", "lost")
    client.hset(f"{T}:out", "doubled", '{"paused":{"who":"somebody"}}')
    client.hset(f"{T}:out", "stranger", '{"paused":{}}')
    daemon.wait_for("entry_invalid", entry="lost")
    daemon.wait_for("entry_invalid", entry="doubled")
    daemon.wait_for("entry_invalid", entry="stranger")
    wait_until(lambda: (client.zscore(f"{T}:due", "lost") or -1) > 0)
    assert client.zscore(f"{T}:due", "doubled") is None
    assert not client.hexists(f"{T}:out", "stranger")


def test_what_is_over_is_forgotten(
    server: RedisServer, client: redis.Redis, store: Client, start_daemon: StartDaemon
) -> None:
    for name in ("removed", "ran once", "ended once, inside a pause", "runs no more"):
        put(store, {name: {"task": "t.t", **({"at": "2020-01-01T00:00Z"} if "once" in name else {"every": "1h"})}})
    store.run(entries.remove(store.keys, ["removed"], "{}"))
    old = str(now_ms(client) - WEEK_MS - 1)
    client.hset(f"{T}:gone", "removed", json.dumps({"at": old, "file": False}))
    client.hset(
        f"{T}:hold", "ended once, inside a pause", json.dumps({"until": now_ms(client) + WEEK_MS, "since": old})
    )
    for name in ("ran once", "ended once, inside a pause", "runs no more"):
        client.zrem(f"{T}:due", name)
        client.hset(f"{T}:out", name, json.dumps({"finished": {"at": old}}))
    client.hset(f"{T}:inst", "dead:1", json.dumps({"seen": int(old)}))
    start_daemon(server.url)
    call_for_upkeep(client)
    wait_until(lambda: store.find("ran once") is None)
    assert client.hkeys(f"{T}:gone") == [b"ran once"]
    assert store.run(changes(store.keys, "ran once"))[-1].change.note == "it ran for the last time a week ago"
    assert store.find("runs no more") is not None  # it may be given more runs
    assert store.find("ended once, inside a pause") is not None  # its pause may be lifted before
    assert not client.hexists(f"{T}:inst", "dead:1")


def zone_folder(folder: Path, version: str, zone: str) -> Path:
    """Zone data in which Test/Zone is another zone, so that its slots move from one version to the next."""
    (folder / "Test").mkdir(parents=True)
    (folder / "tzdata.zi").write_text(f"# version {version}\n")
    for name, path in ((zone, folder / "Test" / "Zone"), ("UTC", folder / "UTC")):
        with as_file(files("tzdata").joinpath("zoneinfo", *name.split("/"))) as source:
            shutil.copy(source, path)
    return folder


def test_newer_zone_data_move_what_comes_earlier_or_later_now(
    server: RedisServer,
    client: redis.Redis,
    store: Client,
    start_daemon: StartDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {"schedules": {"night": {**SLOW, "timezone": "Test/Zone"}, "utc": SLOW}}

    def planned(version: str, zone: str) -> tuple[int, int]:
        monkeypatch.setenv("BEATD_TZPATH", str(zone_folder(tmp_path / version, version, zone)))
        daemon = start_daemon(server.url, config=config)
        wait_until(lambda: client.hget(f"{T}:meta", "tzdata") == version.encode())
        wait_until(lambda: all((client.zscore(f"{T}:due", name) or -1) > 0 for name in config["schedules"]))
        daemon.stop()
        return tuple(int(client.zscore(f"{T}:due", name) or 0) for name in ("night", "utc"))  # type: ignore[return-value]

    night, utc = planned("2030a", "Etc/GMT-3")
    assert (night, utc) == (utc - 3 * 3_600_000, utc)
    assert planned("2030b", "Etc/GMT-5") == (utc - 5 * 3_600_000, utc)
    assert planned("2030c", "Etc/GMT+2") == (utc + 2 * 3_600_000, utc)


def test_older_zone_data_move_nothing_and_say_so(
    server: RedisServer,
    client: redis.Redis,
    start_daemon: StartDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {"schedules": {"night": {**SLOW, "timezone": "Test/Zone"}}}
    monkeypatch.setenv("BEATD_TZPATH", str(zone_folder(tmp_path / "new", "2030b", "Etc/GMT-3")))
    newer = start_daemon(server.url, config=config)
    wait_until(
        lambda: client.hget(f"{T}:meta", "tzdata") == b"2030b" and (client.zscore(f"{T}:due", "night") or -1) > 0
    )
    before = client.zscore(f"{T}:due", "night")
    newer.stop()
    monkeypatch.setenv("BEATD_TZPATH", str(zone_folder(tmp_path / "old", "2030a", "Etc/GMT-5")))
    older = start_daemon(server.url, config=config)
    assert "2030a" in older.wait_for_line("the timetable was planned with 2030b")
    assert client.zscore(f"{T}:due", "night") == before
    assert client.hget(f"{T}:meta", "tzdata") == b"2030b"


def test_a_history_keeps_to_its_bytes(server: RedisServer, client: redis.Redis, start_daemon: StartDaemon) -> None:
    """A million rows would be far more than 2 MB: the bound is in bytes, whatever the rows."""
    padding = "x" * 1000
    with client.pipeline(transaction=False) as pipe:
        for number in range(20_000):
            pipe.xadd(f"{T}:hist", {"epoch": number, "fires": padding})
        pipe.execute()
    assert (client.memory_usage(f"{T}:hist") or 0) > 8_000_000
    entry = {"task": "t.t", "every": "200ms", "fast": True}
    start_daemon(server.url, config={"history": {"fires": "2MB"}, "schedules": {"fast": entry}})
    call_for_upkeep(client)
    wait_until(lambda: (client.memory_usage(f"{T}:hist") or 0) < 2_200_000)
    assert client.xlen(f"{T}:hist") > 100
