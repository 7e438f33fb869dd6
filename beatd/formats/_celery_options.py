"""The options of ``apply_async`` that have a meaning in a message, read and checked."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, cast

from beatd.core.duration import parse_duration
from beatd.core.signature import check_signature
from beatd.errors import EntryInvalid, ScheduleInvalid
from beatd.formats._celery_body import COMPRESSIONS, JSON, SERIALIZERS, Compression, Serializer
from beatd.formats._instants import isoformat

MAX_PRIORITY: Final = 9
DELIVERY_MODES: Final[Mapping[object, int]] = {1: 1, 2: 2, "transient": 1, "persistent": 2}

# Written by the message itself: from the user they would contradict an option or the identity of the fire.
OWN_HEADERS: Final = frozenset(
    {
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
        *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting"),
        *("stamped_headers", "stamps", "beatd_slot", "compression"),
    }
)

# What else apply_async takes, why a stored entry can't have it, and what to do instead.
_LIVE: Final = "a live object can't be stored"
NOT_TAKEN: Final[Mapping[str, tuple[str, str]]] = {
    "task_id": ("the task id derives from entry and slot", "take it out: a fixed id would make all runs one"),
    "root_id": ("the root id is the task id", "take it out"),
    "correlation_id": ("the correlation id is the task id", "take it out"),
    "parent_id": ("no task starts a scheduled run", "take it out, or send it as a header of yours"),
    "add_to_parent": ("no task starts a scheduled run", "take it out: celery beat has no use for it either"),
    "message_id": ("it would be the same for all runs", "the task id tells runs apart"),
    "timestamp": ("it would be the same for all runs", "the header beatd_slot tells when a run was due"),
    "timeout": ("how long a broker may take is a setting", "broker: {confirm_timeout: 5s}, for all entries"),
    "confirm_timeout": ("how long a broker may take is a setting", "broker: {confirm_timeout: 5s}, for all entries"),
    "declare": ("what is declared is a setting", "broker: {declare: none | passive | celery}, for all entries"),
    "mandatory": ("every message is published so where the broker knows it", "take it out"),
    "immediate": ("RabbitMQ knows it no more since 3.0", "take it out; expires bounds how long a message waits"),
    "content_type": ("it follows from the serializer", "write serializer: json, yaml or msgpack"),
    "content_encoding": ("it follows from the serializer", "write serializer: json, yaml or msgpack"),
    "route_name": ("messages are not routed when they are sent", "write the queue, or routes in schedules.yaml"),
    "router": (_LIVE, "write the queue, or routes in schedules.yaml"),
    **dict.fromkeys(("connection", "producer", "publisher"), (_LIVE, "broker in schedules.yaml says where to send")),
    "result_cls": (_LIVE, "take it out: nobody waits for the result here"),
}
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


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one entry; what is not given has Celery's default.

    exchange, routing_key: as they stand in the message. links: what follows the task, by their names in the body.
    properties: those beside the usual ones.
    """

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
    exchange: str = ""
    routing_key: str = ""
    serializer: Serializer = JSON
    compression: Compression | None = None
    group_id: str | None = None
    group_index: int | None = None
    retries: int = 0
    replaced_task_nesting: int = 0
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    expiration: int | None = None
    stamped_headers: Sequence[str] | None = None
    stamps: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


def read_options(options: Mapping[str, Any], *, queue: str) -> Options:
    """Reads an entry's options; None counts as not given, as in ``apply_async``.

    Raises EntryInvalid naming the option, what was found and what is accepted.
    """
    given = {name: value for name, value in options.items() if value is not None}
    stamps = _stamps(given) if "stamped_headers" in given else {}
    for name in given:
        if name not in _READERS and name not in stamps:
            raise _unknown(name)
    if "countdown" in given and "eta" in given:
        raise EntryInvalid("options: countdown and eta both say when to start; one of them is accepted")
    read = {name: _READERS[name](f"options.{name}", value) for name, value in given.items() if name not in stamps}
    countdown = read.pop("countdown", None)
    if countdown is not None and countdown.after_slot_ms:
        read["eta"] = countdown
    read["attempts"] = _attempts(read.pop("retry", True), read.pop("retry_policy", None))
    read["exchange"], read["routing_key"] = _route(read, queue)
    read["links"] = {member: read.pop(name) for name, member in LINKS.items() if name in read}
    read["properties"] = {name: read.pop(name) for name in PROPERTIES if name in read}
    return Options(stamps=stamps, **read)


def _attempts(retry: bool, most: int | None) -> int | None:
    """How often a broker may refuse a message before it is given up; without a word about it, never."""
    if not retry:
        return 1
    return None if most is None else most + 1


def _route(read: dict[str, Any], queue: str) -> tuple[str, str]:
    """Exchange and routing key as Celery chooses them: straight to the queue, unless both are given."""
    named = read.pop("queue", queue)
    if named != queue:
        raise EntryInvalid(
            f"options.queue: found {named!r}; accepted is the entry's queue, {queue!r}",
            hint="messages go straight to a queue: name it as the entry's queue",
        )
    exchange, routing_key = read.pop("exchange", ""), read.pop("routing_key", "")
    kind = read.pop("exchange_type", "direct")
    if kind == "direct" and not (exchange and routing_key):
        return "", queue
    return exchange or queue, routing_key or queue


def _stamps(given: Mapping[str, Any]) -> dict[str, Any]:
    """Each stamp by its name: an option of its own, which stamped_headers lists."""
    names, where = given["stamped_headers"], "options.stamped_headers"
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _refused(where, names, "a list of texts is accepted, each the name of an option beside it")
    for name in names:
        if name in _READERS or name in NOT_TAKEN:
            raise EntryInvalid(f"{where}: {name} is an option of its own; a stamp has another name")
        if name not in given:
            raise EntryInvalid(
                f"{where}: found {name!r}, and no option {name}", hint=f"write {name}: its value beside it"
            )
    return {name: given[name] for name in names}


def _unknown(name: str) -> EntryInvalid:
    if name in NOT_TAKEN:
        why, instead = NOT_TAKEN[name]
        return EntryInvalid(f"options.{name} is not accepted: {why}", hint=instead)
    near = difflib.get_close_matches(name[:64], _READERS, n=1)
    hint = f"did you mean {near[0]}?" if near else "a stamp is listed in stamped_headers, a header stands in headers"
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


def _serializer(where: str, value: object) -> Serializer:
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


def _compression(where: str, value: object) -> Compression:
    found = COMPRESSIONS.get(value) if isinstance(value, str) else None
    if found is None:
        accepted = "zlib (or gzip), bzip2 and lzma are accepted"
        hint = _COMPRESSION_HINTS.get(value) if isinstance(value, str) else None
        raise EntryInvalid(f"{where}: found {value!r}; {accepted}", hint=hint)
    return found


def _links(where: str, value: object) -> list[Any]:
    """One signature or several."""
    links = value if isinstance(value, list) else [value]
    for index, link in enumerate(links):
        check_signature(f"{where}[{index}]" if isinstance(value, list) else where, link)
    return links


def _chain(where: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _refused(where, value, "a list of signatures is accepted, the one that is next as the last")
    return _links(where, value)


def _chord(where: str, value: object) -> Any:
    check_signature(where, value)
    return value


def _count(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _refused(where, value, "a whole number of 0 or more is accepted")
    return value


def _expiration(where: str, value: object) -> int:
    """Milliseconds that a broker keeps the message."""
    try:
        return parse_duration(value)
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{where}: {error.message}", hint=error.hint) from error


def _exchange_type(where: str, value: object) -> str:
    if value not in EXCHANGE_TYPES:
        raise _refused(where, value, f"{', '.join(EXCHANGE_TYPES)} are accepted")
    return str(value)


def _checked_stamps(_where: str, value: object) -> Sequence[str]:
    """Read with the stamps that it lists."""
    return cast(Sequence[str], value)


def _refused(where: str, value: object, accepted: str) -> EntryInvalid:
    return EntryInvalid(f"{where}: found {value!r}; {accepted}")


# Option names, and what they are called in the body.
LINKS: Final[Mapping[str, str]] = {
    "link": "callbacks",
    "link_error": "errbacks",
    "chain": "chain",
    "chord": "chord",
}
EXCHANGE_TYPES: Final = ("direct", "topic", "fanout", "headers")
_RETRY_KEYS: Final = ("max_retries", "interval_start", "interval_step", "interval_max")
PROPERTIES: Final = ("app_id", "user_id", "type", "cluster_id")
_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "priority": _priority,
    "expires": _expires,
    "countdown": _countdown,
    "eta": _instant,
    "headers": _headers,
    "serializer": _serializer,
    "compression": _compression,
    "ignore_result": _boolean,
    "time_limit": _time_limit,
    "soft_time_limit": _time_limit,
    "link": _links,
    "link_error": _links,
    "chain": _chain,
    "chord": _chord,
    "group_id": _text,
    "group_index": _count,
    "shadow": _text,
    "reply_to": _text,
    "delivery_mode": _delivery_mode,
    "expiration": _expiration,
    "retry": _boolean,
    "retry_policy": _retry_policy,
    "retries": _count,
    "replaced_task_nesting": _count,
    "argsrepr": _text,
    "kwargsrepr": _text,
    "stamped_headers": _checked_stamps,
    "queue": _text,
    "exchange": _text,
    "exchange_type": _exchange_type,
    "routing_key": _text,
    **dict.fromkeys(PROPERTIES, _text),
}
_ACCEPTED: Final = ", ".join(_READERS)
