"""Which days of a month a cron expression means, for every shape a month can have.

A month's days depend on its length and on the weekday of its first day alone: 4 x 7 shapes. Of a year it is
the leap day and the first weekday, 14 shapes, and all of them occur in the 400 years after which the calendar repeats.
So whether a date ever matches, and how long the longest wait is, is decided exactly and without a search limit.
"""

from array import array
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from beatd.core.schedules.cron_fields import Special

SHORTEST_MONTH: Final = 28
LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
CYCLE_YEARS: Final = 400
RARE_DAYS: Final = 4 * 365 + 1


class DayRule(NamedTuple):
    """The two day fields: plain values as bits, special days, and whether a day must be in both."""

    days: int
    day_specials: tuple[Special, ...]
    weekdays: int
    weekday_specials: tuple[Special, ...]
    both: bool


def month_length(year: int, month: int) -> int:
    """Days of a month."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if leap else LENGTHS[month]


@lru_cache(maxsize=4_096)
def month_masks(rule: DayRule) -> "array[int]":
    """At (length - 28) * 7 + weekday of the 1st (0 = Monday): bit d set when the d-th of such a month matches."""
    return array("I", [_month_mask(rule, length, first) for length in range(28, 32) for first in range(7)])


# At [weekday of the 1st, 0 = Monday][weekday, 0 = Sunday]: the days 1 to 31 that have this weekday, as bits.
_WEEKDAYS: Final = tuple(
    tuple(sum(1 << day for day in range(1, 32) if (first + day) % 7 == weekday) for weekday in range(7))
    for first in range(7)
)


def _month_mask(rule: DayRule, length: int, first: int) -> int:
    days, weekdays = rule.days, 0
    for special in rule.day_specials:
        days |= 1 << _day(special, length, first)
    for weekday, mask in enumerate(_WEEKDAYS[first]):
        if rule.weekdays >> weekday & 1:
            weekdays |= mask
    for special in rule.weekday_specials:
        weekdays |= 1 << _weekday(special, length, first)
    mask = days & weekdays if rule.both else days | weekdays
    return mask & ((2 << length) - 2)  # bit 0 is where a special day lands that this month does not have


def _day(special: Special, length: int, first: int) -> int:
    if special.kind == "last":
        return length
    if special.kind == "last working":
        return length - max(0, (first + length - 1) % 7 - 4)
    return _nearest(special.n, length, first)


def _nearest(day: int, length: int, first: int) -> int:
    """The Monday to Friday nearest to a day, inside its month; 0 when the month has no such day."""
    if day > length:
        return 0
    weekday = (first + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _weekday(special: Special, length: int, first: int) -> int:
    earliest = (special.weekday - first - 1) % 7 + 1
    if special.kind == "last weekday":
        return earliest + (length - earliest) // 7 * 7
    day = earliest + 7 * (special.n - 1)
    return day if day <= length else 0


def ever_matches(rule: DayRule, months: int) -> bool:
    """Whether any date at all matches; ``months`` has bit m set for month m.

    Every month begins with every weekday in some year, 29-day Februaries among them.
    """
    masks = month_masks(rule)
    lengths = {LENGTHS[month] for month in range(1, 13) if months >> month & 1}
    lengths |= {29} if months >> 2 & 1 else set()
    return any(any(masks[(length - SHORTEST_MONTH) * 7 :][:7]) for length in lengths)


@lru_cache(maxsize=1_024)
def longest_wait(rule: DayRule, months: int) -> int:
    """The most days from one matching date to the next, over the whole calendar; the rule must match somewhere."""
    masks = month_masks(rule)
    years = {shape: list(_year_days(masks, months, shape)) for shape in {_shape(y) for y in range(2000, 2028)}}
    longest, last = 0, None
    for year in range(2000, 2000 + 2 * CYCLE_YEARS):
        days = years[_shape(year)]
        if days:
            new_year = date(year, 1, 1).toordinal()
            inside = max((b - a for a, b in pairwise(days)), default=0)
            longest = max(longest, inside, 0 if last is None else new_year + days[0] - last)
            last = new_year + days[-1]
    return longest


def _shape(year: int) -> tuple[bool, int]:
    """Leap year or not, and the weekday of 1 January: all that a year's dates depend on."""
    return month_length(year, 2) == 29, date(year, 1, 1).weekday()


def _year_days(masks: "array[int]", months: int, shape: tuple[bool, int]) -> Iterator[int]:
    """Matching days of a year of one shape, counted from 0 on 1 January."""
    leap, first = shape
    start = 0
    for month in range(1, 13):
        length = 29 if leap and month == 2 else LENGTHS[month]
        if months >> month & 1:
            mask = masks[(length - SHORTEST_MONTH) * 7 + (first + start) % 7]
            yield from (start + day - 1 for day in range(1, length + 1) if mask >> day & 1)
        start += length
