"""The options of ``apply_async`` that have a meaning in a message, read and checked."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from beatd.core.duration import parse_duration
from beatd.errors import EntryInvalid, ScheduleInvalid
from beatd.formats._instants import isoformat

MAX_PRIORITY: Final = 9
DELIVERY_MODES: Final[Mapping[object, int]] = {1: 1, 2: 2, "transient": 1, "persistent": 2}

# Written by the message itself: from the user they would contradict an option or the identity of the fire.
OWN_HEADERS: Final = frozenset(
    {
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
        *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting"),
        *("stamped_headers", "stamps", "beatd_slot"),
    }
)

# What else apply_async takes, and why a stored entry can't have it.
NOT_TAKEN: Final[Mapping[str, str]] = {
    "task_id": "the task id derives from entry and slot",
    "root_id": "the root id is the task id",
    "correlation_id": "the correlation id is the task id",
    **dict.fromkeys(("timeout", "confirm_timeout"), "how long a broker may take is a setting of it, for all entries"),
    **dict.fromkeys(("connection", "producer", "publisher", "router"), "a live object can't be stored"),
    **dict.fromkeys(("link", "link_error", "chain", "chord"), "let the task itself start what follows it"),
}

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", re.DOTALL)
_DATE_WITH_OFFSET = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class AfterSlot(NamedTuple):
    """An instant a fixed distance after the slot."""

    after_slot_ms: int

    def at(self, slot_ms: int) -> int:
        return slot_ms + self.after_slot_ms

    def text(self, slot_ms: int) -> str:
        return isoformat(slot_ms + self.after_slot_ms)


class FixedDate(NamedTuple):
    """A date, sent in the very spelling in which it was written, as Celery does."""

    at_ms: int
    written: str
    after_slot_ms: None = None

    def at(self, _slot_ms: int) -> int:
        return self.at_ms

    def text(self, _slot_ms: int) -> str:
        return self.written


Instant = AfterSlot | FixedDate


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one entry; what is not given has Celery's default."""

    priority: int = 0
    expires: Instant | None = None
    eta: Instant | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    ignore_result: bool | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    shadow: str | None = None
    reply_to: str = ""
    delivery_mode: int = 2
    attempts: int | None = None


def read_options(options: Mapping[str, Any], *, queue: str) -> Options:
    """Reads an entry's options; None counts as not given, as in ``apply_async``.

    Raises EntryInvalid naming the option, what was found and what is accepted.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in _READERS:
            raise _unknown(name)
    if "countdown" in given and "eta" in given:
        raise EntryInvalid("options: countdown and eta both say when to start; one of them is accepted")
    read = {name: _READERS[name](f"options.{name}", value) for name, value in given.items()}
    _check_route(read, queue)
    countdown = read.pop("countdown", None)
    if countdown is not None and countdown.after_slot_ms:
        read["eta"] = countdown
    read["attempts"] = _attempts(read)
    kept = {name: value for name, value in read.items() if name not in _ROUTE and name not in _SAID_OTHERWISE}
    return Options(**kept)


def _attempts(read: Mapping[str, Any]) -> int | None:
    """How often a broker may refuse a message before it is given up; without a word about it, never."""
    if read.get("retry") is False:
        return 1
    most: int | None = read.get("retry_policy")
    return None if most is None else most + 1


def _check_route(read: Mapping[str, Any], queue: str) -> None:
    """Only the default exchange: a message for another one is lost on Redis, without an error, if no queue is bound."""
    for name in _ROUTE:
        accepted = ("", queue) if name != "queue" else (queue,)
        if read.get(name, queue) not in accepted:
            raise EntryInvalid(
                f"options.{name}: found {read[name]!r}; accepted is the entry's queue, {queue!r}",
                hint="messages go straight to a queue: name it as the entry's queue",
            )


def _unknown(name: str) -> EntryInvalid:
    if name in NOT_TAKEN:
        return EntryInvalid(f"options.{name} is not accepted: {NOT_TAKEN[name]}", hint=f"accepted are {_ACCEPTED}")
    near = difflib.get_close_matches(name, _READERS, n=1)
    hint = f"did you mean {near[0]}?" if near else None
    return EntryInvalid(f"options.{name} is not known; accepted are {_ACCEPTED}", hint=hint)


def _priority(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise _refused(where, value, f"a whole number from 0 (on Redis the most urgent) to {MAX_PRIORITY} is accepted")
    return value


def _instant(where: str, value: object) -> Instant:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return _date(where, value)
    try:
        return AfterSlot(parse_duration(value))
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{where}: {error.message}, or a date with an offset", hint=error.hint) from error


def _date(where: str, text: str) -> FixedDate:
    accepted = "a date such as 2026-12-01T09:00:00+01:00 is accepted, with an offset or Z"
    if not _DATE_WITH_OFFSET.fullmatch(text):
        raise _refused(where, text, accepted)
    try:
        return FixedDate((datetime.fromisoformat(text) - _EPOCH) // _MS, text)
    except ValueError as error:
        raise EntryInvalid(f"{where}: found {text!r} ({error}); {accepted}") from error


def _expires(where: str, value: object) -> Instant:
    instant = _instant(where, value)
    if instant.after_slot_ms == 0:
        raise _refused(where, value, "a duration above 0 is accepted: a worker would discard every run")
    return instant


def _countdown(where: str, value: object) -> AfterSlot:
    instant = _instant(where, value)
    if not isinstance(instant, AfterSlot):
        raise _refused(where, value, "a duration is accepted; a date goes into eta")
    return instant


def _time_limit(where: str, value: object) -> float:
    """Seconds: numbers as they were written, as Celery sends them; texts as durations."""
    try:
        ms = parse_duration(value)
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{where}: {error.message}", hint=error.hint) from error
    if not ms:
        raise _refused(where, value, "a duration above 0 is accepted")
    if isinstance(value, int | float):
        return value
    return ms // 1_000 if ms % 1_000 == 0 else ms / 1_000


def _headers(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise _refused(where, value, "an object is accepted")
    own = sorted(OWN_HEADERS & value.keys())
    if own:
        raise EntryInvalid(f"{where}.{own[0]}: this header is written by the message itself", hint="use another name")
    return cast(Mapping[str, Any], value)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refused(where, value, "a text is accepted")
    return value


def _boolean(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refused(where, value, "true or false is accepted")
    return value


def _delivery_mode(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or value not in DELIVERY_MODES:
        raise _refused(where, value, "1, 2, transient or persistent is accepted")
    return DELIVERY_MODES[value]


def _retry_policy(where: str, value: object) -> int | None:
    """How often it is sent again; the pauses between are the outbox's own."""
    if not isinstance(value, Mapping):
        raise _refused(where, value, "an object is accepted, such as {max_retries: 3}")
    for name, given in value.items():
        if name not in _RETRY_KEYS:
            raise EntryInvalid(f"{where}.{name} is not accepted; accepted are {', '.join(_RETRY_KEYS)}")
        if name != "max_retries" and (isinstance(given, bool) or not isinstance(given, int | float | None)):
            raise _refused(f"{where}.{name}", given, "a number of seconds is accepted")
    most = value.get("max_retries")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
        raise _refused(f"{where}.max_retries", most, "a whole number of 0 or more is accepted, or null for no end")
    return most


def _serializer(where: str, value: object) -> str:
    if value != "json":
        raise _refused(where, value, "json is accepted")
    return "json"


def _refused(where: str, value: object, accepted: str) -> EntryInvalid:
    return EntryInvalid(f"{where}: found {value!r}; {accepted}")


_ROUTE: Final = ("queue", "exchange", "routing_key")
_SAID_OTHERWISE: Final = ("serializer", "retry", "retry_policy")
_RETRY_KEYS: Final = ("max_retries", "interval_start", "interval_step", "interval_max")
_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "priority": _priority,
    "expires": _expires,
    "countdown": _countdown,
    "eta": _instant,
    "headers": _headers,
    "serializer": _serializer,
    "ignore_result": _boolean,
    "time_limit": _time_limit,
    "soft_time_limit": _time_limit,
    "shadow": _text,
    "reply_to": _text,
    "delivery_mode": _delivery_mode,
    "retry": _boolean,
    "retry_policy": _retry_policy,
    "queue": _text,
    "exchange": _text,
    "routing_key": _text,
}
_ACCEPTED: Final = ", ".join(_READERS)
