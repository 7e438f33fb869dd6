"""A loop that hangs is seen by its samples; the process says where it hangs, and ends whatever is in the way."""

import asyncio
import threading
import time

import pytest

from beatd.core.pulse import Samples
from beatd.daemon.pulse import Pulse
from beatd.daemon.stacks import task_stacks, thread_stacks
from beatd.daemon.watchdog import LAST_WORDS_S, Watchdog

SAMPLE_S = 0.02


class Left:
    """Stands for the end of the process: with which code, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self.code = 0
        self.at = 0.0
        self._over = threading.Event()

    def __call__(self, code: int) -> None:
        self.code, self.at = code, time.monotonic()
        self._over.set()

    def wait(self) -> None:
        assert self._over.wait(20), "the watchdog did not bite"
        self._over.clear()


def nothing() -> None:
    """Whatever happens."""


@pytest.mark.parametrize("missed, expired", [(0, False), (11, False), (12, True), (13, True)])
def test_twelve_looks_in_vain_are_too_many(missed: int, expired: bool) -> None:
    assert Samples(5, missed).expired() is expired


def test_every_beat_between_two_looks_starts_the_count_anew() -> None:
    samples, missed = Samples(), []
    for beats in [1, 1, 1, 2, 9, 9]:
        samples = samples.then(beats)
        missed.append(samples.missed)
    assert missed == [0, 1, 2, 0, 0, 1]


async def test_a_living_loop_is_fed_on_and_left_alone() -> None:
    pulse, left, fed, loop = Pulse(), Left(), asyncio.Event(), asyncio.get_running_loop()

    def saw_beat() -> None:
        loop.call_soon_threadsafe(fed.set)

    beating = asyncio.create_task(pulse.run())
    with Watchdog(pulse, saw_beat=saw_beat, last_words=(), leave=left, sample_s=0.6, most_missed=2).watching():
        await asyncio.wait_for(fed.wait(), 20)
    assert (pulse.missed, left.code) == (0, 0)
    beating.cancel()


def test_a_loop_without_a_beat_is_told_of_and_ended_with_70() -> None:
    pulse, left, spoken, fed = Pulse(), Left(), threading.Event(), threading.Event()

    def never() -> None:
        raise AssertionError("what needs no lock is for when the others fail")

    watchdog = Watchdog(pulse, saw_beat=fed.set, last_words=(spoken.set, never), leave=left, sample_s=SAMPLE_S)
    began = time.monotonic()
    with watchdog.watching():
        left.wait()
    assert (left.code, spoken.is_set(), fed.is_set(), pulse.missed) == (70, True, False, 12)
    assert 12 * SAMPLE_S <= left.at - began < 12 * SAMPLE_S + LAST_WORDS_S


def test_where_the_first_words_never_end_others_are_found_and_in_the_end_it_ends_without() -> None:
    left, held, spoken = Left(), threading.Lock(), threading.Event()

    def wait_in_vain() -> None:
        with held:
            nothing()

    words = (wait_in_vain, spoken.set)
    for last_words in (words, words[:1]):
        spoken.clear()
        watchdog = Watchdog(Pulse(), saw_beat=nothing, last_words=last_words, leave=left, sample_s=SAMPLE_S)
        with held, watchdog.watching():
            left.wait()
        assert (left.code, spoken.is_set()) == (70, len(last_words) == 2)


def hang_until(released: threading.Event) -> None:
    released.wait(20)


def test_the_stacks_name_the_function_in_which_a_thread_hangs() -> None:
    released = threading.Event()
    hung = threading.Thread(target=hang_until, args=(released,))
    hung.start()
    try:
        assert "in hang_until" in thread_stacks()
    finally:
        released.set()
        hung.join()


async def inner(waits_for: "asyncio.Future[None]") -> None:
    await waits_for


async def outer(waits_for: "asyncio.Future[None]") -> None:
    await inner(waits_for)


async def test_the_stacks_of_tasks_name_what_each_awaits_from_outside_in() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(outer(never), name="the-hung-one")
    await asyncio.sleep(0)
    lines = (await asyncio.to_thread(task_stacks, task.get_loop())).splitlines()
    at = lines.index("Task the-hung-one:")
    assert lines[at + 1].endswith("in outer")
    assert lines[at + 2].endswith("in inner")
    task.cancel()
