"""A recurrence rule in plain English."""

from typing import Final

from beatd.core.schedules.cron_fields import MONTHS
from beatd.core.schedules.rrule_text import RRuleText
from beatd.core.schedules.words import joined, nth
from beatd.core.zone import naive_of

UNITS: Final = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def rrule_words(rule: RRuleText, start: int, until: str | None) -> str:
    """``every month on the last Friday at 18:00``. ``start``: wall seconds that fill in what is not given."""
    unit = UNITS[rule.frequency]
    head = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    end = f"{rule.count} times" if rule.count is not None else f"until {until}" if until is not None else ""
    return " ".join(part for part in (head, _months(rule, start), _days(rule, start), _times(rule, start), end) if part)


def _months(rule: RRuleText, start: int) -> str:
    months = rule.get("BYMONTH")
    if not months and rule.frequency == "YEARLY" and not _has_days(rule):
        months = (naive_of(start).month,)
    return f"in {joined([MONTHS[month - 1].capitalize() for month in months])}" if months else ""


def _has_days(rule: RRuleText) -> bool:
    return bool(rule.days or rule.get("BYWEEKNO") or rule.get("BYYEARDAY") or rule.get("BYMONTHDAY"))


def _days(rule: RRuleText, start: int) -> str:
    parts = []
    begin = naive_of(start)
    if rule.days:
        parts.append(f"on {joined([weekday_words(n, day) for n, day in rule.days])}")
    elif rule.frequency == "WEEKLY":
        parts.append(f"on {WEEKDAYS[begin.weekday()]}")
    month_days = rule.get("BYMONTHDAY")
    if not month_days and rule.frequency in ("MONTHLY", "YEARLY") and not _has_days(rule):
        month_days = (begin.day,)
    for values, what in ((month_days, "the month"), (rule.get("BYYEARDAY"), "the year")):
        if values:
            parts.append(f"on {joined([day_words(value) for value in values])} of {what}")
    if weeks := rule.get("BYWEEKNO"):
        parts.append(f"in week {joined([str(week) for week in weeks])}")
    if positions := rule.get("BYSETPOS"):
        parts.append(f"of these the {joined([nth(position) for position in positions])}")
    return " ".join(parts)


def _times(rule: RRuleText, start: int) -> str:
    begin = naive_of(start)
    hours = rule.get("BYHOUR") or (begin.hour,)
    minutes = rule.get("BYMINUTE") or (begin.minute,)
    seconds = rule.get("BYSECOND") or (begin.second,)
    times = [f"{h:02}:{m:02}" + (f":{s:02}" if s else "") for h in hours for m in minutes for s in seconds]
    return f"at {joined(times)}"


def weekday_words(n: int, day: int) -> str:
    """``Friday``, or ``the last Friday`` for n = -1; days from Monday = 0."""
    return f"the {nth(n)} {WEEKDAYS[day]}" if n else WEEKDAYS[day]


def day_words(value: int) -> str:
    """``day 15``, ``the last day``."""
    return f"day {value}" if value > 0 else f"the {nth(value)} day"
