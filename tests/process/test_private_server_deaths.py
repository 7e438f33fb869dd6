"""Who dies with whom: daemons killed under real servers, servers killed under daemons, and who takes over."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from beatd.errors import ConfigInvalid, Unreachable
from beatd.store.embedded import child
from beatd.store.embedded.folder import DATA_LOCK, is_locked
from beatd.store.embedded.port import is_free
from tests.support.private_server import (
    Machine,
    Owner,
    add_one,
    is_free_for_all,
    is_ready,
    keeper_of,
    make,
    record_of,
    started,
    wait_until,
)


def test_kill_9_of_the_daemon_leaves_no_server_and_all_data(owner_of: Callable[[Path], Owner], base: Path) -> None:
    owner = owner_of(base)
    server = owner.hear()
    assert add_one(server["url"]) == 1
    owner.kill()
    wait_until(lambda: not is_locked(base / ".beatd" / DATA_LOCK))
    with pytest.raises(redis.ConnectionError):
        add_one(server["url"])
    with started(base) as again:
        assert again.url == server["url"]
        assert add_one(again.url) == 2


def test_a_start_right_after_kill_9_waits_for_the_dying_server(owner_of: Callable[[Path], Owner], base: Path) -> None:
    first = owner_of(base)
    server = first.hear()
    add_one(server["url"])
    first.kill()
    again = owner_of(base).hear()
    assert (again["url"], again["joined"]) == (server["url"], False)
    assert add_one(again["url"]) == 2


def test_ctrl_c_reaches_the_daemon_and_not_its_server(owner_of: Callable[[Path], Owner], base: Path) -> None:
    owner = owner_of(base)
    server = owner.hear()
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.hear() == {"interrupted": True}
    assert add_one(server["url"]) == 1
    assert os.getsid(server["pid"]) == server["pid"]
    assert "SIGINT" not in (base / ".beatd/server.log").read_text()


def test_a_daemon_dead_before_its_server_was_tied_to_it_leaves_none(tmp_path: Path) -> None:
    trace = tmp_path / "started"
    not_its_parent = os.getppid()
    done = subprocess.run(
        [sys.executable, "-I", "-S", child.__file__, str(not_its_parent), shutil.which("touch") or "", str(trace)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the daemon ended before" in done.stderr
    assert not trace.exists()


def test_a_blocked_sigterm_of_the_daemon_does_not_make_its_server_unstoppable(machine: Machine, base: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        keeper = keeper_of(base)
        server = keeper.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    blocked = next(line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if "SigBlk" in line)
    keeper.stop()
    assert int(blocked.split()[1], 16) & 1 << (signal.SIGTERM - 1) == 0


def test_a_server_that_dies_under_its_daemon_is_started_again_at_the_same_url(
    machine: Machine, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = keeper_of(base)
    try:
        first = keeper.start()
        add_one(first.url)
        assert keeper.tend() == first
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: keeper.tend() != first)
        second = keeper.tend()
        wait_until(lambda: is_ready(second.url))
        assert (second.url, second.joined) == (first.url, False)
        assert add_one(second.url) == 2
        assert record_of(base)["pid"] == second.pid
        assert "signal 9" in caplog.text
    finally:
        keeper.stop()


def test_a_restart_that_fails_leaves_no_server_and_is_tried_again(machine: Machine, base: Path) -> None:
    keeper = keeper_of(base)
    try:
        first = keeper.start()
        in_the_way = make(base / ".beatd/server.json.new")
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises(ConfigInvalid, match="can't be written"):
            wait_until(lambda: keeper.tend() != first)
        assert not is_locked(base / ".beatd" / DATA_LOCK)
        in_the_way.rmdir()
        assert keeper.tend().url == first.url
        wait_until(lambda: is_ready(first.url))
    finally:
        keeper.stop()
    with pytest.raises(RuntimeError, match="tend comes after start"):
        keeper.tend()


def test_a_restart_does_not_leave_a_port_that_was_taken_meanwhile(machine: Machine, base: Path) -> None:
    keeper = keeper_of(base)
    try:
        server = keeper.start()
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: is_free(server.port))
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", server.port))
            stranger.listen()
            with pytest.raises(ConfigInvalid, match="is taken by another program"):
                wait_until(lambda: keeper.tend() != server)
        assert keeper.tend().url == server.url
    finally:
        keeper.stop()


def test_a_worker_thread_can_not_start_it(machine: Machine, base: Path) -> None:
    raised: list[BaseException] = []

    def start() -> None:
        try:
            keeper_of(base).start()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(raised[0])
    assert is_free_for_all(base)


# -- two daemons, one folder


def test_a_second_daemon_joins_and_stops_nothing(owner_of: Callable[[Path], Owner], base: Path) -> None:
    owned = owner_of(base).hear()
    with started(base) as joined:
        assert joined.joined
        assert (joined.url, joined.pid) == (owned["url"], owned["pid"])
    assert add_one(owned["url"]) == 1


def test_many_daemons_at_once_make_one_server(owner_of: Callable[[Path], Owner], base: Path) -> None:
    heard = [owner.hear() for owner in [owner_of(base) for _ in range(4)]]
    assert len({(server["url"], server["pid"]) for server in heard}) == 1
    assert sorted(server["joined"] for server in heard) == [False, True, True, True]


@pytest.mark.parametrize("death", ["killed", "stopped"])
def test_the_joined_daemon_takes_over_at_the_same_url(
    owner_of: Callable[[Path], Owner], base: Path, death: str
) -> None:
    first, second = owner_of(base), None
    owned = first.hear()
    second = owner_of(base)
    assert second.hear()["joined"]
    assert second.tend()["joined"]
    add_one(owned["url"])
    if death == "killed":
        first.kill()
    else:
        first.tell("stop")
        first.process.wait()
    wait_until(lambda: not second.tend()["joined"])
    wait_until(lambda: is_ready(owned["url"]))
    taken = second.tend()
    assert taken["url"] == owned["url"]
    assert taken["pid"] != owned["pid"]
    assert add_one(taken["url"]) == 2


def test_joining_waits_in_vain_for_a_daemon_whose_server_hangs(owner_of: Callable[[Path], Owner], base: Path) -> None:
    server = owner_of(base).hear()
    os.kill(server["pid"], signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable, match="held by another beatd") as caught:
            keeper_of(base, ready_timeout_s=0.1).start()
        assert "fuser" in str(caught.value.hint)
    finally:
        os.kill(server["pid"], signal.SIGCONT)
