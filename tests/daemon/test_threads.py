"""Calls that can't be interrupted have threads that keep nobody waiting."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from beatd.daemon.threads import LooseThreads


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Calls that wait for it come back when the test is over."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_call_gives_what_it_gives_and_raises_what_it_raises() -> None:
    threads = LooseThreads()
    assert threads.submit(divmod, 7, 2).result(20) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result(20)


def test_beyond_its_bound_calls_wait_for_their_turn_and_some_never_come_to_it(gate: threading.Event) -> None:
    threads = LooseThreads(most=2)
    first = [threads.submit(gate.wait, 20) for _ in range(2)]
    cancelled, last = threads.submit(gate.wait, 20), threads.submit(divmod, 7, 2)
    assert cancelled.cancel()
    assert not last.done()
    gate.set()
    assert last.result(20) == (3, 1)
    assert [future.result(20) for future in first] == [True, True]
    assert cancelled.cancelled()


def test_a_loop_is_closed_while_a_call_goes_on(gate: threading.Event) -> None:
    async def leave_one_behind() -> None:
        asyncio.get_running_loop().set_default_executor(LooseThreads())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(gate.wait, 20), 0.01)

    asyncio.run(leave_one_behind())
    assert not gate.is_set()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "call")
