"""A cron expression as a set of wall times: what matches next, what matched last.

Each clock field is a table of bytes that holds, for every value, the next (or the last) one in the set, and each month
shape a word of day bits. So a look-up is a handful of indexings, and an expression takes some hundred bytes, most of
them shared with others.
"""

from datetime import date
from functools import lru_cache
from typing import Final

from beatd.core.schedules.cron_days import LENGTHS, SHORTEST_MONTH, DayRule, month_length, month_masks
from beatd.core.schedules.cron_text import CronText
from beatd.core.tzif import DAY, EPOCH_ORDINAL
from beatd.core.zone import FIRST_DAY, FIRST_SECOND, LAST_DAY, LAST_SECOND, LAST_YEAR

NONE: Final = 255


@lru_cache(maxsize=8_192)
def _nexts(mask: int, size: int) -> bytes:
    """At i: the least v >= i with bit v set, or NONE; i goes one past the field."""
    table, found = bytearray([NONE] * (size + 1)), NONE
    for value in range(size - 1, -1, -1):
        if mask >> value & 1:
            found = value
        table[value] = found
    return bytes(table)


@lru_cache(maxsize=8_192)
def _lasts(mask: int, size: int) -> bytes:
    """At i: the greatest v <= i with bit v set, or NONE."""
    table, found = bytearray(size), NONE
    for value in range(size):
        if mask >> value & 1:
            found = value
        table[value] = found
    return bytes(table)


@lru_cache(maxsize=8_192)
def _ranks(mask: int, size: int) -> bytes:
    """At i: how many values below i are set; i goes one past the field."""
    return bytes((mask & ((1 << value) - 1)).bit_count() for value in range(size + 1))


class CronTimes:
    """The wall times of an expression, as seconds since 1970-01-01T00:00, in the years 1 to 9999."""

    __slots__ = ("_first", "_hours", "_last", "_masks", "_minutes", "_months", "_ranks", "_seconds")

    def __init__(self, text: CronText, rule: DayRule) -> None:
        self._seconds = (_nexts(text.second.values, 60), _lasts(text.second.values, 60))
        self._minutes = (_nexts(text.minute.values, 60), _lasts(text.minute.values, 60))
        self._hours = (_nexts(text.hour.values, 24), _lasts(text.hour.values, 24))
        self._months = (_nexts(text.month.values, 13), _lasts(text.month.values, 13))
        self._ranks = (_ranks(text.hour.values, 24), _ranks(text.minute.values, 60), _ranks(text.second.values, 60))
        self._masks = month_masks(rule)
        self._first = self._hours[0][0] * 3600 + self._minutes[0][0] * 60 + self._seconds[0][0]
        self._last = self._hours[1][23] * 3600 + self._minutes[1][59] * 60 + self._seconds[1][59]

    def at_or_after(self, wall: int) -> int | None:
        """The first matching wall time that is not before ``wall``."""
        day, clock = divmod(wall, DAY)
        if day < FIRST_DAY:
            day, clock = FIRST_DAY, 0
        elif day > LAST_DAY:
            return None
        found = self._day_from(day)
        if found == day:
            time = self._time_from(clock)
            if time >= 0:
                return day * DAY + time
            found = self._day_from(day + 1)
        return None if found is None else found * DAY + self._first

    def at_or_before(self, wall: int) -> int | None:
        """The last matching wall time that is not after ``wall``."""
        day, clock = divmod(wall, DAY)
        if day > LAST_DAY:
            day, clock = LAST_DAY, DAY - 1
        elif day < FIRST_DAY:
            return None
        found = self._day_until(day)
        if found == day:
            time = self._time_until(clock)
            if time >= 0:
                return day * DAY + time
            found = self._day_until(day - 1)
        return None if found is None else found * DAY + self._last

    def count(self, first: int, end: int, at_most: int) -> int:
        """How many matching wall times lie in [first, end), counted no further than at_most; by the month."""
        (day, clock), (last_day, last_clock) = (
            divmod(max(first, FIRST_SECOND), DAY),
            divmod(min(end, LAST_SECOND + 1), DAY),
        )
        if day > last_day:
            return 0
        if day == last_day:
            inside = self._rank(last_clock) - self._rank(clock)
            return min(inside, at_most) if inside > 0 and self._day_from(day) == day else 0
        daily, count = self._rank(DAY), 0
        if self._day_from(day) == day:
            count += daily - self._rank(clock)
        if self._day_from(last_day) == last_day:
            count += self._rank(last_clock)
        days = self._days(day + 1, last_day, -(-(at_most - count) // daily)) if at_most > count else 0
        return min(count + days * daily, at_most)

    def _rank(self, clock: int) -> int:
        """How many times of day in the set lie before a second of the day, or in it all for a whole day."""
        minutes, second = divmod(clock, 60)
        hour, minute = divmod(minutes, 60)
        hours, in_hour, in_minute = self._ranks
        count = hours[hour] * in_hour[60] * in_minute[60]
        if self._hours[0][hour] == hour:
            count += in_hour[minute] * in_minute[60]
            if self._minutes[0][minute] == minute:
                count += in_minute[second]
        return count

    def _days(self, day: int, end: int, enough: int) -> int:
        """How many days in [day, end) match, or a number that is enough."""
        count = 0
        while day < end and count < enough:
            start = date.fromordinal(day + EPOCH_ORDINAL)
            length = _length(start.year, start.month)
            first = day - start.day + 1
            if self._months[0][start.month] == start.month:
                mask = self._masks[(length - SHORTEST_MONTH) * 7 + (first + 3) % 7] >> start.day
                left = end - day
                count += (mask & ((1 << left) - 1) if left < length else mask).bit_count()
            day = first + length
        return count

    def _time_from(self, clock: int) -> int:
        """The first time of day in the set at or after a second of the day, -1 when the day holds none."""
        minutes, second = divmod(clock, 60)
        hour, minute = divmod(minutes, 60)
        found_second = self._seconds[0][second]
        if found_second == NONE:
            minute += 1
        found_minute = self._minutes[0][minute]
        if found_minute == NONE:
            hour += 1
        found_hour = self._hours[0][hour]
        if found_hour == NONE:
            return -1
        if found_hour != hour or found_minute == NONE:
            return found_hour * 3600 + self._first % 3600
        if found_minute != minute or found_second == NONE:
            found_second = self._first % 60
        return found_hour * 3600 + found_minute * 60 + found_second

    def _time_until(self, clock: int) -> int:
        """The last time of day in the set at or before a second of the day, -1 when there is none."""
        minutes, second = divmod(clock, 60)
        hour, minute = divmod(minutes, 60)
        found_second = self._seconds[1][second]
        if found_second == NONE:
            minute -= 1
        found_minute = self._minutes[1][minute] if minute >= 0 else NONE
        if found_minute == NONE:
            hour -= 1
        found_hour = self._hours[1][hour] if hour >= 0 else NONE
        if found_hour == NONE:
            return -1
        if found_hour != hour or found_minute == NONE:
            return found_hour * 3600 + self._last % 3600
        if found_minute != minute or found_second == NONE:
            found_second = self._last % 60
        return found_hour * 3600 + found_minute * 60 + found_second

    def _day_from(self, day: int) -> int | None:
        """The first matching day at or after a day since the epoch.

        Ends: check_dates lets no expression through that matches nowhere in 400 years; the longest wait between two
        matching dates is 40 years, so this looks at 480 months at most before it finds one or leaves year 9999.
        """
        if day > LAST_DAY:
            return None
        start = date.fromordinal(day + EPOCH_ORDINAL)
        year, month, bits = start.year, start.month, start.day
        months = self._months[0]
        first = day + 1 - bits
        while True:
            if months[month] == month:
                mask = self._masks[(_length(year, month) - SHORTEST_MONTH) * 7 + (first + 3) % 7] >> bits
                if mask:
                    return first + bits - 2 + (mask & -mask).bit_length()
            month = months[month + 1] if month < 12 else NONE
            if month == NONE:
                year, month = year + 1, months[0]
                if year > LAST_YEAR:
                    return None
            first, bits = date(year, month, 1).toordinal() - EPOCH_ORDINAL, 0

    def _day_until(self, day: int) -> int | None:
        """The last matching day at or before a day since the epoch; ends as _day_from does, at year 1."""
        if day < FIRST_DAY:
            return None
        start = date.fromordinal(day + EPOCH_ORDINAL)
        year, month, bits = start.year, start.month, start.day
        months = self._months[1]
        first = day + 1 - bits
        while True:
            if months[month] == month:
                mask = self._masks[(_length(year, month) - SHORTEST_MONTH) * 7 + (first + 3) % 7] & ((2 << bits) - 1)
                if mask:
                    return first + mask.bit_length() - 2
            month = months[month - 1]
            if month == NONE:
                year, month = year - 1, months[12]
                if year < 1:
                    return None
            first, bits = date(year, month, 1).toordinal() - EPOCH_ORDINAL, 31


def _length(year: int, month: int) -> int:
    return LENGTHS[month] if month != 2 else month_length(year, 2)
