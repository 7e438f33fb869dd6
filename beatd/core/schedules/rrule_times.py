"""A recurrence rule as a set of wall times.

python-dateutil walks from the rule's start, which is far away after some years and endless for a rule that never
matches. So it is asked for single years: what an INTERVAL of 1 gives in a year depends on its first weekday and on
where it and its neighbours stand among the leap years (a week at either end belongs to a neighbour), 28 classes in all.
Slots are then looked up in the tables of these classes, and INTERVAL, start and COUNT are arithmetic on top.
"""

from array import array
from bisect import bisect_left, bisect_right
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from beatd.core.schedules.rrule_text import RRuleText
from beatd.core.shown import shown
from beatd.core.tzif import DAY, EPOCH_ORDINAL
from beatd.core.zone import FIRST_SECOND, LAST_SECOND, LAST_YEAR, naive_of
from beatd.errors import ScheduleInvalid

# 28 years without a century hold every class. Near the end of the calendar, because python-dateutil notices neither
# UNTIL nor anything else before its next match, and a rule without one must run into year 9999 soon.
SAMPLE_YEARS: Final = range(9_968, 9_996)
NO_YEAR_DAY: Final = 400


class Pattern(NamedTuple):
    """What a rule matches at INTERVAL=1, with everything given that its start would fill in."""

    frequency: str
    week_start: int
    numbers: tuple[tuple[str, tuple[int, ...]], ...]
    days: tuple[tuple[int, int], ...]


def pattern_of(rule: RRuleText, start: datetime) -> Pattern:
    """The pattern of a rule that starts at a wall time: what is not given comes from there."""
    numbers, days = dict(rule.numbers), rule.days
    for key, value in (("BYHOUR", start.hour), ("BYMINUTE", start.minute), ("BYSECOND", start.second)):
        numbers.setdefault(key, (value,))
    if not (days or numbers.keys() & {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY"}):
        if rule.frequency == "YEARLY":
            numbers.setdefault("BYMONTH", (start.month,))
        if rule.frequency in ("YEARLY", "MONTHLY"):
            numbers["BYMONTHDAY"] = (start.day,)
        elif rule.frequency == "WEEKLY":
            days = ((0, start.weekday()),)
    return Pattern(rule.frequency, rule.week_start, tuple(sorted(numbers.items())), days)


@lru_cache(maxsize=2_048)
def _table(pattern: Pattern, sample_year: int) -> "array[int]":
    """Matches in a year of the class of ``sample_year``, as seconds since its 1 January."""
    pattern = _with_weeks_as_days(pattern, sample_year)
    first = naive_of(_new_year(sample_year) * DAY)
    begin = first - timedelta(days=(first.weekday() - pattern.week_start) % 7 if pattern.frequency == "WEEKLY" else 0)
    table = array("l")
    for match in _dateutil_rule(pattern, begin):
        if match.year > sample_year:
            break
        if match >= first:
            table.append(int((match - first).total_seconds()))
    return table


@lru_cache(maxsize=256)
def _ever_matches(pattern: Pattern) -> bool:
    """Whether any year has a match: one walk over all classes, where a table each would walk on to the end each."""
    if "BYWEEKNO" in dict(pattern.numbers):
        return any(_table(pattern, year) for year in SAMPLE_YEARS)
    return next(iter(_dateutil_rule(pattern, naive_of(_new_year(SAMPLE_YEARS[0]) * DAY))), None) is not None


def _with_weeks_as_days(pattern: Pattern, year: int) -> Pattern:
    """The pattern with BYWEEKNO as days of one year: dateutil takes 1 January 2011 for a day of a week 53.

    A week belongs to the year that its fourth day lies in (RFC 5545, and ISO 8601 for weeks from Monday).
    """
    numbers = dict(pattern.numbers)
    weeks = numbers.pop("BYWEEKNO", ())
    if not weeks:
        return pattern
    allowed = numbers.get("BYYEARDAY", ())
    days = []
    for day in range(1, 367 if _is_leap(year) else 366):
        week, total = _week_of(date(year, 1, 1) + timedelta(days=day - 1), pattern.week_start)
        given = not allowed or day in allowed or day - (367 if _is_leap(year) else 366) in allowed
        if given and (week in weeks or week - total - 1 in weeks):
            days.append(day)
    numbers["BYYEARDAY"] = tuple(days) or (NO_YEAR_DAY,)
    return pattern._replace(numbers=tuple(sorted(numbers.items())))


def _week_of(day: date, week_start: int) -> tuple[int, int]:
    """The week a day lies in, and how many weeks the year of that week has."""

    def fourth(of: date) -> date:
        return of + timedelta(days=3 - (of.weekday() - week_start) % 7)

    year = fourth(day).year
    number, total = ((fourth(of).timetuple().tm_yday + 6) // 7 for of in (day, date(year, 12, 28)))
    return number, total


def _dateutil_rule(pattern: Pattern, begin: datetime) -> Any:
    from dateutil import rrule  # noqa: PLC0415 - as long to import as all the rest, and few schedules need it

    weekday = (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU)
    by: dict[str, Any] = {key.lower(): values for key, values in pattern.numbers}
    if pattern.days:
        by["byweekday"] = [weekday[day](n) if n else weekday[day] for n, day in pattern.days]
    frequency = getattr(rrule, pattern.frequency)
    return rrule.rrule(frequency, dtstart=begin, wkst=weekday[pattern.week_start], **by)


def _class_of(year: int) -> tuple[bool, bool, bool, int]:
    return _is_leap(year - 1), _is_leap(year), _is_leap(year + 1), (_new_year(year) + 3) % 7


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _new_year(year: int) -> int:
    return date(year, 1, 1).toordinal() - EPOCH_ORDINAL


_SAMPLES: Final = {_class_of(year): year for year in reversed(SAMPLE_YEARS)}


class RRuleTimes:
    """The wall times of a rule from its start on, as seconds since 1970-01-01T00:00. Raises ScheduleInvalid for a rule
    that never matches.
    """

    __slots__ = ("_interval", "_last", "_origin", "_pattern", "start")

    def __init__(self, rule: RRuleText, start: int) -> None:
        begin = naive_of(start)
        self.start = start
        self._pattern = pattern_of(rule, begin)
        self._interval = rule.interval
        self._origin = self._period(start // DAY)
        self._last = LAST_SECOND
        weekdays = {day for _, day in rule.days} or {begin.weekday()}
        if rule.frequency == "DAILY" and rule.interval % 7 == 0 and begin.weekday() not in weekdays:
            raise ScheduleInvalid(  # the one long search for nothing, spared
                f"rrule: {shown(rule.text)} never fires: {rule.interval} days on it is the same weekday again"
            )
        if not _ever_matches(self._pattern) or self.at_or_after(start) is None:
            raise ScheduleInvalid(f"rrule: {shown(rule.text)} never fires from {begin.isoformat()} on")
        if rule.count is not None:
            self._last = self._nth(rule.count)

    def at_or_after(self, wall: int) -> int | None:
        """The first matching wall time that is not before ``wall``.

        Ends: each round moves on by a period of the rule, or by a year when the year's table is empty. A rule that
        matches at all does so again within 400 years of its periods, or the calendar ends; the one dense
        pattern that never meets its own periods, weekdays every 7 n days, is refused before it is searched.
        """
        wall = max(wall, self.start)
        while wall <= self._last:
            match = self._unaligned_from(wall)
            if match is None:
                return None
            ahead = -(self._period(match // DAY) - self._origin) % self._interval
            if ahead == 0:
                return match if match <= self._last else None
            wall = self._begin(self._period(match // DAY) + ahead)
        return None

    def at_or_before(self, wall: int) -> int | None:
        """The last matching wall time that is not after ``wall``; ends at the rule's start."""
        wall = min(wall, self._last)
        while wall >= self.start:
            match = self._unaligned_until(wall)
            if match is None or match < self.start:
                return None
            behind = (self._period(match // DAY) - self._origin) % self._interval
            if behind == 0:
                return match
            wall = self._begin(self._period(match // DAY) - behind + 1) - 1
        return None

    def _nth(self, count: int) -> int:
        wall = self.start - 1
        for _ in range(count):
            found = self.at_or_after(wall + 1)
            if found is None:
                return LAST_SECOND
            wall = found
        return wall

    def _unaligned_from(self, wall: int) -> int | None:
        year = naive_of(min(wall, LAST_SECOND)).year
        while year <= LAST_YEAR:
            begin, table = _new_year(year) * DAY, _table(self._pattern, _SAMPLES[_class_of(year)])
            index = bisect_left(table, wall - begin)
            if index < len(table):
                return begin + table[index]
            year += 1
        return None

    def _unaligned_until(self, wall: int) -> int | None:
        first = naive_of(self.start).year
        year = naive_of(max(wall, FIRST_SECOND)).year
        while year >= first:
            begin, table = _new_year(year) * DAY, _table(self._pattern, _SAMPLES[_class_of(year)])
            index = bisect_right(table, wall - begin)
            if index:
                return begin + table[index - 1]
            year -= 1
        return None

    def _period(self, day: int) -> int:
        """The number of the period a day lies in: its year, month, week or day, counted from anywhere."""
        frequency = self._pattern.frequency
        if frequency == "DAILY":
            return day
        if frequency == "WEEKLY":
            return (day + 3 - self._pattern.week_start) // 7
        moment = date.fromordinal(day + EPOCH_ORDINAL)
        return moment.year if frequency == "YEARLY" else moment.year * 12 + moment.month - 1

    def _begin(self, period: int) -> int:
        """The first wall second of a period; past the calendar's end, a second past it."""
        frequency = self._pattern.frequency
        if frequency == "DAILY":
            return period * DAY
        if frequency == "WEEKLY":
            return (period * 7 - 3 + self._pattern.week_start) * DAY
        year, month = (period, 0) if frequency == "YEARLY" else divmod(period, 12)
        if year > LAST_YEAR:
            return LAST_SECOND + 1
        return (date(year, month + 1, 1).toordinal() - EPOCH_ORDINAL) * DAY
