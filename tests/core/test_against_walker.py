"""The kernel and a naive walker of the clock agree, around every kind of transition."""

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random

import pytest

from beatd.core.schedules import Schedule, parse_schedule
from beatd.errors import ScheduleInvalid
from tests.core.expressions import ZONES, expression
from tests.core.walker import Walker, date_matches, find_shifts
from tests.support.examples import examples

HOUR = 3_600


@cache
def starts(zone: str) -> tuple[int, ...]:
    """Whole minutes near the shifts of a zone since 1975, and a few far from any."""
    return (*find_shifts(zone, 1975, 2030), *(calendar.timegm((2026, month, 15, 0, 0, 0)) for month in (1, 5, 9)))


def readable(text: str, zone: str, both: bool) -> Schedule | None:
    """None for one that never fires; test_dates decides whether that is right."""
    try:
        return parse_schedule({"cron": text, "timezone": zone, "day": "and" if both else "or"})
    except ScheduleInvalid as error:
        assert "never fires" in error.message, (text, error.message)
        return None


def compare(rng: Random) -> None:
    seconds = rng.random() < 0.12
    text, zone, both = expression(rng, seconds=seconds, dates=0.85), rng.choice(ZONES), rng.random() < 0.2
    if (schedule := readable(text, zone, both)) is None:
        return
    width = HOUR if seconds else rng.choice([3, 12, 27]) * HOUR
    after = rng.choice(starts(zone)) + rng.randrange(-width, width // 2, 60)
    until = after + HOUR * (2 if seconds else rng.choice([9, 15, 27]))
    slots = [slot * 1_000 for slot in Walker(text, zone, both).slots(after, until)]
    note = f"{text!r} {zone} both={both} after {datetime.fromtimestamp(after, UTC)}"
    found: list[int] = []
    slot = schedule.next_ms(after * 1_000)
    while slot is not None and slot <= until * 1_000 and len(found) <= len(slots):
        found.append(slot)
        slot = schedule.next_ms(slot)
    assert found == slots, note
    for earlier, later in zip([after * 1_000, *slots], [*slots, until * 1_000], strict=True):
        middle = (earlier + later) // 2
        last = schedule.last_ms(middle)
        assert last == earlier or (earlier == after * 1_000 and (last is None or last <= earlier)), note


def test_slots_around_transitions_equal_a_walk_of_the_clock() -> None:
    for seed in range(examples(2_000)):
        compare(Random(seed))


@pytest.mark.nightly
def test_twenty_thousand_more_equal_a_walk_of_the_clock() -> None:
    for seed in range(100_000, 122_000):
        compare(Random(seed))


def compare_dates(rng: Random) -> None:
    """Dates alone, over years: at 00:00 in UTC, every matching date and no other."""
    text = " ".join(["0", "0", *expression(rng, dates=0.3).split()[2:]])
    both, first = rng.random() < 0.3, date(rng.choice([1896, 1996, 2023, 2096]), rng.randint(1, 12), 1)
    schedule = readable(text, "UTC", both)
    days = [first + timedelta(days=n) for n in range(1, 366 * 3)]
    wanted = [day for day in days if date_matches(text.split(), day, both)]
    if schedule is None:
        assert not wanted, text
        return
    low, high = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, days[-1]))
    assert [moment.date() for moment in schedule.between(low, high)] == wanted, (text, both)
    backwards, slot = [], schedule.last_ms(int(high.timestamp()) * 1_000)
    while slot is not None and slot > int(low.timestamp()) * 1_000:
        backwards.append((datetime(1970, 1, 1) + timedelta(milliseconds=slot)).date())
        slot = schedule.last_ms(slot - 1)
    assert backwards[::-1] == wanted, (text, both)


def test_dates_equal_a_walk_of_the_calendar() -> None:
    for seed in range(examples(250)):
        compare_dates(Random(seed))


@pytest.mark.nightly
def test_the_dates_of_thousands_equal_a_walk_of_the_calendar() -> None:
    for seed in range(50_000, 53_000):
        compare_dates(Random(seed))
