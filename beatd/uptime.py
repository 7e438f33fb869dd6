"""One clock for trust, here and at brokers: it goes on while the machine is suspended."""

import time
from typing import Final

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Seconds that never go back; those asleep count too, where there is such a clock."""
    return time.clock_gettime(_CLOCK)
