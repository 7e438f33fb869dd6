"""A cron expression in plain English."""

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
from beatd.core.schedules.cron_text import CronText
from beatd.core.schedules.words import joined, nth, runs

MOST_TIMES: Final = 6


def cron_words(text: CronText, both: bool) -> str:
    """``at 09:00 on Monday to Friday``. ``both``: the entry asks for both day fields to match."""
    days = _days(text, both or text.day.starred or text.weekday.starred)
    months = "" if _whole(MONTH, text.month) else f"in {joined(_named(MONTH, text.month))}"
    named = _times(text)
    if named and not days and not months:
        days = "every day"
    return " ".join(part for part in (named or _clock(text), days, months) if part)


def values_of(field: Field, part: Part) -> list[int]:
    """The plain values of a field, ascending."""
    return [value for value in range(field.low, field.high + 1) if part.values >> value & 1]


def _whole(field: Field, part: Part) -> bool:
    return len(values_of(field, part)) == field.size


def _times(text: CronText) -> str:
    """The times of day, where they are few."""
    hours, minutes, seconds = values_of(HOUR, text.hour), values_of(MINUTE, text.minute), values_of(SECOND, text.second)
    if len(hours) * len(minutes) * len(seconds) > MOST_TIMES:
        return ""
    times = [f"{h:02}:{m:02}" + (f":{s:02}" if s else "") for h in hours for m in minutes for s in seconds]
    return f"at {joined(times)}"


def _clock(text: CronText) -> str:
    """The clock fields one by one, finest first: ``every 5 minutes of hours 9 to 17``."""
    fields = [(MINUTE, text.minute), (HOUR, text.hour)]
    if text.second.values != 1:
        fields.insert(0, (SECOND, text.second))
    parts = [_every(field, part) for field, part in fields]
    while len(parts) > 1 and _whole(*fields[len(parts) - 1]) and parts[-2].startswith("every"):
        parts.pop()
    head, *rest = parts
    return " of ".join([head if head.startswith("every") else f"at {head}", *rest])


def _every(field: Field, part: Part) -> str:
    values = values_of(field, part)
    step = values[1] - values[0] if len(values) > 1 else 0
    even = step > 0 and values == list(range(values[0], values[-1] + 1, step))
    if even and values[0] == field.low and values[-1] + step == field.high + 1:
        return f"every {field.name}" if step == 1 else f"every {step} {field.name}s"
    if even and step > 1 and len(values) > 3:
        return f"every {nth(step)} {field.name} from {values[0]} to {values[-1]}"
    return f"{field.name}{'s' if len(values) > 1 else ''} {joined(runs([str(value) for value in values], values))}"


def _days(text: CronText, both: bool) -> str:
    day = "" if not text.day.specials and _whole(DAY, text.day) else _day(text.day)
    weekday = "" if not text.weekday.specials and _whole(WEEKDAY, text.weekday) else _weekday(text.weekday)
    if both:
        if day and weekday:
            return f"on {day} where that is {weekday}"
        return f"on {day or weekday}" if day or weekday else ""
    return f"on {day} or on {weekday}" if day and weekday else ""


def _day(part: Part) -> str:
    values = values_of(DAY, part)
    step = values[1] - values[0] if len(values) > MOST_TIMES else 0
    if step > 1 and values == list(range(values[0], values[-1] + 1, step)):
        plain = f"every {nth(step)} day from {values[0]} to {values[-1]} of the month"
    else:
        plain = f"day{'s' if len(values) > 1 else ''} {joined(runs([str(v) for v in values], values))} of the month"
    return joined([*([plain] if values else []), *(special_words(special) for special in part.specials)])


def _weekday(part: Part) -> str:
    return joined([*_named(WEEKDAY, part), *(special_words(special) for special in part.specials)])


def special_words(special: Special) -> str:
    """A day that depends on the month: ``the last Friday of the month``."""
    weekday = WEEKDAYS[special.weekday].capitalize()
    return {
        "last": "the last day of the month",
        "last working": "the last Monday to Friday of the month",
        "nearest": f"the Monday to Friday nearest to day {special.n} of the month",
        "nth": f"the {nth(special.n)} {weekday} of the month",
        "last weekday": f"the last {weekday} of the month",
    }[special.kind]


def _named(field: Field, part: Part) -> list[str]:
    """Names of months, or of weekdays from Monday on, with longer runs drawn together."""
    values = values_of(field, part)
    if field is MONTH:
        return runs([MONTHS[value - 1].capitalize() for value in values], values)
    from_monday = sorted((value - 1) % 7 for value in values)
    return runs([WEEKDAYS[(value + 1) % 7].capitalize() for value in from_monday], from_monday)
