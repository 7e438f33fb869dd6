"""The server's clock as seen from here: local monotonic time plus a sampled offset.

Redis decides what is due, so an instance's own wall clock never matters. Each answer to TIME bounds the offset: the
server read its clock no later than we received the answer, so (TIME - received) never runs ahead of the server, and
the largest of recent samples is the closest that is safe. A fire is then never sent before its moment. It read it no
earlier than we asked: that bounds the offset from above. Only a sample outside both bounds tells of a clock that was
set; an answer that was long under way (this process was stopped, say) has wide bounds and tells little.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from beatd.uptime import uptime

SAMPLES: Final = 16
STEP_MS: Final = 1_000


class ServerClock:
    """Fits ports.Clock. ``stepped`` counts jumps of the server of over a second; ``step_ms`` is the last one."""

    def __init__(self, monotonic: Callable[[], float] = uptime) -> None:
        self.stepped = 0
        self.step_ms = 0
        self._monotonic = monotonic
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)  # bounds of the offset, ms
        self._offset = 0.0

    @property
    def ready(self) -> bool:
        """Whether the server's clock has been seen at all."""
        return bool(self._samples)

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return self._monotonic()

    def now_ms(self) -> int:
        """The clock of Redis, UTC ms; never ahead of it as far as the samples tell."""
        return int(self.monotonic() * 1000 + self._offset)

    def observe(self, sent: float, server_ms: int) -> None:
        """Takes a sample: the server answered `server_ms` (whole ms, rounded down) to a question asked at `sent`."""
        received = self.monotonic()
        low, high = server_ms - received * 1000, server_ms + 1 - sent * 1000
        if self._samples:
            ahead, behind = low - min(h for _, h in self._samples), self._offset - high
            gap = max(ahead, behind)
            if gap > 0:
                self._samples.clear()  # the clock was set, or runs slower than ours: older samples are wrong by now
            if gap > STEP_MS:
                self.stepped += 1
                self.step_ms = round(ahead if ahead > behind else -behind)
        self._samples.append((low, high))
        self._offset = max(low for low, _ in self._samples)
