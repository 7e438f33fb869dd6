"""How late this process is with what it wants to do: the loop's lag.

A callback that holds the loop makes everything else late by as much. It is measured where the loop looks at its sockets
and timers: how long it was away from there, and how much later than asked for it was woken. That costs no wake-up.
"""

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 60.0
SLICES: Final = 12  # of the window: what is older than it is forgotten slice by slice
TOLD_S: Final = 0.1


class LoopLag:
    """The lag of the last minute. ``tell`` hears of each one above 100 ms, in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.tell: Callable[[float], None] = _ignore
        self._monotonic = monotonic
        self._slices: deque[tuple[float, float]] = deque()  # begin and worst lag of each, seconds

    @property
    def worst_ms(self) -> float:
        """The worst lag of the last minute, in milliseconds. Any thread may ask."""
        since = self._monotonic() - WINDOW_S - WINDOW_S / SLICES
        return max((worst for begin, worst in tuple(self._slices) if begin > since), default=0.0) * 1000

    def observe(self, lag: float) -> None:
        """Takes a lag, in seconds."""
        now = self._monotonic()
        if not self._slices or now - self._slices[-1][0] >= WINDOW_S / SLICES:
            self._slices.append((now, lag))
            if len(self._slices) > SLICES + 1:
                self._slices.popleft()
        elif lag > self._slices[-1][1]:
            self._slices[-1] = self._slices[-1][0], lag
        if lag > TOLD_S:
            self.tell(lag)

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A loop whose lag is measured."""
        return asyncio.SelectorEventLoop(_Timed(self, self._monotonic))


class _Timed(selectors.DefaultSelector):
    """What the loop waits with, timed."""

    def __init__(self, lag: LoopLag, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._lag = lag
        self._monotonic = monotonic
        self._back_at: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        asked = self._monotonic()
        if self._back_at is not None:
            self._lag.observe(asked - self._back_at)
        found = super().select(timeout)
        self._back_at = self._monotonic()
        if timeout and timeout > 0 and not found:
            self._lag.observe(self._back_at - asked - timeout)
        return found


def _ignore(lag: float) -> None:
    """Until somebody wants to hear of it."""
