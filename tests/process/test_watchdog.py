"""A loop that hangs takes its process down and says where; one that was merely stopped lives on."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import hangs
from tests.support.daemon import ROOT, Daemon
from tests.support.notify import NotifySocket
from tests.support.processes import alive
from tests.support.scenes import StartDaemon, StartRedis, fast_entries, wait_until

TTL_S = 2.0
HANGS = ("read_a_silent_socket", "take_a_lock_twice", "compute_for_ever")


class Pair:
    """A leader and its standby in a namespace of their own."""

    standby: Daemon

    def __init__(self, start_daemon: StartDaemon, url: str | None, name: str, tmp_path: Path, **settings: Any) -> None:
        config = {"namespace": name, "schedules": fast_entries(2)}
        self.name = name
        self.leader = start_daemon(url, folder=tmp_path / name, config=config, **settings)
        self.start_standby: Callable[[], Daemon] = lambda: start_daemon(url, folder=tmp_path / name)
        self.hit_at = 0.0

    def hit(self, how: signal.Signals) -> None:
        self.hit_at = time.monotonic()
        self.leader.send(how)

    def standby_fires_in_time(self) -> None:
        fired = self.standby.wait_for("entry_fired")
        assert fired.at - self.hit_at < TTL_S + 1, self.standby.log


def complete(*pairs: Pair) -> None:
    """Their standbys come once the leaders lead."""
    for pair in pairs:
        pair.leader.wait_for("entry_fired")
        pair.standby = pair.start_standby()
    for pair in pairs:
        pair.standby.wait_for("started")


def hung_pair(start_daemon: StartDaemon, url: str | None, hang: str, tmp_path: Path) -> Pair:
    return Pair(start_daemon, url, hang, tmp_path, program=(hangs.__file__, hang))


def ends_with_70_and_says_where(pair: Pair) -> None:
    assert pair.leader.wait(timeout=20) == 70, pair.leader.log
    assert 12 <= time.monotonic() - pair.hit_at <= 15
    assert f"in {pair.name}\n" in pair.leader.log
    assert "in Elector.run\n" in pair.leader.log
    assert pair.leader.events("watchdog_expired", missed="12")


def lives_on_as_a_candidate(pair: Pair) -> None:
    pair.leader.send(signal.SIGCONT)
    pair.leader.wait_for("lease_lost")
    fired = len(pair.leader.events("entry_fired"))
    pair.standby.kill()
    pair.leader.wait_for("entry_fired", count=fired + 1)
    assert not pair.leader.events("watchdog_expired")


@contextmanager
def with_a_full_stderr(url: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A daemon that hangs when it is told to, and whose log is a pipe that nobody reads, full by now."""
    folder.mkdir()
    (folder / "schedules.yaml").write_text(json.dumps({"namespace": "unread", "schedules": fast_entries(20)}))
    command = [sys.executable, hangs.__file__, HANGS[0], "run", "--redis", url, "--http", "off"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, pipesize=4096) as daemon:
        try:
            assert daemon.stderr is not None
            wait_until(lambda: waiting_to_be_read(daemon.stderr) > 3500)
            yield daemon
        finally:
            daemon.kill()


def waiting_to_be_read(pipe: Any) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_hung_loop_ends_with_70_and_a_stopped_process_lives(
    start_redis: StartRedis, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    url = start_redis().url
    places = dict(zip(HANGS, (url, url, None), strict=True))  # one has a private server, which must end with it
    hung = [hung_pair(start_daemon, place, hang, tmp_path) for hang, place in places.items()]
    stopped = Pair(start_daemon, url, "stopped", tmp_path)
    complete(*hung, stopped)
    private = json.loads((tmp_path / HANGS[2] / ".beatd" / "server.json").read_text())["pid"]
    with with_a_full_stderr(url, tmp_path / "unread") as unread:
        unread.send_signal(signal.SIGUSR1)
        stopped.hit(signal.SIGSTOP)
        for pair in hung:
            pair.hit(signal.SIGUSR1)
        for pair in (*hung, stopped):
            pair.standby_fires_in_time()
        for pair in hung:
            ends_with_70_and_says_where(pair)
        assert unread.wait(20) == 70
    wait_until(lambda: not alive(private))
    assert time.monotonic() - stopped.hit_at > 12
    lives_on_as_a_candidate(stopped)


@pytest.mark.nightly
def test_a_process_stopped_for_30_s_lives(start_redis: StartRedis, start_daemon: StartDaemon, tmp_path: Path) -> None:
    pair = Pair(start_daemon, start_redis().url, "stopped", tmp_path)
    complete(pair)
    pair.hit(signal.SIGSTOP)
    wait_until(lambda: time.monotonic() - pair.hit_at > 30, timeout=40)
    lives_on_as_a_candidate(pair)


def test_where_no_thread_runs_systemd_hears_no_more_and_its_abort_leaves_the_stacks(
    start_redis: StartRedis, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    with NotifySocket(f"@beatd-test-{tmp_path.name}-{time.monotonic_ns()}") as systemd:
        hang = "hold_the_interpreter"
        env = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "30000000"}
        daemon = start_daemon(start_redis().url, program=(hangs.__file__, hang), env=env)
        systemd.wait_for("WATCHDOG=1")
        daemon.send(signal.SIGUSR1)
        systemd.hear_all(1.5)  # what was on its way
        with pytest.raises(TimeoutError):
            systemd.wait_for("WATCHDOG=1", timeout=2.5)
        daemon.send(signal.SIGABRT)
        assert daemon.wait() == -signal.SIGABRT
        assert f"in {hang}" in "\n".join(daemon.take_faults())  # Python's own words, and no lines of a log
