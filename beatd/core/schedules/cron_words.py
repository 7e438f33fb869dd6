"""A cron expression in plain English."""

from typing import Final

from beatd.core.schedules.cron_text import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    MONTHS,
    SECOND,
    WEEKDAY,
    WEEKDAYS,
    CronText,
    Field,
    Part,
    Special,
)

MOST_TIMES: Final = 6


def cron_words(text: CronText, both: bool) -> str:
    """``at 09:00 on Monday to Friday``. ``both``: the entry asks for both day fields to match."""
    days = _days(text, both or text.day.starred or text.weekday.starred)
    months = "" if _whole(MONTH, text.month) else f"in {_joined(_named(MONTH, text.month))}"
    named = _times(text)
    if named and not days and not months:
        days = "every day"
    return " ".join(part for part in (named or _clock(text), days, months) if part)


def _values(field: Field, part: Part) -> list[int]:
    return [value for value in range(field.low, field.high + 1) if part.values >> value & 1]


def _whole(field: Field, part: Part) -> bool:
    return len(_values(field, part)) == field.size


def _times(text: CronText) -> str:
    """The times of day, where they are few."""
    hours, minutes, seconds = _values(HOUR, text.hour), _values(MINUTE, text.minute), _values(SECOND, text.second)
    if len(hours) * len(minutes) * len(seconds) > MOST_TIMES:
        return ""
    times = [f"{h:02}:{m:02}" + (f":{s:02}" if s else "") for h in hours for m in minutes for s in seconds]
    return f"at {_joined(times)}"


def _clock(text: CronText) -> str:
    """The clock fields one by one, finest first: ``every 5 minutes of hours 9 to 17``."""
    parts = []
    if text.second.values != 1:
        parts.append(_every(SECOND, text.second))
    if not parts or not _whole(MINUTE, text.minute):
        parts.append(_every(MINUTE, text.minute))
    if not _whole(HOUR, text.hour):
        parts.append(_every(HOUR, text.hour))
    elif not parts[-1].startswith("every"):
        parts.append("every hour" if len(parts) == 1 or text.minute.values else "")
    head, *rest = [part for part in parts if part]
    return " of ".join([head if head.startswith("every") else f"at {head}", *rest])


def _every(field: Field, part: Part) -> str:
    values = _values(field, part)
    step = values[1] - values[0] if len(values) > 1 else 0
    even = step and values == list(range(values[0], field.high + 1, step)) and field.size % step == 0
    if even and values[0] == field.low:
        return f"every {field.name}" if step == 1 else f"every {step} {field.name}s"
    runs = _runs([str(value) for value in values], values)
    return f"{field.name}{'s' if len(values) > 1 else ''} {_joined(runs)}"


def _days(text: CronText, both: bool) -> str:
    day = "" if not text.day.specials and _whole(DAY, text.day) else _day(text.day)
    weekday = "" if not text.weekday.specials and _whole(WEEKDAY, text.weekday) else _weekday(text.weekday)
    if both:
        if day and weekday:
            return f"on {day} where that is {weekday}"
        return f"on {day or weekday}" if day or weekday else ""
    return f"on {day} or on {weekday}" if day and weekday else ""


def _day(part: Part) -> str:
    values = _values(DAY, part)
    plain = f"day{'s' if len(values) > 1 else ''} {_joined(_runs([str(v) for v in values], values))} of the month"
    return _joined([*([plain] if values else []), *(_special(special) for special in part.specials)])


def _weekday(part: Part) -> str:
    return _joined([*_named(WEEKDAY, part), *(_special(special) for special in part.specials)])


def _special(special: Special) -> str:
    weekday = WEEKDAYS[special.weekday].capitalize()
    return {
        "last": "the last day of the month",
        "last working": "the last Monday to Friday of the month",
        "nearest": f"the Monday to Friday nearest to day {special.n} of the month",
        "nth": f"the {('1st', '2nd', '3rd', '4th', '5th')[special.n - 1 if special.n else 0]} {weekday} of the month",
        "last weekday": f"the last {weekday} of the month",
    }[special.kind]


def _named(field: Field, part: Part) -> list[str]:
    """Names of months, or of weekdays from Monday on, with longer runs drawn together."""
    values = _values(field, part)
    if field is MONTH:
        return _runs([MONTHS[value - 1].capitalize() for value in values], values)
    from_monday = sorted((value - 1) % 7 for value in values)
    return _runs([WEEKDAYS[(value + 1) % 7].capitalize() for value in from_monday], from_monday)


def _runs(words: list[str], values: list[int]) -> list[str]:
    """The words of ascending values, three or more neighbours as ``a to c``."""
    out: list[str] = []
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[i - 1] + 1:
            out += [f"{words[start]} to {words[i - 1]}"] if i - start > 2 else words[start:i]
            start = i
    return out


def _joined(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
