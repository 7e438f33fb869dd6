"""Running services side by side until the first of them ends."""

import asyncio
from collections.abc import Coroutine
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


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits until an event is set or the time is over; whether it was set. Clears it."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
