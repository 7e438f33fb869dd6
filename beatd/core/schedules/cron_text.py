"""Cron text into sets of values: five fields, or six with seconds first. No evaluation, no zones.

A compile step of our own, so that no library's release can change what an expression means.
"""

import difflib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from beatd.core.schedules.cron_fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field, Part, Special
from beatd.core.shown import shown
from beatd.errors import ScheduleInvalid

LONGEST_TEXT: Final = 1_024
ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class CronText:
    """A parsed expression; ``text`` is its canonical spelling, which parses to the same."""

    text: str
    second: Part
    minute: Part
    hour: Part
    day: Part
    month: Part
    weekday: Part

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.second, self.minute, self.hour, self.day, self.month, self.weekday)

    @property
    def hashed(self) -> bool:
        """Whether a seed has a say in the values."""
        return any(part.text.startswith("H") for part in self.parts)

    @property
    def interval_like(self) -> bool:
        """Follows the clock through gaps and folds instead of naming times of day."""
        return self.second.repeating or self.minute.repeating or self.hour.repeating


def parse_cron(text: str, seed: str | None = None) -> CronText:
    """Parses an expression; ``seed`` decides what H stands for. Raises ScheduleInvalid naming the field."""
    plain = _plain(text)
    fields = re.split(r"[ \t]+", ALIASES.get(plain, plain))
    if len(fields) not in (5, 6):
        raise ScheduleInvalid(f"cron: found {len(fields)} fields in {shown(text)}; {_FIELDS}", hint=_count_hint(fields))
    columns = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)[6 - len(fields) :]
    parts = [_part(column, item, seed) for column, item in zip(columns, fields, strict=True)]
    canonical = plain if plain in ALIASES else " ".join(part.text for part in parts)
    second, minute, hour, day, month, weekday = parts if len(parts) == 6 else [Part("0", 1), *parts]
    return CronText(canonical, second, minute, hour, day, month, weekday)


_FIELDS: Final = "five (minute hour day-of-month month day-of-week) or six (seconds first) are accepted"


def _plain(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ScheduleInvalid(f"cron: found {len(text)} characters; at most {LONGEST_TEXT} are accepted")
    plain = text.strip(" \t").lower()
    if not plain:
        raise ScheduleInvalid(f"cron: found nothing; {_FIELDS}")
    if not text.isascii() or not plain.replace("\t", " ").isprintable():
        raise ScheduleInvalid(f"cron: found {shown(text)}; printable ASCII with blanks between fields is accepted")
    if plain.startswith("@") and plain not in ALIASES:
        hints = {"@reboot": "a scheduler has no boot: trigger the task from the service that boots"}
        hint = "write every: 5m instead of cron: @every 5m" if plain.startswith("@every") else hints.get(plain)
        raise ScheduleInvalid(f"cron: found {shown(text)}; accepted aliases are {', '.join(ALIASES)}", hint=hint)
    return plain


def _count_hint(fields: list[str]) -> str | None:
    if len(fields) == 7:
        return "a year can't be given: use start and end"
    return None


def _part(field: Field, text: str, seed: str | None) -> Part:
    for pattern, read in _WHOLE_FIELD.get(field.name, ()):
        match = pattern.fullmatch(text)
        if match:
            return read(field, match, seed)
    try:
        items = [_item(field, item) for item in text.split(",")]
    except ScheduleInvalid as error:
        raise ScheduleInvalid(error.message, hint=_hint(field, text)) from None
    values = 0
    for item in items:
        values |= item.values
    specials = dict.fromkeys(special for item in items for special in item.specials)
    remarks = dict.fromkeys(remark for item in items for remark in item.remarks)
    return Part(",".join(item.text for item in items), values, tuple(specials), tuple(remarks))


def _item(field: Field, text: str) -> Part:
    for pattern, read in _ITEM[field.name]:
        match = pattern.fullmatch(text)
        if match:
            return read(field, match)
    raise _refused(field, text)


def _refused(field: Field, text: str) -> ScheduleInvalid:
    return ScheduleInvalid(f"cron: {field.name}: found {shown(text)}; {_accepted(field)}")


def _accepted(field: Field) -> str:
    more = {
        DAY.name: ", L, LW, 15W, ?, H",
        WEEKDAY.name: " (7 is Sunday too), names, mon#2, friL, ?, H",
        MONTH.name: ", names, H",
    }.get(field.name, ", H")
    high = 7 if field is WEEKDAY else field.high
    return f"accepted are *, {field.low}-{high}{more}, with lists, ranges and steps"


def _hint(field: Field, text: str) -> str | None:
    """What to do about a field that is none."""
    items = text.split(",")
    if "" in items:
        return "a list has no empty item"
    if re.fullmatch(r"r(?:\([0-9]+-[0-9]+\))?(?:/[0-9]+)?", text):
        return "R differs at each load and on each replica: H spreads and stays"
    if len(items) > 1 and any(item in ("*", "?", "lw") or re.fullmatch(r"[0-9]+w|h.*", item) for item in items):
        return "*, ?, W and H stand alone in their field"
    if field is DAY and text.startswith("l-"):
        return "days before the last one can't be counted in cron: use rrule with BYMONTHDAY=-3"
    if field is WEEKDAY and text == "l":
        return "name the day: friL is the month's last Friday"
    return _name_hint(field, text)


def _name_hint(field: Field, text: str) -> str | None:
    """The text with the nearest name in place of a word that is none: mon-fri for mon-fry."""
    shorts = [name[:3] for name in field.names]
    for word in re.findall(r"[a-z]{2,}", text):
        if len(word) < 3 or not any(name.startswith(word) for name in field.names):
            swapped = [name for name in shorts if sorted(name) == sorted(word)]
            near = swapped or difflib.get_close_matches(word, shorts if len(word) < 5 else field.names, 1)
            return f"did you mean {text.replace(word, near[0], 1)}?" if near else None
    return None


def _number(field: Field, text: str) -> int:
    """A value of the field, in its own numbers (a weekday of 7 stays 7)."""
    if text.isdigit():
        number = int(text)
        if field.low <= number <= (7 if field is WEEKDAY else field.high):
            return number
    elif len(text) >= 3:
        for position, name in enumerate(field.names):
            if name.startswith(text):
                return position + field.low
    raise _refused(field, text)


def _spelled(field: Field, text: str) -> str:
    """The canonical spelling of a value: digits without leading zeros, names cut to three letters."""
    return str(int(text)) if text.isdigit() else text[:3]


def _step(field: Field, text: str | None) -> int:
    if text is None:
        return 1
    step = int(text)
    if step == 0:
        raise ScheduleInvalid(f"cron: {field.name}: found a step of 0; a step of at least 1 is accepted")
    return step


def _bits(values: list[int], field: Field) -> int:
    mask = 0
    for value in values:
        mask |= 1 << (value % 7 if field is WEEKDAY else value)
    return mask


def _remarks(field: Field, text: str, values: list[int], step: int, to_the_end: bool) -> tuple[str, ...]:
    if step > 1 and step >= len(values):
        return (f"{field.name}: {text} keeps only its first value: the step is longer than the range",)
    if to_the_end and step > 1 and (field is DAY or field.size % step):
        return (f"{field.name}: {text} starts anew with each {_AROUND[field.name]}, so the last gap is uneven",)
    return ()


_AROUND: Final = {
    "second": "minute",
    "minute": "hour",
    "hour": "day",
    "day of month": "month",
    "month": "year",
    "day of week": "week",
}


def _stepped(field: Field, text: str, values: list[int], step_text: str | None, to_the_end: bool) -> Part:
    step = _step(field, step_text)
    spelled = f"{text}/{step}" if step_text else text
    return Part(spelled, _bits(values[::step], field), (), _remarks(field, spelled, values, step, to_the_end))


def _star(field: Field, match: re.Match[str]) -> Part:
    return _stepped(field, "*", list(range(field.low, field.high + 1)), match[1], True)


def _any(field: Field, match: re.Match[str], seed: str | None) -> Part:
    return Part(match[0], _bits(list(range(field.low, field.high + 1)), field))


def _range(field: Field, match: re.Match[str]) -> Part:
    """``a-b`` with both ends; a > b goes through the end of the field, and a weekday of 7 ends or begins a week."""
    first, last = _number(field, match[1]), _number(field, match[2])
    if first == 7 and last != 7 and field is WEEKDAY:
        first = 0
    stop = last if last >= first else last + field.size
    values = [(value - field.low) % field.size + field.low for value in range(first, stop + 1)]
    return _stepped(field, f"{_spelled(field, match[1])}-{_spelled(field, match[2])}", values, match[3], False)


def _from(field: Field, match: re.Match[str]) -> Part:
    first = _number(field, match[1])
    first = first % 7 if field is WEEKDAY else first
    return _stepped(field, _spelled(field, match[1]), list(range(first, field.high + 1)), match[2], True)


def _single(field: Field, match: re.Match[str]) -> Part:
    return Part(_spelled(field, match[0]), _bits([_number(field, match[0])], field))


def _last_day(field: Field, match: re.Match[str]) -> Part:
    return Part("L", 0, (Special("last"),))


def _nth(field: Field, match: re.Match[str]) -> Part:
    weekday, count = _number(field, match[1]) % 7, int(match[2])
    if not 1 <= count <= 5:
        raise ScheduleInvalid(f"cron: {field.name}: found {shown(match[0])}; a month has weekdays #1 to #5")
    return Part(f"{_spelled(field, match[1])}#{count}", 0, (Special("nth", count, weekday),))


def _last_weekday(field: Field, match: re.Match[str]) -> Part:
    text = match[1] or match[2]
    return Part(f"{_spelled(field, text)}L", 0, (Special("last weekday", 0, _number(field, text) % 7),))


def _nearest(field: Field, match: re.Match[str], seed: str | None) -> Part:
    day = _number(field, match[1])
    return Part(f"{day}W", 0, (Special("nearest", day),))


def _last_working(field: Field, match: re.Match[str], seed: str | None) -> Part:
    return Part("LW", 0, (Special("last working"),))


def _hashed(field: Field, match: re.Match[str], seed: str | None) -> Part:
    """H, H(a-b), H/n, H(a-b)/n by croniter's rule, whose numbers Airflow shows too: crc32 of the seed, shifted by
    the field's number, modulo the range; with a step the range to draw from is the first period.
    """
    if seed is None:
        raise ScheduleInvalid(
            f"cron: {field.name}: found {shown(match[0].upper())}, and nothing to spread by",
            hint="H is drawn from the entry's name, or from hash_id where that is given",
        )
    low, high = _hash_range(field, match)
    step = _step(field, match[3])
    period = min(low + step - 1, high) if match[3] else high
    first = low + (zlib.crc32(seed.encode()) >> field.shift) % (period - low + 1)
    values = list(range(first, high + 1, step)) if match[3] else [first]
    bounds = f"({low}-{high})" if match[1] else ""
    text = f"H{bounds}/{step}" if match[3] else f"H{bounds}"
    whole_field = list(range(low, high + 1))
    return Part(text, _bits(values, field), (), _remarks(field, text, whole_field, step, match[1] is None))


def _hash_range(field: Field, match: re.Match[str]) -> tuple[int, int]:
    if match[1] is None:
        return field.low, field.high
    low, high = _number(field, match[1]), _number(field, match[2])
    if low >= high:
        raise ScheduleInvalid(f"cron: {field.name}: found {shown(match[0].upper())}; H(a-b) with a < b is accepted")
    return low, high


_ItemReader = Callable[[Field, re.Match[str]], Part]
_FieldReader = Callable[[Field, re.Match[str], str | None], Part]
_PLAIN: Final[tuple[tuple[re.Pattern[str], _ItemReader], ...]] = (
    (re.compile(r"\*/([0-9]+)"), _star),
    (re.compile(r"([0-9]+|[a-z]+)-([0-9]+|[a-z]+)(?:/([0-9]+))?"), _range),
    (re.compile(r"([0-9]+|[a-z]+)/([0-9]+)"), _from),
)
_SINGLE: Final[tuple[re.Pattern[str], _ItemReader]] = (re.compile(r"[0-9]+|[a-z]+"), _single)
_DAY_ITEMS: Final[tuple[tuple[re.Pattern[str], _ItemReader], ...]] = ((re.compile("l"), _last_day),)
_WEEKDAY_ITEMS: Final[tuple[tuple[re.Pattern[str], _ItemReader], ...]] = (
    (re.compile(r"([0-9]+|[a-z]+)#([0-9])"), _nth),
    (re.compile(r"([0-9]+|[a-z]{3,})l|l([0-9])"), _last_weekday),
)
_ITEM: Final[dict[str, tuple[tuple[re.Pattern[str], _ItemReader], ...]]] = {
    **{field.name: (*_PLAIN, _SINGLE) for field in (SECOND, MINUTE, HOUR, MONTH)},
    DAY.name: (*_PLAIN, *_DAY_ITEMS, _SINGLE),
    WEEKDAY.name: (*_PLAIN, *_WEEKDAY_ITEMS, _SINGLE),
}
_HASH: Final[tuple[re.Pattern[str], _FieldReader]] = (
    re.compile(r"h(?:\(([0-9]+)-([0-9]+)\))?(?:/([0-9]+))?"),
    _hashed,
)
_ALL: Final[tuple[re.Pattern[str], _FieldReader]] = (re.compile(r"\*"), _any)
_ANY: Final[tuple[re.Pattern[str], _FieldReader]] = (re.compile(r"[*?]"), _any)
_WHOLE_FIELD: Final[dict[str, tuple[tuple[re.Pattern[str], _FieldReader], ...]]] = {
    **{field.name: (_ALL, _HASH) for field in (SECOND, MINUTE, HOUR, MONTH)},
    DAY.name: (_ANY, _HASH, (re.compile("([0-9]+)w"), _nearest), (re.compile("lw"), _last_working)),
    WEEKDAY.name: (_ANY, _HASH),
}
