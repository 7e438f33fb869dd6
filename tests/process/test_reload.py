"""Edits of schedules.yaml while the daemon runs: in effect soon, whole or not at all, whoever leads."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from beatd.client.blocking import Client
from beatd.client.change_log import changes
from beatd.client.entries import get, pause
from beatd.core.overview import judged
from beatd.store.entries import Pause
from beatd.store.overview import read_overview
from tests.support.daemon import Daemon, Fleet
from tests.support.ledger import Ledger
from tests.support.scenes import FAST, StartDaemon, T, wait_until
from tests.support.servers import RedisServer

SLOW: dict[str, Any] = {"task": "t.t", "cron": "0 4 1 1 *"}


def schedules(*names: str, **more: Any) -> dict[str, Any]:
    return {"schedules": {name: {**SLOW, "args": [name]} for name in names}, **more}


def text(config: dict[str, Any]) -> str:
    return json.dumps(config)


def replace(path: Path, content: str) -> None:
    """As editors save: a new file is moved over the old one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(content)
    new.rename(path)


def stored(client: redis.Redis) -> set[str]:
    names: Any = client.hkeys(f"{T}:file")
    return {name.decode() for name in names}


def applied(daemon: Daemon, count: int = 1) -> None:
    """Waits until the leader has told of so many changes."""
    daemon.wait_for("config_reloaded", count=count)


def status(server: RedisServer) -> tuple[int, Any]:
    """As `beatd status` ends, and what it shows."""
    with Client(server.url, "default") as store:
        found = judged(read_overview(store.link))
    return int(found["code"]), found


def test_a_saved_file_is_applied_by_itself_and_a_comment_changes_nothing(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=schedules("a", "b"), arguments=["--log-level", "debug"])
    applied(daemon)
    path = daemon.folder / "schedules.yaml"
    saved = time.monotonic()
    daemon.write(schedules("b", "c", "d"))
    assert daemon.wait_for("config_reloaded", put="2", removed="1", entries="3").at - saved < 4
    assert stored(client) == {"b", "c", "d"}
    revision = client.hgetall(f"{T}:rev")
    replace(path, f"# the same\n{text(schedules('b', 'c', 'd'))}")
    daemon.wait_for_line("the files mean what they meant")
    replace(path, text(schedules("b", "c", "d", "e")))
    daemon.wait_for("config_reloaded", put="1", removed="0", entries="4")
    assert {name: rev for name, rev in client.hgetall(f"{T}:rev").items() if name != b"e"} == revision
    assert len(daemon.events("config_reloaded")) == 3


def test_sighup_applies_at_once(server: RedisServer, client: redis.Redis, start_daemon: StartDaemon) -> None:
    daemon = start_daemon(server.url, config=schedules("a"))
    applied(daemon)
    daemon.write(schedules("b"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config_reloaded", put="1", removed="1")
    assert stored(client) == {"b"}
    assert daemon.stop() == 0


def test_sighup_of_a_terminal_that_was_closed_ends_it(server: RedisServer, start_daemon: StartDaemon) -> None:
    """It would go on for ever, and nobody would see it."""
    screen, terminal = os.openpty()
    daemon = start_daemon(server.url, config=schedules("a"), stdin=terminal)
    os.close(terminal)
    applied(daemon)
    daemon.write(schedules("b"))
    daemon.send(signal.SIGHUP)
    applied(daemon, 2)
    os.close(screen)
    assert daemon.stop(signal.SIGHUP) == 0
    assert daemon.events("leader_released")


def test_an_entry_that_is_renamed_comes_and_goes_in_one_step(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config={"schedules": {"old": FAST, "stays": SLOW}})
    applied(daemon)
    daemon.write({"schedules": {"stays": SLOW, "new": FAST}})
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config_reloaded", entries="2", put="1", renamed="1")
    assert stored(client) == {"stays", "new"}
    rows: Any = client.xrevrange(f"{T}:log", count=2)
    assert [(fields[b"op"], fields[b"name"]) for _, fields in rows] == [(b"remove", b"old"), (b"put", b"new")]
    assert len({fields[b"at"] for _, fields in rows}) == 1  # one call, for it has one clock


def test_a_line_that_is_renamed_stays_paused_and_the_log_tells_which_instance_and_file_did_it(
    server: RedisServer, store: Client, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config={"schedules": {"old": FAST, "stays": SLOW}})
    applied(daemon)
    store.run(pause(store.keys, ["old"], "p1", "{}", Pause("ann", "a deploy")))
    daemon.write({"schedules": {"stays": SLOW, "new": FAST}})
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config_reloaded", renamed="1")
    row = store.run(get(store.keys, "new"))
    assert (row.pause_at(store.now_ms()) or {})["note"] == "a deploy"
    [told] = store.run(changes(store.keys, "new"))
    assert (told.change.what, told.change.replaces) == ("renamed", "old")
    who = told.change.who
    assert (who["client"], who["instance"], who["files"]) == (
        "beatd run",
        daemon.name,
        [str(daemon.folder / "schedules.yaml")],
    )


def test_included_files_count_when_they_are_changed_added_or_taken_away(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    more = tmp_path / "d" / "more"
    more.mkdir(parents=True)
    (more / "1.yaml").write_text(text(schedules("one")))
    config = schedules("root", include=["more/*.yaml"])
    daemon = start_daemon(server.url, config=config, folder=tmp_path / "d")
    applied(daemon)
    assert stored(client) == {"root", "one"}
    (more / "1.yaml").write_text(text(schedules("first")))
    applied(daemon, 2)
    assert stored(client) == {"root", "first"}
    (more / "1.yaml").unlink()
    (more / "2.yaml").write_text(text(schedules("two")))
    applied(daemon, 3)
    assert stored(client) == {"root", "two"}
    (more / "2.yaml").write_text(text(schedules("root")))
    refused = daemon.wait_for("config_refused")
    assert "more/2.yaml:1:16: E051" in refused.line
    assert stored(client) == {"root", "two"}


def test_a_directory_that_is_swapped_behind_a_link_is_seen(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """As Kubernetes updates a mounted ConfigMap: the files are links into ..data, a link that is moved over."""
    folder = tmp_path / "mounted"

    def publish(version: str, **files: str) -> None:
        (folder / version).mkdir(parents=True)
        for name, content in files.items():
            (folder / version / f"{name}.yaml").write_text(content)
        (folder / "..data_tmp").symlink_to(version)
        (folder / "..data_tmp").rename(folder / "..data")

    publish("..2026_1", schedules=text(schedules("a", include=["more.yaml"])), more=text(schedules("b")))
    for name in ("schedules.yaml", "more.yaml"):
        (folder / name).symlink_to(f"..data/{name}")
    daemon = start_daemon(server.url, folder=folder)
    applied(daemon)
    publish("..2026_2", schedules=text(schedules("a", include=["more.yaml"])), more=text(schedules("c")))
    applied(daemon, 2)
    assert stored(client) == {"a", "c"}


def test_a_file_that_is_still_being_written_is_never_applied(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=schedules("a"))
    applied(daemon)
    pace = threading.Event()
    with (daemon.folder / "schedules.yaml").open("w") as file:
        file.write("schedules:\n")
        for number in range(10):
            file.write(f"  e{number}: {{task: t.t, every: 1m}}\n")  # whatever is cut off here could be read
            file.flush()
            assert not pace.wait(0.1)
    daemon.wait_for("config_reloaded", put="10", removed="1")
    assert len(daemon.events("config_reloaded")) == 2
    assert daemon.events("config_refused") == []


def test_an_unusable_file_changes_nothing_and_is_told_with_its_places_until_it_is_mended(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=schedules("a"))
    applied(daemon)
    path = daemon.folder / "schedules.yaml"
    path.write_text("schedules:\n  a: {task: t.t, evry: 5s}\n  b: {task: t.t, cron: '99 * * * *'}\n")
    refused = daemon.wait_for("config_refused", problems="2").line
    assert "schedules.yaml:2:18: E" in refused
    assert "schedules.yaml:3:24: E" in refused
    wait_until(lambda: status(server)[0] == 1)
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config_refused", count=2)
    assert stored(client) == {"a"}
    path.unlink()
    daemon.wait_for("config_refused", problems="1")
    replace(path, text(schedules("a", "b")))
    daemon.wait_for("config_reloaded", put="1", removed="0", entries="2")
    assert stored(client) == {"a", "b"}
    wait_until(lambda: status(server)[0] == 0)
    assert len(daemon.events("config_refused")) == 3


def test_a_file_that_takes_most_entries_away_waits_for_sighup(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=schedules(*[f"e{n}" for n in range(12)]))
    applied(daemon)
    daemon.write(schedules("e0"))
    assert "SIGHUP" in daemon.wait_for("config_refused").line
    assert len(stored(client)) == 12
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config_reloaded", removed="11")
    assert stored(client) == {"e0"}


def test_settings_that_need_a_restart_are_told_and_entries_are_applied_all_the_same(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=schedules("a"))
    applied(daemon)
    daemon.write(schedules("b", namespace="other", history={"fires": "1MB"}, redis="redis://elsewhere"))
    told = daemon.wait_for("config_reloaded", put="1", removed="1").line
    assert 'needs_restart="namespace, history.fires"' in told  # the flag --redis wins over the file, as before
    assert stored(client) == {"b"}


def stands(server: RedisServer, daemon: Daemon) -> str | None:
    """What `status` says of an instance's files."""
    instance = status(server)[1]["files"]["instances"].get(daemon.name)
    return None if instance is None else str(instance["stands"])


def test_of_two_instances_files_those_registered_last_are_stored_whoever_leads(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    one = start_daemon(server.url, config=schedules("first"), lease_ttl="1s")
    applied(one)
    two = start_daemon(server.url, config=schedules("second"), lease_ttl="1s")
    wait_until(lambda: stands(server, two) == "newer")
    assert (status(server)[0], stored(client)) == (1, {"first"})
    one.stop()
    two.wait_for("config_reloaded", put="1", removed="1")

    one.write(schedules("third"))
    one.start()
    wait_until(lambda: stands(server, one) == "newer")
    two.send(signal.SIGHUP)  # whoever registers anew comes last again
    wait_until(lambda: stands(server, one) == "older")
    two.kill()
    one.wait_for("config_refused")
    assert (status(server)[0], stored(client)) == (1, {"second"})

    two.start()
    wait_until(lambda: stands(server, two) == "stored")
    one.stop()
    two.wait_for("leader_acquired", count=2)
    wait_until(lambda: status(server)[0] == 0)
    assert stored(client) == {"second"}
    assert len(two.events("config_reloaded")) == 1


def test_a_standby_reads_again_writes_nothing_and_leads_with_the_right_files(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    leader = start_daemon(server.url, config=schedules("a"))
    applied(leader)
    standby = start_daemon(server.url, config=schedules("a"))
    fleet = Fleet([leader, standby], client)
    standby.wait_for("started")
    for daemon in (standby, leader):
        daemon.write(schedules("a", "b"))
        daemon.wait_for("config_reloaded", entries="2")
    assert not standby.events("config_reloaded", put="1")
    leader.stop()
    assert fleet.leader() is standby
    standby.write(schedules("a", "b", "c"))
    standby.wait_for("config_reloaded", put="1", entries="3")
    assert stored(client) == {"a", "b", "c"}


def test_without_a_file_what_is_stored_of_files_goes_on(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    first = start_daemon(server.url, config=schedules("a"))
    applied(first)
    first.stop()
    second = start_daemon(server.url)
    second.wait_for("leader_acquired")
    second.send(signal.SIGHUP)
    second.wait_for_line("what is stored goes on")
    assert stored(client) == {"a"}
    assert status(server)[0] == 0
    second.write(schedules("b"))
    second.send(signal.SIGHUP)
    second.wait_for("config_reloaded", put="1", removed="1")
    assert stored(client) == {"b"}


def test_several_files_on_a_private_server_are_followed_too(start_daemon: StartDaemon, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(text(schedules("b")))
    daemon = start_daemon(None, config=schedules("a"), arguments=["-c", str(other)])
    applied(daemon)
    replace(other, text(schedules("c")))
    daemon.wait_for("config_reloaded", put="1", removed="1", entries="2")
    daemon.write(schedules("d"))
    daemon.wait_for("config_reloaded", count=2, put="1", removed="1", entries="2")
    assert daemon.stop() == 0


def test_a_large_edit_of_the_file_makes_nothing_else_late(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": {"steady": FAST}}, lease_ttl="6s")
    ledger.wait_for_entry("steady", 2)
    many = {f"e{n}": {"task": "t.t", "cron": f"{n % 60} 4 1 1 *"} for n in range(3_000)}
    daemon.write({"schedules": {"steady": FAST, **many}})
    daemon.wait_for("config_reloaded", put="3000", timeout=40)
    seconds, micros = client.time()
    at = seconds * 1000 + micros // 1000
    ledger.wait_for_entry("steady", 2, after=at)
    ledger.check_once()
    late = [m.wall_ms - m.slot for m in ledger.all("steady")]
    assert max(late) < 400, late
