"""What the client takes for the fields of an entry, and how that is written down."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from beatd.core.duration import format_duration, parse_duration
from beatd.core.entry import Catchup, Guarantee
from beatd.core.instant import FIRST_MS, LAST_MS, aware_ms, instant_text
from beatd.core.listing import Sort
from beatd.core.shown import shown
from beatd.errors import EntryInvalid, ScheduleInvalid

Duration = str | int | float | timedelta
"""``"90s"``, ``"1h30m"``, seconds, or a timedelta; whole milliseconds."""
Instant = str | datetime
"""An aware datetime, or a text: ``"2026-12-01T08:00:00Z"``; without an offset it is wall time in the entry's zone."""

_DURATIONS = frozenset({"every", "grace", "deadline", "jitter"})
_INSTANTS = frozenset({"at", "start", "end", "anchor"})
_OFFSET = "write the offset: 2026-12-01T09:00:00+01:00"
_LISTS = frozenset({"args", "tags"})


class Fields(TypedDict, total=False):
    """The fields of an entry, as in ``schedules.yaml`` (docs/entries.md). None gives a field its default back."""

    task: str
    cron: str | None
    every: Duration | None
    at: Instant | None
    rrule: str | None
    timezone: str | None
    day: Literal["or", "and"] | None
    hash_id: str | None
    start: Instant | None
    end: Instant | None
    anchor: Instant | None
    fast: bool | None
    signature: Mapping[str, Any] | None
    args: Sequence[Any] | None
    kwargs: Mapping[str, Any] | None
    queue: str | None
    options: Mapping[str, Any] | None
    description: str | None
    tags: Sequence[str] | None
    enabled: bool | None
    max_runs: int | None
    jitter: Duration | None
    catchup: Catchup | None
    catchup_limit: int | None
    grace: Duration | None
    deadline: Duration | None
    guarantee: Guarantee | None


class Filters(TypedDict, total=False):
    """Which entries, and in what order. tasks, owners: globs, any of them; tags: all of them. A text is a list of one.

    states: any of `scheduled paused disabled finished blocked invalid`, `never` (ran), `late`.
    """

    states: str | Collection[str]
    tags: str | Collection[str]
    tasks: str | Sequence[str]
    owners: str | Sequence[str]
    sort: Sort


def texts(key: str, value: Any) -> tuple[str, ...]:
    """What may be a text or several, as several: a text is one, never its letters. Raises EntryInvalid."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Collection) or isinstance(value, Mapping | bytes):
        raise EntryInvalid(f"{key}: found {shown(value)}; a text or a list of texts is accepted")
    for each in value:
        if not isinstance(each, str):
            raise EntryInvalid(f"{key}: found {shown(each)}; a text or a list of texts is accepted")
    return tuple(value)


def check_count(key: str, value: Any) -> None:
    """Raises EntryInvalid for what is no number of entries or rows."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise EntryInvalid(f"{key}: found {shown(value)}; a whole number of 0 or more is accepted")


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as JSON can say them. Raises EntryInvalid for a naive datetime."""
    return {key: _plain(key, value) for key, value in fields.items()}


def _plain(key: str, value: Any) -> Any:
    try:
        if key in _DURATIONS and isinstance(value, timedelta):
            return format_duration(_timedelta_ms(value))
        if key in _INSTANTS and isinstance(value, datetime):
            return instant_text(aware_ms(value))
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{key}: {error.message}", hint=error.hint) from error
    if key in _LISTS and isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _timedelta_ms(value: timedelta) -> int:
    ms, rest = divmod(value, timedelta(milliseconds=1))
    if rest or ms < 0:
        raise ScheduleInvalid(f"found {value!r}; a duration of whole milliseconds is accepted")
    return ms


def until_ms(until: Instant | timedelta, now: int) -> int:
    """The end of a pause, UTC ms: an aware datetime, a text with an offset, or so long from now."""
    if isinstance(until, timedelta):
        end = now + _length_ms("until", until)
        if end > LAST_MS:
            raise EntryInvalid(f"until: {shown(str(until))} from now lies beyond the year 9999")
        return end
    if isinstance(until, datetime):
        return _aware("until", until)
    if not isinstance(until, str):
        raise EntryInvalid(f"until: found {type(until).__name__}; an aware datetime, a timedelta or a text is accepted")
    try:
        return now + parse_duration(until)
    except ScheduleInvalid:
        pass
    return instant_ms("until", until, or_else="nor a duration such as '2h'")


def ago_ms(key: str, value: Any) -> int | None:
    """How long ago a timedelta or a text such as '2h' says; None for what is no duration. Raises EntryInvalid."""
    if isinstance(value, timedelta):
        return _length_ms(key, value)
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ScheduleInvalid:
        return None


def past_ms(key: str, value: Instant | timedelta, now: int) -> int:
    """An instant, UTC ms: an aware datetime, a text with an offset, or so long before now. Raises EntryInvalid."""
    ago = ago_ms(key, value)
    if ago is not None:
        if now - ago < FIRST_MS:
            raise EntryInvalid(f"{key}: {shown(str(value))} ago lies before the year 1")
        return now - ago
    return instant_ms(key, value, or_else="nor a duration such as '2h'")  # type: ignore[arg-type]  # no timedelta


def _length_ms(key: str, value: timedelta) -> int:
    try:
        return _timedelta_ms(value)
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{key}: {error.message}") from error


def instant_ms(key: str, value: Instant, *, or_else: str = "") -> int:
    """An instant, UTC ms: an aware datetime, or a text with an offset. Raises EntryInvalid."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise EntryInvalid(f"{key}: {value!r} is no instant {or_else}".rstrip(), hint=_OFFSET) from error
    return _aware(key, moment)


def _aware(key: str, moment: datetime) -> int:
    try:
        return aware_ms(moment)
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{key}: {error.message}", hint=_OFFSET) from error
