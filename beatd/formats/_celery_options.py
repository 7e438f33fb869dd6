"""The options of ``apply_async`` that have a meaning in a message, read and checked."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from beatd.errors import EntryInvalid
from beatd.formats import _celery_values as values
from beatd.formats._celery_body import JSON, Compression, Serializer
from beatd.formats._celery_values import Instant, refused

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
        raise refused(where, names, "a list of texts is accepted, each the name of an option beside it")
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


# Option names, and what they are called in the body.
LINKS: Final[Mapping[str, str]] = {
    "link": "callbacks",
    "link_error": "errbacks",
    "chain": "chain",
    "chord": "chord",
}
PROPERTIES: Final = ("app_id", "user_id", "type", "cluster_id")
_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "priority": values.priority,
    "expires": values.expires,
    "countdown": values.countdown,
    "eta": values.instant,
    "headers": values.headers,
    "serializer": values.serializer,
    "compression": values.compression,
    "ignore_result": values.boolean,
    "time_limit": values.time_limit,
    "soft_time_limit": values.time_limit,
    "link": values.links,
    "link_error": values.links,
    "chain": values.chain,
    "chord": values.chord,
    "group_id": values.text,
    "group_index": values.count,
    "shadow": values.text,
    "reply_to": values.text,
    "delivery_mode": values.delivery_mode,
    "expiration": values.expiration,
    "retry": values.boolean,
    "retry_policy": values.retry_policy,
    "retries": values.count,
    "replaced_task_nesting": values.count,
    "argsrepr": values.text,
    "kwargsrepr": values.text,
    "stamped_headers": values.checked_stamps,
    "queue": values.text,
    "exchange": values.text,
    "exchange_type": values.exchange_type,
    "routing_key": values.text,
    **dict.fromkeys(PROPERTIES, values.text),
}
_ACCEPTED: Final = ", ".join(_READERS)
