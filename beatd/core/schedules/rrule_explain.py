"""A recurrence rule key by key: what each means, and what the start fills in."""

from collections.abc import Iterator
from typing import Final

from beatd.core.schedules.cron_fields import MONTHS
from beatd.core.schedules.explanation import FIXED_TIME, Detail, Explanation
from beatd.core.schedules.rrule_text import WEEKDAYS as CODES
from beatd.core.schedules.rrule_text import RRuleText
from beatd.core.schedules.rrule_words import UNITS, WEEKDAYS, day_words, weekday_words
from beatd.core.schedules.words import joined, nth
from beatd.core.zone import naive_of


def explain_rrule(rule: RRuleText, start: int) -> Explanation:
    """``start``: wall seconds of the first possible slot, which fill in what is not given."""
    return Explanation(tuple(_details(rule, start)), FIXED_TIME)


def _details(rule: RRuleText, start: int) -> Iterator[Detail]:
    unit = UNITS[rule.frequency]
    yield Detail("FREQ", rule.frequency, f"counts {unit}s")
    if rule.interval > 1:
        yield Detail("INTERVAL", str(rule.interval), f"every {nth(rule.interval)} {unit}, counted from the start")
    if rule.week_start:
        yield Detail("WKST", CODES[rule.week_start], f"weeks begin on {WEEKDAYS[rule.week_start]}")
    for key, values in rule.numbers:
        yield Detail(key, ",".join(map(str, values)), _meaning(key, values), values)
    if rule.days:
        text = ",".join(f"{n or ''}{CODES[day]}" for n, day in rule.days)
        yield Detail("BYDAY", text, joined([weekday_words(n, day) for n, day in rule.days]))
    if rule.count is not None:
        yield Detail("COUNT", str(rule.count), f"ends after {rule.count} slots, counted from the start")
    if rule.until is not None:
        yield Detail("UNTIL", rule.until, "in UTC" if rule.until.endswith("Z") else "wall time in the zone")
    begin = naive_of(start).isoformat()
    yield Detail("DTSTART", rule.start or "", f"{begin} wall time: first possible slot, fills in what is not given")


def _meaning(key: str, values: tuple[int, ...]) -> str:
    if key == "BYMONTH":
        return joined([MONTHS[value - 1].capitalize() for value in values])
    if key in ("BYMONTHDAY", "BYYEARDAY"):
        return f"{joined([day_words(value) for value in values])} of the {'month' if key == 'BYMONTHDAY' else 'year'}"
    if key == "BYSETPOS":
        return f"of the times in a period, the {joined([nth(value) for value in values])}"
    return f"{_PLAIN[key]} {joined([str(value) for value in values])}"


_PLAIN: Final = {"BYWEEKNO": "week", "BYHOUR": "hour", "BYMINUTE": "minute", "BYSECOND": "second"}
