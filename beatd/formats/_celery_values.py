"""Values of single options: each is read from what an entry says, or refused with what is accepted."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, cast

from beatd.core.duration import parse_duration
from beatd.core.signature import check_signature
from beatd.errors import EntryInvalid, ScheduleInvalid
from beatd.formats._celery_body import COMPRESSIONS, SERIALIZERS, Compression, Serializer
from beatd.formats._instants import isoformat

MAX_PRIORITY: Final = 9
DELIVERY_MODES: Final[Mapping[object, int]] = {1: 1, 2: 2, "transient": 1, "persistent": 2}
_RETRY_KEYS: Final = ("max_retries", "interval_start", "interval_step", "interval_max")
EXCHANGE_TYPES: Final = ("direct", "topic", "fanout", "headers")

# Written by the message itself: from the user they would contradict an option or the identity of the fire.
OWN_HEADERS: Final = frozenset(
    {
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
        *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting"),
        *("stamped_headers", "stamps", "beatd_slot", "compression"),
    }
)

_PICKLE: Final = (
    "options.serializer: pickle is not accepted: who reads it runs code that the message brings, so that workers "
    "refuse it by default"
)
_SERIALIZER_HINTS: Final[Mapping[str, str]] = {
    "auth": "a signed message needs the sender's key, which beatd has not; json, yaml or msgpack are accepted",
    "x-yaml": "did you mean yaml?",
}
_COMPRESSION_HINTS: Final = dict.fromkeys(
    ("brotli", "zstd", "zstandard", "application/x-brotli", "application/zstd"),
    "it needs a library on each host that leads; zlib, bzip2 and lzma come with Python",
)

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


def priority(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise refused(where, value, f"a whole number from 0 (on Redis the most urgent) to {MAX_PRIORITY} is accepted")
    return value


def instant(where: str, value: object) -> Instant:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return date(where, value)
    try:
        return AfterSlot(parse_duration(value))
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{where}: {error.message}, or a date with an offset", hint=error.hint) from error


def date(where: str, text: str) -> FixedDate:
    accepted = "a date such as 2026-12-01T09:00:00+01:00 is accepted, with an offset or Z"
    if not _DATE_WITH_OFFSET.fullmatch(text):
        raise refused(where, text, accepted)
    try:
        return FixedDate((datetime.fromisoformat(text) - _EPOCH) // _MS, text)
    except ValueError as error:
        raise EntryInvalid(f"{where}: found {text!r} ({error}); {accepted}") from error


def expires(where: str, value: object) -> Instant:
    found = instant(where, value)
    if found.after_slot_ms == 0:
        raise refused(where, value, "a duration above 0 is accepted: a worker would discard every run")
    return found


def countdown(where: str, value: object) -> AfterSlot:
    found = instant(where, value)
    if not isinstance(found, AfterSlot):
        raise refused(where, value, "a duration is accepted; a date goes into eta")
    return found


def time_limit(where: str, value: object) -> float:
    """Seconds: numbers as they were written, as Celery sends them; texts as durations."""
    try:
        ms = parse_duration(value)
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{where}: {error.message}", hint=error.hint) from error
    if not ms:
        raise refused(where, value, "a duration above 0 is accepted")
    if isinstance(value, int | float):
        return value
    return ms // 1_000 if ms % 1_000 == 0 else ms / 1_000


def later(where: str, value: object) -> float | str:
    """An instant as a task that a worker sends has it: seconds from then, or a date as it was written."""
    found = expires(where, value)
    return found.written if isinstance(found, FixedDate) else time_limit(where, value)


def later_by(where: str, value: object) -> float:
    """Seconds from when a worker sends the task."""
    return 0 if countdown(where, value).after_slot_ms == 0 else time_limit(where, value)


def dated(where: str, value: object) -> str:
    """A date as it was written."""
    found = instant(where, value)
    if isinstance(found, FixedDate):
        return found.written
    raise refused(where, value, "a date with an offset is accepted; a duration goes into countdown")


# Options of tasks that workers send.
TIMES: Final[Mapping[str, Callable[[str, object], float | str]]] = {
    "expires": later,
    "countdown": later_by,
    "eta": dated,
    "time_limit": time_limit,
    "soft_time_limit": time_limit,
}


def headers(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise refused(where, value, "an object is accepted")
    own = sorted(OWN_HEADERS & value.keys())
    if own:
        raise EntryInvalid(f"{where}.{own[0]}: this header is written by the message itself", hint="use another name")
    return cast(Mapping[str, Any], value)


def text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise refused(where, value, "a text is accepted")
    return value


def boolean(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise refused(where, value, "true or false is accepted")
    return value


def delivery_mode(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or value not in DELIVERY_MODES:
        raise refused(where, value, "1, 2, transient or persistent is accepted")
    return DELIVERY_MODES[value]


def retry_policy(where: str, value: object) -> int | None:
    """How often it is sent again; the pauses between are the outbox's own."""
    if not isinstance(value, Mapping):
        raise refused(where, value, "an object is accepted, such as {max_retries: 3}")
    for name, given in value.items():
        if name not in _RETRY_KEYS:
            raise EntryInvalid(f"{where}.{name} is not accepted; accepted are {', '.join(_RETRY_KEYS)}")
        if name != "max_retries" and (isinstance(given, bool) or not isinstance(given, int | float | None)):
            raise refused(f"{where}.{name}", given, "a number of seconds is accepted")
    most = value.get("max_retries")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
        raise refused(f"{where}.max_retries", most, "a whole number of 0 or more is accepted, or null for no end")
    return most


def serializer(where: str, value: object) -> Serializer:
    if value == "pickle":
        raise EntryInvalid(_PICKLE, hint="json, yaml or msgpack are accepted")
    found = SERIALIZERS.get(value) if isinstance(value, str) else None
    if found is None:
        accepted = f"{', '.join(SERIALIZERS)} are accepted"
        hint = _SERIALIZER_HINTS.get(value) if isinstance(value, str) else None
        raise EntryInvalid(f"{where}: found {value!r}; {accepted}", hint=hint)
    if value == "msgpack" and find_spec("msgpack") is None:
        raise EntryInvalid(f"{where}: msgpack is not installed here", hint="pip install 'beatd[msgpack]'")
    return found


def compression(where: str, value: object) -> Compression:
    found = COMPRESSIONS.get(value) if isinstance(value, str) else None
    if found is None:
        accepted = "zlib (or gzip), bzip2 and lzma are accepted"
        hint = _COMPRESSION_HINTS.get(value) if isinstance(value, str) else None
        raise EntryInvalid(f"{where}: found {value!r}; {accepted}", hint=hint)
    return found


def links(where: str, value: object) -> list[Any]:
    """One signature or several."""
    links = value if isinstance(value, list) else [value]
    for index, link in enumerate(links):
        check_signature(f"{where}[{index}]" if isinstance(value, list) else where, link)
    return links


def chain(where: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise refused(where, value, "a list of signatures is accepted, the one that is next as the last")
    return links(where, value)


def chord(where: str, value: object) -> Any:
    check_signature(where, value)
    return value


def count(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise refused(where, value, "a whole number of 0 or more is accepted")
    return value


def expiration(where: str, value: object) -> int:
    """Milliseconds that a broker keeps the message."""
    try:
        return parse_duration(value)
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{where}: {error.message}", hint=error.hint) from error


def exchange_type(where: str, value: object) -> str:
    if value not in EXCHANGE_TYPES:
        raise refused(where, value, f"{', '.join(EXCHANGE_TYPES)} are accepted")
    return str(value)


def checked_stamps(_where: str, value: object) -> Sequence[str]:
    """Read with the stamps that it lists."""
    return cast(Sequence[str], value)


def refused(where: str, value: object, accepted: str) -> EntryInvalid:
    return EntryInvalid(f"{where}: found {value!r}; {accepted}")
