"""The private server's life and deaths, with real servers and real daemons that are killed."""

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

from beatd.errors import Unreachable
from beatd.store.embedded import child, find_running, private_server
from beatd.store.embedded.folder import DATA_LOCK, is_locked
from beatd.store.embedded.port import free_ports, is_free
from tests.support.private_server import (
    FIRST_PORT,
    Machine,
    Owner,
    add_one,
    client_of,
    is_free_for_all,
    is_ready,
    keeper_of,
    make,
    program_path,
    record_of,
    rewrite_record,
    start_and_stop,
    started,
    wait_until,
)

# -- an ordinary life


def test_the_first_start_makes_a_private_folder_and_a_ready_server(machine: Machine, base: Path) -> None:
    with started(base) as server:
        assert add_one(server.url) == 1
        assert not server.joined
        assert server.port >= FIRST_PORT
        assert server.folder == base / ".beatd"
        assert record_of(base) == {
            "url": server.url,
            "pid": server.pid,
            "binary": str(machine.folder / "redis-server"),
            "version": server.version,
        }
    assert {path.stat().st_mode & 0o777 for path in server.folder.rglob("*") if path.is_file()} == {0o600}
    assert server.folder.stat().st_mode & 0o777 == 0o700


def test_its_settings_are_those_of_a_durable_server_on_loopback(machine: Machine, base: Path) -> None:
    wanted = {
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "dir": str(base / ".beatd"),
    }
    with started(base) as server, client_of(server.url) as client:
        assert {key: client.config_get(key)[key] for key in wanted} == wanted


@pytest.mark.parametrize("family", ["redis", "valkey"])
def test_a_client_can_not_make_it_write_files_elsewhere(empty_machine: Machine, base: Path, family: str) -> None:
    empty_machine.install(f"{family}-server")
    with started(base) as server, client_of(server.url) as client:
        with pytest.raises(redis.ResponseError):
            client.config_set("dir", "/tmp")
        with pytest.raises(redis.ResponseError):
            client.execute_command("MODULE", "LOAD", "/tmp/evil.so")


@pytest.mark.parametrize("family", ["redis", "valkey"])
def test_a_restart_keeps_the_port_and_the_data(empty_machine: Machine, base: Path, family: str) -> None:
    empty_machine.install(f"{family}-server")
    with started(base) as first:
        assert add_one(first.url) == 1
    with started(base) as second:
        assert add_one(second.url) == 2
    assert second.version.startswith(f"{family} ")
    assert (second.url, second.version) == (first.url, first.version)
    assert second.pid != first.pid


def test_it_stops_with_its_block_and_leaves_the_folder_to_others(machine: Machine, base: Path) -> None:
    server = start_and_stop(base)
    assert is_free(server.port)
    assert is_free_for_all(base)


def test_a_busy_port_is_passed_over_at_the_first_start_and_not_taken_later(machine: Machine, base: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", next(free_ports(FIRST_PORT))))
        stranger.listen()
        with started(base) as first:
            assert first.port > stranger.getsockname()[1]
    with started(base) as second:
        assert second.url == first.url


def test_without_being_told_it_looks_for_a_port_from_7379_up(machine: Machine, base: Path) -> None:
    with private_server(base) as server:
        assert 7379 <= server.port < 8379


def test_the_daemons_secrets_are_not_in_the_servers_environment(
    machine: Machine, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = program_path(machine), tmp_path / "environment"
    machine.install_script("redis-server", f'export -p > {seen}\nexec {real} "$@"')
    monkeypatch.setenv("BEATD_BROKER_URL", "amqp://user:hunter2@host")
    start_and_stop(base)
    assert "LC_ALL" in seen.read_text()
    assert "hunter2" not in seen.read_text()


def test_people_are_told_the_url_for_their_workers(machine: Machine, base: Path) -> None:
    with started(base) as server:
        assert f"CELERY_BROKER_URL={server.url}" in server.notice()
        joined = find_running(base)
        assert joined is not None
        assert "no high availability" in joined.notice()


# -- deaths


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


# -- commands


def test_commands_find_the_running_server_and_nothing_else(machine: Machine, base: Path) -> None:
    assert find_running(base) is None
    assert list(base.iterdir()) == []
    with started(base) as server:
        found = find_running(base)
        assert found is not None
        assert (found.url, found.pid, found.version) == (server.url, server.pid, server.version)
    assert find_running(base) is None


def test_a_stranger_on_the_port_is_not_taken_for_the_private_server(machine: Machine, base: Path) -> None:
    with started(base), started(make(base / "other")) as other:
        rewrite_record(base, url=other.url)
        assert find_running(base) is None


def test_a_stranger_with_a_recycled_pid_is_not_taken_for_it_either(machine: Machine, base: Path) -> None:
    start_and_stop(base)
    with started(make(base / "other")) as other:
        rewrite_record(base, url=other.url, pid=other.pid)
        assert find_running(base) is None
