"""Intervals: a grid that nothing shifts."""

from datetime import UTC, datetime

import pytest

from beatd.core.fire import name_hash
from beatd.core.instant import FIRST_MS, LAST_MS
from beatd.core.schedules import Schedule, parse_schedule
from beatd.errors import ScheduleInvalid

NOW = 1_800_000_000_123


def every(length: object, name: str | None = None, **more: object) -> Schedule:
    return parse_schedule({"every": length, **more}, name=name)


def test_the_grid_comes_from_the_anchor_then_the_start_then_the_name() -> None:
    anchor, start = "2026-01-01T00:00:07Z", "2026-01-01T00:00:11Z"
    both = every("1m", "x", anchor=anchor, start=start)
    assert (both.next_ms(NOW) or 0) % 60_000 == 7_000
    assert (every("1m", "x", start=start).next_ms(NOW) or 0) % 60_000 == 11_000
    assert (every("1m", "x").next_ms(NOW) or 0) % 60_000 == name_hash("x") % 60_000


def test_without_a_name_the_epoch_is_assumed_and_said() -> None:
    assert every("1m").next_ms(NOW) == 1_800_000_060_000
    assert every("1m").anchor_assumed
    assert not every("1m", "x").anchor_assumed
    assert not every("1m", anchor="2026-01-01T00:00Z").anchor_assumed


def test_a_schedule_read_without_a_name_is_not_remembered_for_one_with() -> None:
    assert every("7m").next_ms(NOW) != every("7m", "x").next_ms(NOW) != every("7m", "y").next_ms(NOW)


def test_the_first_run_comes_within_one_interval() -> None:
    slot = every("1d", "x").next_ms(NOW)
    assert slot is not None
    assert NOW < slot <= NOW + 86_400_000


def test_the_grid_reaches_back_before_its_anchor() -> None:
    schedule = every("10s", anchor="2030-01-01T00:00:03Z")
    assert schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)


def test_fractions_of_a_second_stay_exact() -> None:
    schedule, slot = every("1.001s", anchor="1970-01-01T00:00:00.5Z"), 500
    for n in range(1, 2_000):
        slot = schedule.next_ms(slot) or 0
        assert slot == 500 + n * 1_001


def test_counts_come_by_division() -> None:
    schedule = every("10ms", fast=True)
    assert schedule.count_ms(0, 10**12, 10**15) == 10**11
    assert schedule.count_ms(0, 10**12, 10_000) == 10_000
    assert schedule.count_ms(5, 9, 10) == 0
    assert schedule.count_ms(5, 10, 10) == 1
    assert schedule.count_ms(10, 10, 10) == 0
    assert schedule.count_ms(20, 10, 10) == 0
    assert schedule.count_ms(0, 100, 0) == 0


def test_both_bounds_are_inclusive() -> None:
    schedule = every("1m", start="2026-01-01T00:00Z", end="2026-01-01T00:02Z")
    first, last = (int(datetime(2026, 1, 1, 0, m, tzinfo=UTC).timestamp()) * 1_000 for m in (0, 2))
    assert schedule.next_ms(0) == first
    assert schedule.next_ms(first) == first + 60_000
    assert schedule.next_ms(last - 1) == last
    assert schedule.next_ms(last) is None
    assert schedule.last_ms(LAST_MS) == last
    assert schedule.last_ms(first) == first
    assert schedule.last_ms(first - 1) is None
    assert schedule.count_ms(0, LAST_MS, 10) == 3
    assert schedule.count_ms(first, last, 10) == 2


def test_the_shortest_intervals() -> None:
    assert every(1).next_ms(0) == 1_000
    assert every("10ms", fast=True).next_ms(0) == 10
    for length, fast in (("999ms", False), ("9ms", True), (0, True), ("0s", False)):
        with pytest.raises(ScheduleInvalid, match="is accepted"):
            every(length, fast=fast)
    with pytest.raises(ScheduleInvalid) as refused:
        every("200ms")
    assert "fast: true" in (refused.value.hint or "")


@pytest.mark.parametrize("length", [-1, "-5s", True, None, "5", "1y", [], {}, float("inf"), float("nan"), 10**30])
def test_what_is_no_length_is_refused(length: object) -> None:
    with pytest.raises(ScheduleInvalid, match="every: "):
        every(length)


def test_a_number_too_long_to_print_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="every: "):
        every(10**5_000)


@pytest.mark.parametrize("fast", ["yes", 1, None, "true"])
def test_fast_is_true_or_false(fast: object) -> None:
    with pytest.raises(ScheduleInvalid, match="fast: found"):
        every("1s", fast=fast)


def test_slots_end_with_the_calendar() -> None:
    schedule = every("1s")
    assert schedule.next_ms(LAST_MS) is None
    assert schedule.next_ms(10**30) is None
    assert schedule.last_ms(FIRST_MS - 1) is None
    assert schedule.last_ms(-(10**30)) is None
    assert schedule.next_ms(-(10**30)) == FIRST_MS
    assert schedule.last_ms(10**30) == LAST_MS - 999


def test_a_long_interval_tells_when_it_runs() -> None:
    assert every("59m", "x").warnings == ()
    assert "the entry's name chooses when it runs: at 0" in every("1h", "x").warnings[0]
    assert "and every 6 hours from there" in every("6h").warnings[0]
    assert "on a grid through 1970-01-0" in every("1w", "x").warnings[0]
    assert every("1d", anchor="2026-01-01T03:00Z").warnings == ()
    assert every("1d", start="2026-01-01T03:00Z").warnings == ()
    days = every("1d", timezone="Europe/Paris", anchor="2026-01-01T03:00Z").warnings
    assert "cron keeps the wall time" in days[0]


@pytest.mark.parametrize(
    "length,words",
    [("30s", "every 30 seconds"), ("1h", "every hour"), ("90m", "every 1 hour 30 minutes"), ("2d", "every 2 days")],
)
def test_an_interval_in_words(length: str, words: str) -> None:
    assert every(length).words() == words
