"""A cron expression field by field: which values, and where they come from."""

import re
from typing import Final

from beatd.core.schedules.cron_fields import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    MONTHS,
    SECOND,
    WEEKDAY,
    WEEKDAYS,
    Field,
    Part,
    Special,
)
from beatd.core.schedules.cron_text import ALIASES, CronText
from beatd.core.schedules.cron_words import special_words, values_of
from beatd.core.schedules.explanation import FIXED_TIME, Detail, Explanation, Reading
from beatd.core.schedules.words import nth

EVERY: Final = {
    "second": "every second",
    "minute": "every minute",
    "hour": "every hour",
    "day of month": "any day of the month",
    "month": "every month",
    "day of week": "any day of the week",
}

FOLLOWS: Final = (
    "interval-like, for the {} is {}: wall times that the clock skips do not run, repeated ones run in both passes"
)

_STEP = re.compile(r"\*/([0-9]+)")
_RANGE = re.compile(r"([0-9]+|[a-z]+)-([0-9]+|[a-z]+)(?:/([0-9]+))?")
_FROM = re.compile(r"([0-9]+|[a-z]+)/([0-9]+)")
_HASH = re.compile(r"H(?:\(([0-9]+)-([0-9]+)\))?(?:/([0-9]+))?")
_NTH = re.compile(r"([0-9]+|[a-z]+)#([0-9])")
_LAST = re.compile(r"([0-9]+|[a-z]+)L")


def explain_cron(text: CronText, both: bool, source: str) -> Explanation:
    """``source`` is what H is drawn from, in words."""
    return Explanation(_details(text, source), _clock(text), _readings(text, both))


def _details(text: CronText, source: str) -> tuple[Detail, ...]:
    fields = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
    given = len(ALIASES.get(text.text, text.text).split())
    pairs = list(zip(fields, text.parts, strict=True))[6 - given :]
    return tuple(
        Detail(field.name, part.text, _meaning(field, part, source), tuple(values_of(field, part)), part.remarks)
        for field, part in pairs
    )


def _meaning(field: Field, part: Part, source: str) -> str:
    if part.text.startswith("H"):
        return _drawn(field, part, source)
    return "; ".join(_item(field, item) for item in part.text.split(","))


def _drawn(field: Field, part: Part, source: str) -> str:
    match = _HASH.fullmatch(part.text)
    low, high, step = match.groups() if match else (None, None, None)
    first = _label(field, values_of(field, part)[0])
    among = f" among {_label(field, int(low))} to {_label(field, int(high))}" if low and high else ""
    if step:
        return f"every {nth(int(step))} {field.name} from {first} on, which H drew by {source}{among}"
    return f"{first}, which H drew by {source}{among}"


def _item(field: Field, item: str) -> str:
    """One canonical item of a list, in words."""
    if item in ("*", "?"):
        return EVERY[field.name]
    if match := _STEP.fullmatch(item):
        step = int(match[1])
        return EVERY[field.name] if step == 1 else f"every {nth(step)} {field.name} from {_label(field, field.low)} on"
    if match := _RANGE.fullmatch(item):
        return _range(field, match[1], match[2], int(match[3] or 1))
    if match := _FROM.fullmatch(item):
        first, last = (
            _label(field, _number(field, match[1]) % (7 if field is WEEKDAY else 60)),
            _label(field, field.high),
        )
        return f"every {nth(int(match[2]))} {field.name} from {first} to {last}"
    special = _special(field, item)
    return special_words(special) if special else _label(field, _number(field, item))


def _range(field: Field, low: str, high: str, step: int) -> str:
    first, last = _number(field, low), _number(field, high)
    if field is WEEKDAY and first == 7 and last != 7:
        first = 0
    around = f", around the end of the {_CIRCLE[field.name]}" if first > last else ""
    span = f"{_label(field, first)} to {_label(field, last)}{around}"
    return span if step == 1 else f"every {nth(step)} {field.name} of {span}"


_CIRCLE: Final = {
    "second": "minute",
    "minute": "hour",
    "hour": "day",
    "day of month": "month",
    "month": "year",
    "day of week": "week",
}


def _special(field: Field, item: str) -> Special | None:
    if field is DAY and item in ("L", "LW"):
        return Special("last" if item == "L" else "last working")
    if field is DAY and item.endswith("W"):
        return Special("nearest", int(item[:-1]))
    if match := _NTH.fullmatch(item):
        return Special("nth", int(match[2]), _number(field, match[1]) % 7)
    if match := _LAST.fullmatch(item):
        return Special("last weekday", 0, _number(field, match[1]) % 7)
    return None


def _number(field: Field, text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(i for i, name in enumerate(field.names) if name.startswith(text)) + field.low


def _label(field: Field, value: int) -> str:
    if field is MONTH:
        return MONTHS[value - 1].capitalize()
    return WEEKDAYS[value % 7].capitalize() if field is WEEKDAY else str(value)


def _clock(text: CronText) -> str:
    for name, part in (("second", text.second), ("minute", text.minute), ("hour", text.hour)):
        if part.repeating:
            return FOLLOWS.format(name, part.text)
    return FIXED_TIME


def _readings(text: CronText, both: bool) -> tuple[Reading, ...]:
    """Both readings of two restricted day fields; none where one field alone has a say."""
    if any(part.text in ("*", "?", "*/1") for part in (text.day, text.weekday)):
        return ()
    starred = [name for name, part in (("day of month", text.day), ("day of week", text.weekday)) if part.starred]
    if starred and not both:
        reason = f"cron's rule: the {starred[0]} begins with a star, so both day fields must match"
        return (Reading("and", True, {}, reason), Reading("or", False, {"cron": _unstarred(text)}))
    if both:
        reason = "day: and, so both day fields must match"
        return (Reading("and", True, {}, reason), Reading("or", False, {"cron": _unstarred(text), "day": "or"}))
    reason = "cron's rule: neither day field begins with a star, so one of them is enough"
    return (Reading("or", True, {}, reason), Reading("and", False, {"day": "and"}))


def _unstarred(text: CronText) -> str:
    """The expression with ranges in the place of stars in its day fields."""
    *clock, day, month, weekday = ALIASES.get(text.text, text.text).split()
    return " ".join([*clock, re.sub(r"^\*", "1-31", day), month, re.sub(r"^\*", "0-6", weekday)])
