"""Durations as people write them, as integer milliseconds."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from beatd.core.shown import shown
from beatd.errors import ScheduleInvalid

UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
LONGEST_MS: Final = 366 * 100 * UNIT_MS["d"]
_WITH_UNIT: Final = "digits with a unit such as 90s, 1h30m, 200ms, 2d, 1w, or ISO 8601 (PT15M)"
ACCEPTED: Final = f"a number of seconds, or {_WITH_UNIT}"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+")
_ISO = re.compile(
    r"P(?:(?P<w>[0-9]+(?:\.[0-9]+)?)W)?(?:(?P<d>[0-9]+(?:\.[0-9]+)?)D)?"
    r"(?:T(?=[0-9])(?:(?P<h>[0-9]+(?:\.[0-9]+)?)H)?(?:(?P<m>[0-9]+(?:\.[0-9]+)?)M)?(?:(?P<s>[0-9]+(?:\.[0-9]+)?)S)?)?"
)

_BARE = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_SPOKEN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")
_WORDS: Final = {  # as people write units
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "S", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),  # M may be a month
    **dict.fromkeys(("h", "H", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "D", "day", "days"), "d"),
    **dict.fromkeys(("w", "W", "week", "weeks"), "w"),
}


def parse_duration(value: object) -> int:
    """The duration in milliseconds; a bare number is seconds.

    Raises ScheduleInvalid for anything else, for negative values, for fractions of a millisecond, for quoted digits
    without a unit (their unit would be a guess), and above a hundred years.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refused(value)
    if isinstance(value, int) and abs(value) > LONGEST_MS:  # Python refuses to print a number of thousands of digits
        raise ScheduleInvalid("a number this large is out of range: a duration lies between 0 and 100 years")
    return _text_ms(value) if isinstance(value, str) else _total([(str(value), 1_000)], value)


@lru_cache(maxsize=1_024)
def _text_ms(text: str) -> int:
    """Remembered, for every definition names a few durations and most of them the same ones."""
    return _total(_parts(text), text)


def _total(parts: list[tuple[str, int]], value: object) -> int:
    total = sum((_number(n, value) * unit for n, unit in parts), Fraction(0))
    if total.denominator != 1:
        raise ScheduleInvalid(f"{value!r} is finer than a millisecond", hint="the finest duration is 1ms")
    if not 0 <= total <= LONGEST_MS:
        raise ScheduleInvalid(f"{value!r} is out of range: a duration lies between 0 and 100 years")
    return int(total)


@lru_cache(maxsize=1_024)  # entries share a few
def format_duration(ms: int) -> str:
    """In whole units from the largest down, as parse_duration reads it back: 5400000 is ``1h30m``."""
    rest, out = ms, []
    for unit in ("w", "d", "h", "m", "s", "ms"):
        n, rest = divmod(rest, UNIT_MS[unit])
        if n:
            out.append(f"{n}{unit}")
    return "".join(out) or "0s"


def _parts(text: str) -> list[tuple[str, int]]:
    text = text.strip()
    if len(text) <= 64 and text.isascii():
        if _WHOLE.fullmatch(text):
            return [(n, UNIT_MS[unit]) for n, unit in _PART.findall(text)]
        iso = _ISO.fullmatch(text)
        if iso and any(iso.groupdict().values()):
            return [(n, UNIT_MS[unit]) for unit, n in iso.groupdict().items() if n]
    raise _refused(text)


def _number(text: str, value: object) -> Fraction:
    try:
        return Fraction(text)  # exact: a Decimal of more than 28 digits would be rounded to a whole millisecond
    except ValueError:  # infinity, and what is not a number
        raise _refused(value) from None


def _refused(value: object) -> ScheduleInvalid:
    text = value.strip() if isinstance(value, str) and value.isascii() else ""
    if _BARE.fullmatch(text):  # a number in YAML is seconds, a text of digits is not
        return ScheduleInvalid(
            f"{shown(value)} has no unit: accepted are {_WITH_UNIT}", hint=f"write {text}s if seconds are meant"
        )
    meant = _meant(text)
    hint = f"write {meant}" if meant else None
    return ScheduleInvalid(f"{shown(value)} is not a duration: accepted are {ACCEPTED}", hint=hint)


def _meant(text: str) -> str | None:
    """``5s`` for ``5 sec``: what a text with blanks, or with other words for units, may stand for."""
    parts = _SPOKEN.findall(text)
    if len(text) > 64 or not parts or _SPOKEN.sub("", text):
        return None
    units = [_WORDS.get(word) or _WORDS.get(word.lower() if len(word) > 1 else "") for _, word in parts]
    return "".join(f"{n}{unit}" for (n, _), unit in zip(parts, units, strict=True)) if all(units) else None
