"""Services side by side: who ends first, who is cancelled, what is raised."""

import asyncio
from collections.abc import Callable

import pytest

from beatd.daemon.together import Turn, run_together, wait_for_event
from beatd.errors import LeaseLost, Unreachable


class Services:
    """Coroutines for a test, and what became of them."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def lasting(self, name: str, on_cancel: Callable[[], None] = lambda: None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # closing takes a turn of the loop
            self.ended.append(name)
            on_cancel()

    async def ending(self, error: Exception | None = None) -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error


def fail() -> None:
    raise Unreachable("while closing")


async def test_the_end_of_one_ends_all_and_waits_for_their_cleaning_up() -> None:
    services = Services()
    await run_together(services.lasting("a"), services.ending(), services.lasting("b"))
    assert services.ended == ["a", "b"]


async def test_what_the_first_one_raised_is_raised() -> None:
    services = Services()
    with pytest.raises(LeaseLost, match="fenced"):
        await run_together(services.lasting("a"), services.ending(LeaseLost("fenced")))
    assert services.ended == ["a"]


async def test_what_another_raises_while_it_is_cancelled_does_not_hide_what_ended_them() -> None:
    services = Services()
    with pytest.raises(LeaseLost, match="fenced"):
        await run_together(services.lasting("a", fail), services.ending(LeaseLost("fenced")))


async def test_what_another_raises_while_it_is_cancelled_is_not_lost() -> None:
    services = Services()
    with pytest.raises(Unreachable, match="while closing"):
        await run_together(services.lasting("a", fail), services.ending())


async def test_cancelling_them_together_cancels_each_and_waits() -> None:
    services = Services()
    both = asyncio.create_task(run_together(services.lasting("a"), services.lasting("b")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both
    assert services.ended == ["a", "b"]


async def test_an_event_that_is_set_is_taken_and_cleared() -> None:
    event = asyncio.Event()
    event.set()
    assert await wait_for_event(event, 10)
    assert not event.is_set()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_without_time_only_an_event_that_is_set_already_is_taken(seconds: float) -> None:
    event = asyncio.Event()
    assert not await wait_for_event(event, seconds)
    event.set()
    assert await wait_for_event(event, seconds)


async def test_an_event_that_comes_while_waiting_is_taken() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(event, 60)
    assert not event.is_set()


def test_a_turn_is_over_after_so_many_steps() -> None:
    turn = Turn(lambda: 0.0, 3, 1.0)
    assert [turn.over() for _ in range(7)] == [False, False, True, False, False, True, False]


def test_a_turn_is_over_after_its_time_however_few_the_steps() -> None:
    now = 0.0
    turn = Turn(lambda: now, 100, 0.002)
    assert not turn.over()
    now = 0.002
    assert turn.over()
    assert not turn.over()
    now = 0.0035
    assert not turn.over()
    now = 0.004
    assert turn.over()
