"""Reading one compiled zone file (RFC 8536): its transitions, and the rule that goes on after the last of them."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

DAY: Final = 86_400
HEADER: Final = 44
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class YearlyRule:
    """A zone's rule for all later years: two shifts a year, or a fixed offset when ``turns`` is empty.

    ``turns`` holds (day of the year's shift in days since the epoch, wall seconds of that day, offset before, after).
    """

    offset: int
    turns: tuple[tuple[Callable[[int], int], int, int, int], ...] = ()

    def shifts(self, year: int) -> list[tuple[int, int]]:
        """(instant in UTC seconds, offset from then on) of one year, in order."""
        return sorted((day(year) * DAY + clock - before, after) for day, clock, before, after in self.turns)


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """Offsets in seconds east of UTC: the first one, every later (instant, offset), and what follows the last."""

    first_offset: int
    transitions: tuple[tuple[int, int], ...]
    rule: YearlyRule | None


def read_tzif(data: bytes) -> ZoneFile:
    """Decodes a TZif file of version 1 to 4. Raises ValueError when the bytes are none."""
    try:
        return _read_tzif(data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"a damaged zone file: {error}") from error


def _read_tzif(data: bytes) -> ZoneFile:
    if data[:4] != b"TZif":
        raise ValueError("no zone file: it does not begin with TZif")
    start, width = 0, 4
    if data[4:5] >= b"2":  # the first block holds 32-bit times for old readers; the second one is complete
        start, width = _block_length(data, 0, 4), 8
    counts = _Counts(*struct.unpack_from(">6l", data, start + 20))
    if counts.leaps:
        raise ValueError("a zone file with leap seconds (right/...): its clock is not UTC")
    at, times = start + HEADER, counts.times
    instants = struct.unpack_from(f">{times}{'q' if width == 8 else 'l'}", data, at)
    kinds = data[at + times * width : at + times * (width + 1)]
    at += times * (width + 1)
    offsets = [int(struct.unpack_from(">l", data, at + 6 * i)[0]) for i in range(counts.types)]
    footer = data[_block_length(data, start, width) + start :].strip(b"\n").decode("ascii") if width == 8 else ""
    moves = tuple((instant, offsets[kind]) for instant, kind in zip(instants, kinds, strict=True))
    return ZoneFile(offsets[0], moves, read_footer(footer) if footer else None)


class _Counts(NamedTuple):
    isutc: int
    isstd: int
    leaps: int
    times: int
    types: int
    chars: int


def _block_length(data: bytes, start: int, width: int) -> int:
    n = _Counts(*struct.unpack_from(">6l", data, start + 20))
    return HEADER + n.times * (width + 1) + n.types * 6 + n.chars + n.leaps * (width + 4) + n.isstd + n.isutc


_NAME = r"(?:<[A-Za-z0-9+-]+>|[A-Za-z]+)"
_CLOCK = r"[+-]?[0-9]{1,3}(?::[0-9]{1,2}){0,2}"
_DAY = r"(?:M[0-9]+\.[0-9]+\.[0-9]+|J?[0-9]+)"
_FOOTER = re.compile(
    rf"{_NAME}(?P<std>{_CLOCK})(?:{_NAME}(?P<dst>{_CLOCK})?"
    rf",(?P<on>{_DAY})(?:/(?P<on_at>{_CLOCK}))?,(?P<off>{_DAY})(?:/(?P<off_at>{_CLOCK}))?)?"
)


def read_footer(text: str) -> YearlyRule:
    """Reads a POSIX TZ text such as ``CET-1CEST,M3.5.0,M10.5.0/3``, whose offsets count west."""
    match = _FOOTER.fullmatch(text)
    if not match:
        raise ValueError(f"a zone file that ends with the unknown rule {text!r}")
    standard = -_clock(match["std"])
    if not match["on"]:
        return YearlyRule(standard)
    summer = -_clock(match["dst"]) if match["dst"] else standard + 3_600
    on = (_yearly_day(match["on"]), _clock(match["on_at"] or "2"), standard, summer)
    off = (_yearly_day(match["off"]), _clock(match["off_at"] or "2"), summer, standard)
    return YearlyRule(standard, (on, off))


def _clock(text: str) -> int:
    """Seconds of ``[+-]h[:m[:s]]``; hours may exceed a day."""
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    seconds = sum(part * unit for part, unit in zip(parts, (3_600, 60, 1), strict=False))
    return -seconds if text.startswith("-") else seconds


def _yearly_day(text: str) -> Callable[[int], int]:
    """The function from a year to the rule's day, in days since the epoch."""
    if text.startswith("M"):
        month, week, weekday = (int(part) for part in text[1:].split("."))
        return lambda year: _nth_weekday(year, month, week, weekday)
    if text.startswith("J"):  # 1 to 365, 29 February is never counted
        count = int(text[1:])
        return lambda year: _new_year(year) + count - 1 + (count >= 60 and _is_leap(year))
    return lambda year: _new_year(year) + int(text)


def _nth_weekday(year: int, month: int, week: int, weekday: int) -> int:
    first = date(year, month, 1)
    day = 1 + (weekday - first.isoweekday()) % 7 + 7 * (week - 1)
    length = 29 if month == 2 and _is_leap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
    return first.toordinal() - EPOCH_ORDINAL + (day if day <= length else day - 7) - 1


def _new_year(year: int) -> int:
    return date(year, 1, 1).toordinal() - EPOCH_ORDINAL


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
