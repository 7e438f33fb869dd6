"""Running services side by side until the first of them ends, waiting for events, and waiting before a next try."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

HEALTHY_S: Final = 5.0  # what held this long had succeeded: the next failure is a first one again


class Backoff:
    """How long to wait after each of several failures: at random up to twice as long as before, within bounds."""

    def __init__(
        self, shortest: float, longest: float, monotonic: Callable[[], float], random_source: random.Random
    ) -> None:
        self._shortest = shortest
        self._longest = longest
        self._monotonic = monotonic
        self._random = random_source
        self._most = shortest
        self._failed_at = -HEALTHY_S

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        now = self._monotonic()
        if now - self._failed_at > HEALTHY_S:
            self._most = self._shortest
        self._failed_at = now
        self._most = min(self._longest, self._most * 2)
        return self._random.uniform(self._shortest, self._most)


async def run_together(*services: Coroutine[Any, Any, None]) -> None:
    """Runs coroutines until the first ends; then cancels and awaits the others. Raises what the first one raised."""
    tasks = [asyncio.create_task(service) for service in services]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits until an event is set or the time is over; whether it was set. Clears it."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
