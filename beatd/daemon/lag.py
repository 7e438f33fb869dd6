"""How late this process is with what it wanted to do: the loop's lag."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from beatd.daemon.ports import EventSink

SAMPLE_S: Final = 0.025  # the less, the closer a stall is measured; each sample costs some 20 us
WINDOW_S: Final = 60.0
SLICES: Final = 12  # of the window: what is older than it is forgotten slice by slice
TOLD_MS: Final = 100


class LoopLag:
    """The lag of the last minute. A callback that holds the loop makes everything else late by as much.

    Sampled by a short sleep that is due again and again: it wakes late by the time that the loop was held, less at
    most one sample's length.
    """

    def __init__(self, monotonic: Callable[[], float], events: EventSink) -> None:
        self._monotonic = monotonic
        self._events = events
        self._slices: deque[tuple[float, float]] = deque()  # begin and worst lag of each, seconds

    @property
    def worst_ms(self) -> float:
        """The worst lag of the last minute, in milliseconds."""
        since = self._monotonic() - WINDOW_S - WINDOW_S / SLICES
        return max((worst for begin, worst in self._slices if begin > since), default=0.0) * 1000

    async def run(self) -> None:
        """Samples for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self.observe(max(0.0, loop.time() - due))

    def observe(self, lag: float) -> None:
        """Takes a sample, in seconds."""
        now = self._monotonic()
        if not self._slices or now - self._slices[-1][0] >= WINDOW_S / SLICES:
            self._slices.append((now, lag))
            while len(self._slices) > SLICES + 1:
                self._slices.popleft()
        elif lag > self._slices[-1][1]:
            self._slices[-1] = self._slices[-1][0], lag
        if lag * 1000 > TOLD_MS:
            self._events.emit("loop_lagged", lag_ms=round(lag * 1000))
