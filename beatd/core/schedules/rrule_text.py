"""RFC 5545 recurrence text, checked strictly, before python-dateutil gives it a meaning."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from beatd.core.shown import shown
from beatd.errors import ScheduleInvalid

LONGEST_TEXT: Final = 1_024
MOST_COUNT: Final = 10_000
MOST_TIMES_A_DAY: Final = 96
FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FINER: Final = {"HOURLY": "every: 1h", "MINUTELY": "every: 1m", "SECONDLY": "every: 1s"}

# Key: lowest, highest, whether it may count from the end, frequencies the RFC lets it go with.
NUMBERS: Final[dict[str, tuple[int, int, bool, tuple[str, ...]]]] = {
    "BYMONTH": (1, 12, False, FREQUENCIES),
    "BYWEEKNO": (1, 53, True, ("YEARLY",)),
    "BYYEARDAY": (1, 366, True, ("YEARLY",)),
    "BYMONTHDAY": (1, 31, True, ("DAILY", "MONTHLY", "YEARLY")),
    "BYHOUR": (0, 23, False, FREQUENCIES),
    "BYMINUTE": (0, 59, False, FREQUENCIES),
    "BYSECOND": (0, 59, False, FREQUENCIES),
    "BYSETPOS": (1, 366, True, FREQUENCIES),
}
KEYS: Final = ("FREQ", "INTERVAL", "WKST", *NUMBERS, "BYDAY", "COUNT", "UNTIL")

_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_START = re.compile(r"DTSTART(?:;TZID=([A-Z0-9_+/-]+))?:([0-9]{8}T[0-9]{6}Z?)", re.IGNORECASE)
_MOMENT = re.compile(r"[0-9]{8}T[0-9]{6}Z?")


@dataclass(frozen=True, slots=True)
class RRuleText:
    """A recurrence rule as written, in canonical order. ``days`` holds (n or 0, weekday from Monday = 0)."""

    text: str
    frequency: str
    interval: int
    week_start: int
    numbers: tuple[tuple[str, tuple[int, ...]], ...]
    days: tuple[tuple[int, int], ...]
    count: int | None
    until: str | None
    start: str | None

    def get(self, key: str) -> tuple[int, ...]:
        """The numbers of one BY key, none when it is not given."""
        return dict(self.numbers).get(key, ())


def parse_rrule(text: str, zone_name: str) -> RRuleText:
    """Parses ``FREQ=...`` or the two lines DTSTART and RRULE. Raises ScheduleInvalid."""
    if len(text) > LONGEST_TEXT or not text.isascii():
        raise ScheduleInvalid(f"rrule: found {shown(text)}; at most {LONGEST_TEXT} ASCII characters are accepted")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = _start(lines.pop(0), zone_name) if lines and lines[0].upper().startswith("DTSTART") else None
    if len(lines) != 1:
        raise ScheduleInvalid(f"rrule: found {shown(text)}; one RRULE, with a DTSTART line before it, is accepted")
    pairs = _pairs(lines[0].upper().removeprefix("RRULE:"))
    frequency = _frequency(pairs)
    numbers = tuple((key, _numbers(key, pairs[key], frequency)) for key in NUMBERS if key in pairs)
    days = _days(pairs["BYDAY"], frequency, "BYWEEKNO" in pairs) if "BYDAY" in pairs else ()
    _check_positions(dict(numbers), days)
    rule = RRuleText(
        text="",
        frequency=frequency,
        interval=_one(pairs, "INTERVAL", 1, 100_000) or 1,
        week_start=_week_start(pairs.get("WKST", "MO")),
        numbers=numbers,
        days=days,
        count=_one(pairs, "COUNT", 1, MOST_COUNT),
        until=_moment("UNTIL", pairs["UNTIL"]) if "UNTIL" in pairs else None,
        start=start,
    )
    if rule.count is not None and rule.until is not None:
        raise ScheduleInvalid("rrule: found both COUNT and UNTIL; one of them is accepted")
    return _with_text(rule)


def _with_text(rule: RRuleText) -> RRuleText:
    parts = [f"FREQ={rule.frequency}"]
    if rule.interval > 1:
        parts.append(f"INTERVAL={rule.interval}")
    if rule.week_start:
        parts.append(f"WKST={WEEKDAYS[rule.week_start]}")
    parts += [f"{key}={','.join(map(str, values))}" for key, values in rule.numbers]
    if rule.days:
        parts.append("BYDAY=" + ",".join(f"{n or ''}{WEEKDAYS[day]}" for n, day in rule.days))
    parts += [f"{key}={value}" for key, value in (("COUNT", rule.count), ("UNTIL", rule.until)) if value is not None]
    text = ";".join(parts)
    return RRuleText(
        f"DTSTART:{rule.start}\nRRULE:{text}" if rule.start else text,
        *(rule.frequency, rule.interval, rule.week_start, rule.numbers, rule.days, rule.count, rule.until, rule.start),
    )


def _start(line: str, zone_name: str) -> str:
    match = _START.fullmatch(line)
    if not match:
        raise ScheduleInvalid(f"rrule: found {shown(line)}; DTSTART:20261201T090000 is accepted")
    if match[1] is not None and match[1] != zone_name:
        raise ScheduleInvalid(
            f"rrule: DTSTART has TZID={match[1]}, the entry has timezone {zone_name}", hint=f"set timezone: {match[1]}"
        )
    return _moment("DTSTART", match[2].upper())


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.strip().strip(";").split(";"):
        key, equals, value = part.partition("=")
        if not equals or key not in KEYS:
            raise ScheduleInvalid(f"rrule: found {shown(part)}; accepted are {', '.join(KEYS)}, each with =value")
        if key in pairs:
            raise ScheduleInvalid(f"rrule: found {key} twice")
        pairs[key] = value
    return pairs


def _frequency(pairs: dict[str, str]) -> str:
    found = pairs.get("FREQ", "")
    if found not in FREQUENCIES:
        hint = f"write {FINER[found]}, or a cron expression" if found in FINER else None
        raise ScheduleInvalid(f"rrule: found FREQ={found[:40]}; accepted are {', '.join(FREQUENCIES)}", hint=hint)
    return found


def _numbers(key: str, text: str, frequency: str) -> tuple[int, ...]:
    low, high, negative, frequencies = NUMBERS[key]
    if frequency not in frequencies:
        raise ScheduleInvalid(f"rrule: {key} goes with FREQ={' or '.join(frequencies)}, not with {frequency}")
    found = set()
    for item in text.split(","):
        if not re.fullmatch(r"[+-]?[0-9]{1,3}", item) or not low <= abs(int(item)) <= high:
            raise ScheduleInvalid(f"rrule: {key}: found {shown(item)}; accepted are {low} to {high}")
        if item.startswith("-") and not negative:
            raise ScheduleInvalid(f"rrule: {key}: found {shown(item)}, which does not count from the end")
        found.add(int(item))
    return tuple(sorted(found))


def _days(text: str, frequency: str, by_week: bool) -> tuple[tuple[int, int], ...]:
    found: dict[tuple[int, int], None] = {}
    for item in text.split(","):
        match = _DAY.fullmatch(item)
        if not match:
            raise ScheduleInvalid(f"rrule: BYDAY: found {shown(item)}; such as MO, 2TU or -1FR is accepted")
        n = int(match[1] or 0)
        most = {"MONTHLY": 5, "YEARLY": 0 if by_week else 53}.get(frequency, 0)
        if match[1] and not 1 <= abs(n) <= most:
            accepted = f"a number from 1 to {most}, or its negative," if most else "no number"
            raise ScheduleInvalid(f"rrule: BYDAY: found {shown(item)}; {accepted} is accepted with {frequency}")
        found[n, WEEKDAYS.index(match[2])] = None
    return tuple(found)


def _check_positions(numbers: dict[str, tuple[int, ...]], days: tuple[tuple[int, int], ...]) -> None:
    if "BYSETPOS" in numbers and len(numbers) == 1 and not days:
        raise ScheduleInvalid("rrule: BYSETPOS picks from other BY rules, and there are none")
    times = 1
    for key in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        times *= len(numbers.get(key, (0,)))
    if times > MOST_TIMES_A_DAY:
        raise ScheduleInvalid(
            f"rrule: found {times} times a day; at most {MOST_TIMES_A_DAY} are accepted", hint="write it as cron"
        )


def _one(pairs: dict[str, str], key: str, low: int, high: int) -> int | None:
    if key not in pairs:
        return None
    text = pairs[key]
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise ScheduleInvalid(f"rrule: {key}: found {shown(text)}; a number from {low} to {high} is accepted")
    return int(text)


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise ScheduleInvalid(f"rrule: WKST: found {shown(text)}; accepted are {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _moment(key: str, text: str) -> str:
    if not _MOMENT.fullmatch(text):
        hint = "a date alone leaves the time of day open" if re.fullmatch(r"[0-9]{8}", text) else None
        raise ScheduleInvalid(f"rrule: {key}: found {shown(text)}; such as 20261231T235959 is accepted", hint=hint)
    try:
        datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError as error:
        raise ScheduleInvalid(f"rrule: {key}: found {shown(text)}: {error}") from error
    return text
