"""Celery's own spellings of a schedule, into cron and every, with Celery's meaning.

A mapping is the arguments of ``celery.schedules.crontab``: its grammar is narrower than cron's (no 7 for Sunday, no
``5/15``, no L, W, # or H), and it takes both day fields together, so ``day: and`` is implied.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from beatd.core.duration import UNIT_MS, parse_duration
from beatd.core.schedules.cron_fields import DAY, HOUR, MINUTE, MONTH, WEEKDAY, Field
from beatd.core.shown import shown
from beatd.errors import EntryInvalid, ScheduleInvalid

CRONTAB_FIELDS: Final = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_FIELDS: Final[Mapping[str, Field]] = {
    "minute": MINUTE,
    "hour": HOUR,
    "day_of_month": DAY,
    "month_of_year": MONTH,
    "day_of_week": WEEKDAY,
}  # in cron's order; crontab() itself has the weekday third
_VALUE: Final = r"(?:[0-9]{1,4}|[A-Za-z]{3,9})"
_ITEM: Final = re.compile(rf"\*(?:/[0-9]{{1,4}})?|{_VALUE}(?:-{_VALUE}(?:/[0-9]{{1,4}})?)?")
_EVERY: Final = re.compile(r"@every\s+(\S+)", re.IGNORECASE)


class SpellingInvalid(EntryInvalid):
    """A spelling that Celery would refuse, or that beatd has no word for.

    ``path`` leads from the key to the place. ``others`` are further errors of the same mapping.
    """

    def __init__(self, message: str, *, hint: str | None = None, path: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.others: list[SpellingInvalid] = []


def from_schedule(value: object) -> dict[str, Any]:
    """The keys that ``schedule: ...`` stands for. Raises SpellingInvalid."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"every": value}
    if isinstance(value, str):
        every = _EVERY.fullmatch(value.strip())
        return {"every": every[1]} if every else {"cron": value}
    if isinstance(value, Mapping):
        return _from_mapping(value)
    raise SpellingInvalid(
        f"schedule: found {shown(value)}; seconds, a cron expression or {{crontab: {{...}}}} is accepted"
    )


def _from_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    if list(value) == ["crontab"] and isinstance(value["crontab"], Mapping):
        return from_crontab(value["crontab"], "schedule.crontab", ("crontab",))
    known = {"solar": "there is no solar schedule yet", "timedelta": "write every: 30s", "every": "write every: 30s"}
    hint = next((known[key] for key in value if key in known), "write {crontab: {minute: 0, hour: 2}}")
    raise SpellingInvalid(f"schedule: found a mapping with {', '.join(map(shown, value)) or 'nothing'}", hint=hint)


def from_crontab(fields: Mapping[str, Any], where: str = "cron", path: tuple[str, ...] = ()) -> dict[str, Any]:
    """The keys that the arguments of ``crontab()`` stand for; ``day: and`` is Celery's meaning. Raises SpellingInvalid.

    ``where`` names the mapping in messages, ``path`` leads to it.
    """
    hint = f"crontab() has {', '.join(CRONTAB_FIELDS)}"
    unknown = [key for key in fields if key not in _FIELDS]
    errors = [SpellingInvalid(f"{where}: unknown key {shown(key)}", hint=hint, path=(*path, key)) for key in unknown]
    columns = []
    for name, field in _FIELDS.items():
        try:
            columns.append(_column(field, fields.get(name, "*")))
        except SpellingInvalid as error:
            errors.append(SpellingInvalid(f"{where}.{name}: {error.message}", hint=error.hint, path=(*path, name)))
    if errors:
        errors[0].others = errors[1:]
        raise errors[0]
    return {"cron": " ".join(columns), "day": "and"}


def _column(field: Field, value: object) -> str:
    if isinstance(value, bool) or value is None:
        raise SpellingInvalid(f"found {shown(value)}; a number, a text or a list of numbers is accepted")
    if isinstance(value, int):
        return _number(field, str(value))
    if isinstance(value, list):
        if not value or not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            raise SpellingInvalid("found a list with something else than numbers", hint='write a text: "1,5-7"')
        return ",".join(_number(field, str(item)) for item in value)
    if not isinstance(value, str):
        raise SpellingInvalid(f"found {shown(value)}; a number, a text or a list of numbers is accepted")
    items = [_item(field, item.strip()) for item in value.split(",")]
    return "*" if "*" in items else ",".join(items)


def _item(field: Field, text: str) -> str:
    """One item of a list, checked against Celery's grammar; its meaning is cron's."""
    if not _ITEM.fullmatch(text):
        raise SpellingInvalid(
            f"found {shown(text)}, which Celery's crontab() does not read", hint=_cron_hint(field, text)
        )
    if re.search(r"/0+$", text):
        raise SpellingInvalid(f"found {shown(text)}; a step of at least 1 is accepted")
    for value in re.findall(r"[0-9]+|[A-Za-z]+", text.partition("/")[0]):
        _number(field, value)
    return text


def _cron_hint(field: Field, text: str) -> str:
    start_step = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if start_step:
        return f"write {start_step[1]}-{field.high}/{start_step[2]}"
    return 'what cron has beyond Celery goes into a text: cron: "0 0 L * *"'


def _number(field: Field, text: str) -> str:
    if text.isdigit() and not field.low <= int(text) <= field.high:
        hint = "Celery counts Sunday as 0" if field is WEEKDAY and text == "7" else None
        raise SpellingInvalid(f"found {text}; {field.low} to {field.high} is accepted", hint=hint)
    if not text.isdigit() and not text.isalpha():
        raise SpellingInvalid(f"found {text}; {field.low} to {field.high} is accepted")
    return text


def relative_hint(every: object) -> str:
    """The cron expression that says the same as ``relative: true`` with this interval, as far as there is one."""
    try:
        ms = parse_duration(every)
    except ScheduleInvalid:
        ms = 0
    texts = {"s": ("*/{} * * * * *", 60), "m": ("*/{} * * * *", 60), "h": ("0 */{} * * *", 24), "d": ("0 0 * * *", 1)}
    for unit in ("d", "h", "m", "s"):
        text, around = texts[unit]
        n, rest = divmod(ms, UNIT_MS[unit])
        if n and not rest and around % n == 0:
            expression = text.format(n).replace("*/1 ", "* ") if n < around or unit == "d" else None
            if expression:
                return f'write cron: "{expression}"'
    return "write the times of day as cron, or give the interval an anchor"
