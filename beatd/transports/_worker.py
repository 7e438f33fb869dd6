"""A thread that owns a connection: the event loop leaves work with it and waits for futures."""

import asyncio
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Owner(Protocol):
    """What lives on the thread besides the work that is left with it. None of it raises."""

    def wants(self) -> tuple[socket.socket | None, float | None]:
        """The socket to be woken by, and after how many seconds at the latest; None: by none, and never."""

    def turn(self, *, readable: bool) -> None:
        """Called after each waiting."""


class Worker:
    """The thread, until ``end``. A daemon thread: a broker that hangs keeps no process from ending."""

    def __init__(self, name: str, owner: Owner | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._owner = owner
        self._work: deque[Callable[[], None]] = deque()
        self._ended = False
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, work: Callable[[], None]) -> None:
        """Leaves work that does not raise; it is done in order. After the end: nothing."""
        self._work.append(work)
        with suppress(OSError):  # full: the thread will wake anyway; closed: it has ended
            self._bell.send(b"\0")

    def call(self, work: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Leaves work whose result, or error, is waited for."""
        future: asyncio.Future[Result] = self.loop.create_future()

        def do() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                self.tell(_fail, future, error)
            else:
                self.tell(settle, future, result)

        self.post(do)
        return future

    def tell(self, what: Callable[..., object], *words: object) -> None:
        """Has something called on the event loop; one that is closed hears nothing any more."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(what, *words)

    def end(self) -> None:
        """The thread ends after what was left with it; to be called on it."""
        self._ended = True

    def _run(self) -> None:
        while not self._ended:
            beside, seconds = self._owner.wants() if self._owner else (None, None)
            readable = self._wait(beside, seconds)
            while self._work:
                self._work.popleft()()
            if self._owner is not None and not self._ended:
                self._owner.turn(readable=readable)
        self._bell.close()
        self._ear.close()

    def _wait(self, beside: socket.socket | None, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._ear, select.POLLIN)
        if beside is not None:
            poll.register(beside, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds is None else max(0.0, seconds) * 1000)}
        if self._ear.fileno() in ready:
            with suppress(BlockingIOError):
                while self._ear.recv(4096):
                    pass
        return beside is not None and beside.fileno() in ready


async def at_most(future: "asyncio.Future[Result]", seconds: float) -> bool:
    """Waits, but not longer; whether it has ended. What a thread is stuck in (a name server) can't be interrupted."""
    future.add_done_callback(_looked_at)
    await asyncio.wait([future], timeout=max(0.0, seconds))
    return future.done()


def _looked_at(future: "asyncio.Future[Result]") -> None:
    if not future.cancelled():
        future.exception()  # it may end when nobody waits any more


def settle(future: "asyncio.Future[Result]", result: Result) -> None:
    """Gives a future its result, if anybody still waits for it."""
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Result]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
