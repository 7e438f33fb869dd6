"""Instants as people write them, as UTC milliseconds."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from beatd.core.shown import shown
from beatd.core.zone import FIRST_SECOND, LAST_SECOND, Zone, naive_of, wall_of
from beatd.errors import ScheduleInvalid

FIRST_MS: Final = FIRST_SECOND * 1_000
LAST_MS: Final = LAST_SECOND * 1_000 + 999
ACCEPTED: Final = "a date and a time such as 2026-12-01T09:00 (wall time in the zone) or 2026-12-01T08:00:00Z"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TEXT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]{1,3})?(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.IGNORECASE,
)

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET: Final = re.compile(r"(.{10}[T ].+)([+-][0-9]{2})([0-9]{2})?", re.IGNORECASE)
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant and its canonical text. Wall time stays wall time in the text: newer zone data may move it."""

    text: str
    ms: int


def read_moment(key: str, value: object, zone: Zone) -> Moment:
    """Reads ISO 8601 text or an aware datetime; text without an offset is wall time in the zone (gap: its end; fold:
    the first pass). Raises ScheduleInvalid naming the key.
    """
    if isinstance(value, datetime):
        moment = value
        if value.tzinfo is None:
            raise ScheduleInvalid(
                f"{key}: found a naive datetime, {value.isoformat()}; an aware one or a text is accepted",
                hint=f"as a text, {value.isoformat()!r} is wall time in the schedule's zone",
            )
    elif isinstance(value, str):
        moment = _read_text(key, value)
    else:
        raise _refused(key, value)
    if moment.tzinfo is not None:
        ms = aware_ms(moment)
        if not FIRST_MS <= ms <= LAST_MS:
            raise ScheduleInvalid(f"{key}: {moment.isoformat()} lies outside the years 1 to 9999 in UTC")
        return Moment(instant_text(ms), ms)
    milliseconds = moment.microsecond // 1_000
    return Moment(_wall_text(moment), wall_ms(wall_of(moment) * 1_000 + milliseconds, zone))


def wall_ms(wall: int, zone: Zone) -> int:
    """The instant at which a wall time, in milliseconds, is reached."""
    second, rest = divmod(wall, 1_000)
    instant = zone.reached(second)
    ms = instant * 1_000 + (rest if instant + zone.offset(instant) == second else 0)
    if not FIRST_MS <= ms <= LAST_MS:
        raise ScheduleInvalid(f"{naive_of(second).isoformat()} lies outside the years 1 to 9999 in UTC")
    return ms


def aware_ms(moment: datetime) -> int:
    """UTC milliseconds of an aware datetime, rounded down. Raises ScheduleInvalid when it is naive."""
    if not isinstance(moment, datetime):
        raise ScheduleInvalid(f"found {shown(moment)}; an aware datetime is accepted")
    if moment.utcoffset() is None:
        raise ScheduleInvalid(
            f"found a naive datetime, {moment.isoformat()}; an aware one is accepted",
            hint="give it a zone: datetime(..., tzinfo=UTC)",
        )
    try:
        ms = (moment - _EPOCH) // _MILLISECOND
    except OverflowError:  # the first hours of year 1, east of Greenwich
        ms = FIRST_MS - 1
    if not FIRST_MS <= ms <= LAST_MS:
        raise ScheduleInvalid(f"{moment.isoformat()} lies outside the years 1 to 9999 in UTC")
    return ms


def utc_of(ms: int) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(milliseconds=ms)


def instant_text(ms: int) -> str:
    """RFC 3339 in UTC with Z, milliseconds only when not zero."""
    spec = "milliseconds" if ms % 1_000 else "seconds"
    return utc_of(ms).replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def _read_text(key: str, text: str) -> datetime:
    match = _TEXT.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if not match:
        raise _refused(key, text)
    day, clock, seconds, fraction, offset = match.groups(default="")
    if offset[1:] > "23:59" or offset[4:] > "59":
        raise ScheduleInvalid(f"{key}: {text!r} is no instant: an offset lies between -23:59 and +23:59")
    try:
        return datetime.fromisoformat(f"{day}T{clock}{seconds or ':00'}{fraction}{offset.upper()}")
    except ValueError as error:
        raise ScheduleInvalid(f"{key}: {text!r} is no instant: {_why_none(day)}") from error


def _why_none(day: str) -> str:
    """What is wrong with a text of the right form. Not in the words of Python, which are other ones in each version."""
    try:
        date.fromisoformat(day)
    except ValueError:
        return f"there is no day {day}"
    return "a time of day lies between 00:00 and 23:59:59.999"


def _wall_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


def _refused(key: str, value: object) -> ScheduleInvalid:
    near = _near(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST else None
    meant = f"; write {near}" if near else ""
    return ScheduleInvalid(f"{key}: found {shown(value)}{meant}; accepted is {ACCEPTED}")


def _near(text: str) -> str | None:
    """What was meant by a day without a time, or by an offset in another form; None where nobody can tell."""
    if _DAY.fullmatch(text):
        return f"{text}T00:00"
    found = _OFFSET.fullmatch(text)
    near = found and f"{found[1]}{found[2]}:{found[3] or '00'}"
    return near if near and _TEXT.fullmatch(near) else None
