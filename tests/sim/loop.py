"""An asyncio loop in virtual time: when nothing is ready it jumps to the next timer, so runs are exactly repeatable.

Every callback belongs to the process (a context variable) that asked for it, so that a process can be frozen: what
would run in it is held back, in order, until it is thawed. A killed process is one that is never thawed.
"""

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Process:
    """Whatever runs in one context. While ``frozen``, its callbacks and timers are held back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.held: list[asyncio.Handle] = []


CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)


@contextmanager
def within(process: Process | None) -> Iterator[None]:
    """Tasks and timers made inside belong to the process."""
    token = CURRENT.set(process)
    try:
        yield
    finally:
        CURRENT.reset(token)


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order of their virtual time; never waits, never touches a socket."""

    _ready: Any
    _scheduled: Any

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def thaw(self, process: Process) -> None:
        """Lets a process go on: first what came in while it stood still, then its timers."""
        process.frozen = False
        held, process.held = process.held, []
        held.sort(key=lambda handle: isinstance(handle, asyncio.TimerHandle))
        self._ready.extend(held)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise RuntimeError("nothing is left that could ever happen")
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(CURRENT)
            if process is not None and process.frozen:
                process.held.append(handle)
            else:
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def _process_events(self, event_list: Any) -> None:
        """There are none: no selector."""

    def _write_to_self(self) -> None:
        """Nothing sleeps in a selector."""
