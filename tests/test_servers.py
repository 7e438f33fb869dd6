"""The servers that other tests stand on."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.support import servers
from tests.support.servers import RedisServer, free_port, require

StartRedis = Callable[..., RedisServer]
LOCAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_server_starts_in_far_less_than_a_second(start_redis: StartRedis) -> None:
    began = time.monotonic()
    start_redis()
    assert time.monotonic() - began < 1


def test_a_test_gets_a_server_with_nothing_in_it(redis_server: RedisServer, request: pytest.FixtureRequest) -> None:
    with redis_server.client() as client:
        client.set("left", "over")
    assert request.getfixturevalue("redis_client").dbsize() == 0


def test_a_killed_server_comes_back_on_its_port_with_what_was_synced(start_redis: StartRedis) -> None:
    server = start_redis(appendonly="yes", appendfsync="always")
    with server.client() as client:
        client.set("kept", "yes")
        port, pid = server.port, server.pid
        server.restart()
        assert (client.get("kept"), server.port) == (b"yes", port)
        assert server.pid != pid


def test_a_killed_server_refuses_connections(start_redis: StartRedis) -> None:
    server = start_redis()
    server.kill()
    with server.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_frozen_server_gives_no_answer_until_thawed(start_redis: StartRedis) -> None:
    server = start_redis()
    with server.client(socket_timeout=0.05) as client:
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
    with server.client() as client:
        server.thaw()
        assert client.ping()


def test_a_server_with_a_password_says_so_in_its_url(start_redis: StartRedis) -> None:
    server = start_redis(requirepass="secret")
    with server.client() as client:
        assert client.ping()
    server.options.pop("requirepass")
    with server.client() as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_server_that_will_not_start_says_why(start_redis: StartRedis) -> None:
    with pytest.raises(RuntimeError, match="ended with 1"):
        start_redis(no_such_option="1")


def test_a_port_taken_by_another_server_is_noticed(start_redis: StartRedis, tmp_path: Path) -> None:
    first = start_redis()
    second = RedisServer(first.binary, tmp_path / "second")
    second.port = first.port
    with pytest.raises(RuntimeError, match="in use"):
        second.start()


def test_a_missing_server_skips_at_home_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no rabbitmq-server"):
        require(None, "rabbitmq-server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no rabbitmq-server"):
        require(None, "rabbitmq-server")


def test_a_program_named_by_the_variable_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(servers.BINARY_VARIABLE, "/no/such/redis-server")
    with pytest.raises(pytest.fail.Exception, match="no such program"):
        servers.redis_binary()


@pytest.mark.skipif(not LOCAL_PORTS.exists(), reason="Linux alone says where that range begins")
def test_free_ports_are_not_those_of_outgoing_connections() -> None:
    assert free_port() < int(LOCAL_PORTS.read_text().split()[0])
