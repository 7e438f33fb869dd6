"""Running services side by side until the first of them ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def run_together(*services: Coroutine[Any, Any, None]) -> None:
    """Runs coroutines until the first ends; then cancels and awaits the others.

    Raises what the first one raised; what another raises while it is being cancelled only if the first raised nothing.
    """
    tasks = [asyncio.create_task(service) for service in services]
    first: set[asyncio.Task[None]] = set()
    try:
        first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in sorted(tasks, key=lambda task: task not in first):
        if not task.cancelled() and (error := task.exception()):
            raise error


class Turn:
    """How long a service computes before the others have theirs: so many steps or so long, whichever is over first."""

    def __init__(self, monotonic: Callable[[], float], steps: int, seconds: float) -> None:
        self._monotonic = monotonic
        self._steps = steps
        self._seconds = seconds
        self._begin()

    def over(self) -> bool:
        """Counts a step; whether it was the last of this turn. The next turn begins with the answer."""
        self._left -= 1
        if self._left > 0 and self._monotonic() < self._until:
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        self._left = self._steps
        self._until = self._monotonic() + self._seconds


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits until an event is set or the time is over; whether it was set. Clears it."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
