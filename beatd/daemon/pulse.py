"""The heartbeat of the loop: what the threads that look at it from outside go by."""

import asyncio

from beatd.core.pulse import BEAT_S


class Pulse:
    """``beats``: how often the loop beat so far; written by the loop. ``missed``: the watchdog's samples in a row that
    saw no beat; written by its thread, 0 before the first one.
    """

    def __init__(self) -> None:
        self.beats = 0
        self.missed = 0

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            self.beats += 1
            await asyncio.sleep(BEAT_S)
