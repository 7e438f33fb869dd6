"""The loop's lag: measured where it happens, remembered for a minute."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from beatd.core.fire import FireItem
from beatd.daemon.lag import SAMPLE_S, TOLD_MS, WINDOW_S, LoopLag


class Told:
    """Events as a list."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def fired(self, items: Sequence[FireItem], at: int) -> None: ...


class Minute:
    """A lag on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.told = Told()
        self.lag = LoopLag(lambda: self.now, self.told)


@pytest.fixture
def minute() -> Minute:
    return Minute()


def test_without_a_sample_there_is_no_lag(minute: Minute) -> None:
    assert minute.lag.worst_ms == 0


def test_the_worst_of_the_last_minute_counts(minute: Minute) -> None:
    for lag in (0.001, 0.07, 0.002):
        minute.lag.observe(lag)
        minute.now += 1
    assert minute.lag.worst_ms == pytest.approx(70)
    minute.now += WINDOW_S - 4
    assert minute.lag.worst_ms == pytest.approx(70)


def test_what_is_older_than_a_minute_is_forgotten_whether_or_not_samples_go_on(minute: Minute) -> None:
    minute.lag.observe(0.07)
    minute.now += WINDOW_S + 10
    assert minute.lag.worst_ms == 0
    minute.lag.observe(0.07)
    for _ in range(4_000):
        minute.now += SAMPLE_S
        minute.lag.observe(0.001)
    assert minute.lag.worst_ms == pytest.approx(1)


def test_what_is_remembered_does_not_grow(minute: Minute) -> None:
    for _ in range(10_000):
        minute.now += 1
        minute.lag.observe(0.001)
    assert len(minute.lag._slices) <= 13


def test_only_a_long_lag_is_told(minute: Minute) -> None:
    minute.lag.observe(TOLD_MS / 1000)
    assert minute.told.events == []
    minute.lag.observe(0.25)
    assert minute.told.events == [("loop_lagged", {"lag_ms": 250})]


async def test_a_callback_that_holds_the_loop_is_seen() -> None:
    lag = LoopLag(time.monotonic, Told())
    sampling = asyncio.create_task(lag.run())
    await asyncio.sleep(2 * SAMPLE_S)
    time.sleep(0.1)  # noqa: ASYNC251  # this is what is to be found
    await asyncio.sleep(2 * SAMPLE_S)
    sampling.cancel()
    assert lag.worst_ms >= 100 - 1_000 * SAMPLE_S
