"""The loop's lag: measured where it happens, remembered for a minute."""

import asyncio
import time

import pytest

from beatd.daemon.lag import TOLD_S, WINDOW_S, LoopLag


class Minute:
    """A lag on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.told: list[float] = []
        self.lag = LoopLag(lambda: self.now)
        self.lag.tell = self.told.append


@pytest.fixture
def minute() -> Minute:
    return Minute()


def test_before_anything_was_late_there_is_no_lag(minute: Minute) -> None:
    assert minute.lag.worst_ms == 0


def test_the_worst_of_the_last_minute_counts(minute: Minute) -> None:
    for lag in (0.001, 0.07, 0.002):
        minute.lag.observe(lag)
        minute.now += 1
    assert minute.lag.worst_ms == pytest.approx(70)
    minute.now += WINDOW_S - 4
    assert minute.lag.worst_ms == pytest.approx(70)


def test_what_is_older_than_a_minute_is_forgotten_whether_or_not_the_loop_goes_on(minute: Minute) -> None:
    minute.lag.observe(0.07)
    minute.now += WINDOW_S + 10
    assert minute.lag.worst_ms == 0
    minute.lag.observe(0.07)
    for _ in range(4_000):
        minute.now += 0.025
        minute.lag.observe(0.001)
    assert minute.lag.worst_ms == pytest.approx(1)


def test_what_is_remembered_does_not_grow(minute: Minute) -> None:
    for _ in range(10_000):
        minute.now += 1
        minute.lag.observe(0.001)
    assert len(minute.lag._slices) <= 13


def test_only_a_long_lag_is_told(minute: Minute) -> None:
    minute.lag.observe(TOLD_S)
    assert minute.told == []
    minute.lag.observe(0.25)
    assert minute.told == [0.25]


def test_a_callback_that_holds_the_loop_is_seen() -> None:
    async def hold() -> None:
        await asyncio.sleep(0)
        time.sleep(0.12)  # noqa: ASYNC251  # this is what is to be found
        await asyncio.sleep(0)

    lag, told = LoopLag(), list[float]()
    lag.tell = told.append
    with asyncio.Runner(loop_factory=lag.new_loop) as runner:
        runner.run(hold())
    assert len(told) == 1
    assert 120 <= lag.worst_ms == told[0] * 1000


def test_a_loop_that_waits_has_no_lag() -> None:
    lag = LoopLag()
    with asyncio.Runner(loop_factory=lag.new_loop) as runner:
        runner.run(asyncio.sleep(0.3))
    assert lag.worst_ms < 250  # on a busy machine somewhat late, but the wait itself is none
