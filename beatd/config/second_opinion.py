"""Another reader's opinion on our cron expressions: croniter, off the firing path.

croniter is given our canonical values as explicit lists, with nothing left that a release could read anew: no ranges,
steps, wraps, names or special days. Its sets must be ours. It is given H as written, since the rule for H is its own.
A difference is a reason to warn; our reading stands.
"""

from typing import Final

from croniter import CroniterError, croniter

from beatd.core.schedules.cron_fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field, Part
from beatd.core.schedules.cron_text import CronText, parse_cron

FIELDS: Final = (MINUTE, HOUR, DAY, MONTH, WEEKDAY, SECOND)  # in croniter's order


def second_opinion(text: str, seed: str | None = None) -> str | None:
    """What croniter reads otherwise, as a sentence; None when it agrees.

    ``seed`` is what H is drawn from. Raises ScheduleInvalid where we refuse the expression ourselves.
    """
    return difference(parse_cron(text, seed), seed)


def difference(ours: CronText, seed: str | None = None) -> str | None:
    """``second_opinion`` on an expression already read."""
    parts = (ours.minute, ours.hour, ours.day, ours.month, ours.weekday, ours.second)
    columns = [_column(field, part) for field, part in zip(FIELDS, parts, strict=True)]
    try:
        theirs = croniter.expand(" ".join(columns), hash_id=None if seed is None else seed.encode())[0]
    except CroniterError as error:
        return f"croniter refuses {' '.join(columns)!r}, which is {ours.text!r}: {error}"
    for field, part, found in zip(FIELDS, parts, theirs, strict=True):
        if _theirs(field, found) != _ours(field, part) and not part.specials:
            return f"croniter reads the {field.name} of {ours.text!r} as {found}; beatd's reading stands"
    return None


def explicit_text(ours: CronText) -> str:
    """The plain values of an expression as six lists, seconds last: what croniter is asked about, H apart."""
    parts = (ours.minute, ours.hour, ours.day, ours.month, ours.weekday, ours.second)
    return " ".join(_list(field, part) for field, part in zip(FIELDS, parts, strict=True))


def _column(field: Field, part: Part) -> str:
    return part.text if part.text.startswith("H") else _list(field, part)


def _list(field: Field, part: Part) -> str:
    """The values one by one; a field of special days alone is asked about as a star, for want of any value."""
    return ",".join(map(str, sorted(_ours(field, part)))) or "*"


def _ours(field: Field, part: Part) -> set[int]:
    return {value for value in range(field.low, field.high + 1) if part.values >> value & 1}


def _theirs(field: Field, found: list[int | str]) -> set[int]:
    if found == ["*"]:
        return set(range(field.low, field.high + 1))
    return {int(value) for value in found}
