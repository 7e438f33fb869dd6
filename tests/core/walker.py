"""A second, slow and naive reading of cron: text by text, day by day, minute by minute, zone by zoneinfo.

It shares no code and no idea with the kernel: values are asked for one at a time, and gap and fold come out of walking
the clock. Grammar: stars, values, names, ranges, wraps, steps, lists, ?, L, LW, nW, d#n, dL; no H, no aliases.
"""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def number(text: str, names: list[str], base: int) -> int:
    return int(text) if text.isdigit() else names.index(text[:3].lower()) + base


def in_item(item: str, value: int, low: int, high: int, names: list[str], base: int) -> bool:
    """Whether a value is in one plain item: walks from the first to the last, one by one, and around the end."""
    span, _, step = item.partition("/")
    first, dash, last = span.partition("-")
    a, b = (low, high) if first == "*" else (number(first, names, base), 0)
    if first != "*":
        b = number(last, names, base) if dash else (high if step else a)
    top = high
    if high == 6:
        if b == 7 and a != 7:
            top = 7
        elif a == 7:
            a, b = 0, 0 if b == 7 else b
    taken, at = 0, a
    while True:
        if taken % int(step or 1) == 0 and (at == value or (top == 7 and at % 7 == value)):
            return True
        if at == b:
            return False
        taken, at = taken + 1, (low if at == top else at + 1)


def clock_field(text: str, value: int, high: int) -> bool:
    return any(in_item(item, value, 0, high, [], 0) for item in text.split(","))


def dom_matches(text: str, day: date) -> bool:
    if text in "?*":
        return True
    length = calendar.monthrange(day.year, day.month)[1]
    if text.upper() == "LW":
        return day == max(d for d in month_days(day) if d.isoweekday() < 6)
    if text.upper().endswith("W"):
        n = int(text[:-1])
        if n > length:
            return False
        wanted = day.replace(day=n)
        working = [d for d in month_days(day) if d.isoweekday() < 6]
        return day == min(working, key=lambda d: abs((d - wanted).days))
    items = text.split(",")
    return any(day.day == length if i.upper() == "L" else in_item(i, day.day, 1, 31, [], 1) for i in items)


def dow_matches(text: str, day: date) -> bool:
    if text == "*":
        return True
    weekday = day.isoweekday() % 7
    same = [d for d in month_days(day) if d.isoweekday() % 7 == weekday]
    for item in text.split(","):
        if item == "?":
            return True
        if "#" in item:
            name, n = item.split("#")
            if number(name, WEEKDAYS, 0) % 7 == weekday and same.index(day) + 1 == int(n):
                return True
        elif item[-1] in "lL" and item.lower() != "l":
            if number(item[:-1], WEEKDAYS, 0) % 7 == weekday and day == same[-1]:
                return True
        elif in_item(item, weekday, 0, 6, WEEKDAYS, 0):
            return True
    return False


@cache
def month_days(day: date) -> list[date]:
    return [day.replace(day=d) for d in range(1, calendar.monthrange(day.year, day.month)[1] + 1)]


def date_matches(fields: list[str], day: date, both: bool = False) -> bool:
    dom, month, dow = fields[-3:]
    if not any(in_item(item, day.month, 1, 12, MONTHS, 1) for item in month.split(",")):
        return False
    left, right = dom_matches(dom, day), dow_matches(dow, day)
    return (left and right) if both or dom[0] in "*?" or dow[0] in "*?" else (left or right)


class Walker:
    """Slots of an expression in a zone, found by walking every minute (or second) of the clock."""

    def __init__(self, expression: str, zone: str, both: bool = False) -> None:
        fields = expression.split()
        self.seconds = len(fields) == 6
        self.fields = fields if self.seconds else ["0", *fields]
        self.zone = ZoneInfo(zone)
        self.both = both
        self.interval_like = any(field.startswith("*") for field in self.fields[:3])
        self.step = 1 if self.seconds else 60
        self._clock = [
            {v for v in range(high + 1) if clock_field(self.fields[i], v, high)} for i, high in enumerate((59, 59, 23))
        ]
        self._dates: dict[date, bool] = {}

    def wall_matches(self, wall: datetime) -> bool:
        seconds, minutes, hours = self._clock
        if wall.minute not in minutes or wall.hour not in hours or wall.second not in seconds:
            return False
        day = wall.date()
        if day not in self._dates:
            self._dates[day] = date_matches(self.fields, day, self.both)
        return self._dates[day]

    def wall(self, instant: int) -> datetime:
        return datetime.fromtimestamp(instant, self.zone).replace(tzinfo=None)

    def slots(self, after: int, until: int) -> Iterator[int]:
        """Slots in (after, until], UTC seconds; ``after`` lies on a whole minute, or second."""
        return self._shown(after, until) if self.interval_like else self._reached(after, until)

    def _shown(self, after: int, until: int) -> Iterator[int]:
        for instant in range(after + self.step, until + 1, self.step):
            if self.wall_matches(datetime.fromtimestamp(instant, self.zone)):
                yield instant

    def _reached(self, after: int, until: int) -> Iterator[int]:
        """Carries the highest wall time seen so far, from hours before the start on: longer than any fold.

        Looks at the last second before each whole minute, since clocks shift on whole minutes.
        """
        longest = 26 if self.zone.key.startswith("Pacific/") else 4
        before = range(after - (1 if self.seconds else 60), after - longest * 3600, -60)
        highest = max(self.wall(after), *(self.wall(instant) for instant in before))
        tick = timedelta(seconds=self.step)
        for instant in range(after + self.step, until + 1, self.step):
            now, found = self.wall(instant), False
            while highest < now:
                highest += tick
                found = found or self.wall_matches(highest)
            if found:
                yield instant


def find_shifts(zone: str, first_year: int, last_year: int) -> list[int]:
    """Instants, in UTC seconds on whole minutes, at which the offset changes: by bisection between half days."""
    info = ZoneInfo(zone)

    def offset(instant: int) -> timedelta | None:
        return datetime.fromtimestamp(instant, info).utcoffset()

    found = []
    start = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    now = offset(start)
    for begin in range(start, end, 43_200):
        low, high = begin, begin + 43_200
        before, now = now, offset(high)
        if before != now:
            while high - low > 60:
                middle = (low + high) // 120 * 60
                low, high = (middle, high) if offset(middle) == before else (low, middle)
            found.append(high)
    return found
