"""An ordinary life of the private server, and how commands find it."""

import os
import socket
from pathlib import Path

import pytest
import redis

from beatd.store.embedded import find_running, private_server
from beatd.store.embedded.port import free_ports, is_free
from beatd.store.embedded.process import LARGEST_LOG
from tests.support.private_server import (
    FIRST_PORT,
    Machine,
    add_one,
    client_of,
    is_free_for_all,
    make,
    program_path,
    record_of,
    rewrite_record,
    start_and_stop,
    started,
)


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
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server: it was free to one
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


def test_a_large_log_is_put_aside_at_the_next_start(machine: Machine, base: Path) -> None:
    start_and_stop(base)
    log = base / ".beatd/server.log"
    os.truncate(log, LARGEST_LOG + 1)
    start_and_stop(base)
    assert log.with_name("server.log.1").stat().st_size == LARGEST_LOG + 1
    assert 0 < log.stat().st_size < LARGEST_LOG


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
