"""`beatd run` as a service of systemd: what it says, over a real socket, from its start to its end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import ROOT
from tests.support.notify import NotifySocket
from tests.support.scenes import StartDaemon, StartRedis, fast_entries
from tests.support.units import UNITS, filled_in, own_commands, read_unit

CONFIG = {"schedules": fast_entries(3)}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(f"@beatd-test-{os.getpid()}-{time.monotonic_ns()}") as listening:
        yield listening


def as_a_service(systemd: NotifySocket) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "30000000"}


def test_a_life_as_a_service(start_redis: StartRedis, start_daemon: StartDaemon, systemd: NotifySocket) -> None:
    server = start_redis()
    daemon = start_daemon(server.url, config=CONFIG, env=as_a_service(systemd))
    assert systemd.next() == "READY=1"
    systemd.wait_for("STATUS=leader, epoch ")
    systemd.wait_for("WATCHDOG=1")
    daemon.write({"schedules": fast_entries(4)})
    daemon.send(signal.SIGHUP)
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=[0-9]+", systemd.wait_for("RELOADING=1"))
    systemd.wait_for("READY=1")
    while not systemd.wait_for("STATUS=").endswith(", 4 entries"):
        pass  # the one before may have been on its way
    assert daemon.stop() == 0
    systemd.wait_for("STOPPING=1")


def test_it_is_ready_and_alive_while_it_waits_for_redis_and_reloads_that_fail_are_over(
    start_redis: StartRedis, start_daemon: StartDaemon, systemd: NotifySocket
) -> None:
    server = start_redis()
    server.kill()
    daemon = start_daemon(server.url, config=CONFIG, env=as_a_service(systemd))
    assert systemd.next() == "READY=1"
    systemd.wait_for("STATUS=waiting for Redis")
    systemd.wait_for("WATCHDOG=1")
    (daemon.folder / "schedules.yaml").write_text("schedules: [")
    daemon.send(signal.SIGHUP)
    systemd.wait_for("RELOADING=1")
    systemd.wait_for("READY=1")
    daemon.wait_for("config_refused")
    assert daemon.stop() == 0
    systemd.wait_for("STOPPING=1")


def test_an_unusable_configuration_never_is_ready(start_daemon: StartDaemon, systemd: NotifySocket) -> None:
    config = {"schedules": {"e": {"task": "t.t", "cron": "no"}}}
    assert start_daemon("redis://127.0.0.1:1/0", config=config, env=as_a_service(systemd)).wait() == 3
    assert systemd.hear_all(0.1) == []


def test_a_watchdog_too_short_for_its_signs_of_life_is_told_of(start_daemon: StartDaemon) -> None:
    env = {"NOTIFY_SOCKET": "/no/such/socket", "WATCHDOG_USEC": "2000000"}
    daemon = start_daemon("redis://127.0.0.1:1/0", config=CONFIG, env=env)
    assert "give it 30 s" in daemon.wait_for_line("WatchdogSec is 2 s")


@pytest.mark.parametrize("name", ["beatd.service", "beatd@.service"])
def test_the_unit_as_it_is_written_starts_a_service_that_is_ready_and_leads(
    name: str, start_redis: StartRedis, systemd: NotifySocket, tmp_path: Path
) -> None:
    unit, etc = read_unit(UNITS / name), tmp_path / "etc"
    specifiers = {"d": str(tmp_path / "credentials"), "S": str(tmp_path), "i": "shop"}
    state = Path(filled_in(unit["WorkingDirectory"][0], specifiers))
    for folder in (etc, Path(specifiers["d"]), state):
        folder.mkdir(parents=True)
    credential = unit["LoadCredential"][0].partition(":")[0]
    (Path(specifiers["d"]) / credential).write_text(f"{start_redis().url}\n")
    (etc / "shop.yaml").write_text(json.dumps(CONFIG))
    (words,) = own_commands([filled_in(line, specifiers).replace("/etc/beatd", str(etc)) for line in unit["ExecStart"]])
    given = dict(filled_in(line, specifiers).split("=", 1) for line in unit["Environment"])
    daemon = subprocess.Popen(
        [sys.executable, "-m", "beatd", *words],
        cwd=state,
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, **given, **as_a_service(systemd)},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert systemd.next() == "READY=1"
        systemd.wait_for("STATUS=leader, epoch ")
    finally:
        daemon.terminate()
        assert daemon.wait(20) == 0


def test_the_process_that_reads_the_files_anew_does_not_inherit_the_socket(
    start_daemon: StartDaemon, systemd: NotifySocket, tmp_path: Path
) -> None:
    """Its environment as it really is: an interpreter that writes it down before it does what it was started for."""
    seen, python = tmp_path / "environment", tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *sandboxed*) env >> {seen} ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "schedules.yaml").write_text("schedules: {e: {task: t.t, every: 1h}}")
    code = f"import sys; sys.executable = {str(python)!r}; from beatd.cli import main; main()"
    daemon = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--redis", "redis://127.0.0.1:1/0"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **as_a_service(systemd)},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert systemd.next() == "READY=1"
        daemon.send_signal(signal.SIGHUP)
        systemd.wait_for("RELOADING=1")
        systemd.wait_for("READY=1")
    finally:
        daemon.kill()
        daemon.wait()
    assert "PYTHONPATH=" in seen.read_text()
    assert not re.search("NOTIFY_SOCKET|WATCHDOG_", seen.read_text())
