"""Celery's task message (protocol 2) as kombu lays it on Redis.

Equal, key by key, to what ``celery beat`` 5.7 sends; on top come the headers ``periodic_task_name`` (the entry's name,
which django-celery-results stores) and ``beatd_slot`` (the scheduled instant). For another broker a transport takes the
same message apart again.
"""

import json
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from beatd.core.entry import SIGNATURE
from beatd.errors import EntryInvalid
from beatd.formats._celery_body import COMPRESSIONS, ENCODER, ENDS, JSON, NO_EMBED, Body, json_text, readable
from beatd.formats._celery_canvas import Ids, call_of, fresh_ids, frozen
from beatd.formats._celery_options import LINKS, PROPERTIES, Options, read_options
from beatd.formats._celery_values import FixedDate, Instant
from beatd.formats._holes import Fire, with_holes
from beatd.formats._instants import rfc3339

__all__ = ["COMPRESSIONS", "KIND", "LARGEST_MESSAGE", "PROPERTIES", "Template", "compile_template", "readable"]

KIND: Final = "celery"
LARGEST_MESSAGE: Final = 192 * 1024

# kombu's defaults; workers look for their lists under these very names.
PRIORITY_STEPS: Final = (0, 3, 6, 9)
PRIORITY_SEPARATOR: Final = "\x06\x16"

NAME: Final = "periodic_task_name"

# What each hole of a template takes at most.
ID_LENGTH: Final = 36
SLOT_LENGTH: Final = len("2026-11-20T09:00:00.000Z")
TIMES_LENGTH: Final = 128
HOLES_LENGTH: Final = 4 * ID_LENGTH + SLOT_LENGTH + TIMES_LENGTH
LATEST_MS: Final = 253_402_300_799_999  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Template:
    """Celery's message, ready but for entry, ids and slot (see beatd.core.fire.Template)."""

    queue_key: str
    queue: str
    attempts: int | None
    expires_ms: int | None
    expires_on: int | None
    _pieces: tuple[str, ...]
    _length: int  # of the message but for name and own text
    _name: str | None  # JSON of the header periodic_task_name, where the entry has one of its own
    _eta: Instant | None
    _expires: Instant | None
    _expiration: int | None
    _times: tuple[str, str] | None  # None where they depend on the slot
    _body: Body

    def own(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The body up to its end, which end it is, the texts that workers log, and the name: four lines.

        One line where the body differs from fire to fire: what it is made of. Raises EntryInvalid naming args or
        kwargs that can't be said, and when the message would exceed 192 kB.
        """
        content = self._body.content(args, kwargs)
        own = (
            self._moving(name, args, kwargs) if content is None else f"{content}\n{self._name or ENCODER.encode(name)}"
        )
        size = self.longest(own)
        if size > LARGEST_MESSAGE:
            raise EntryInvalid(
                f"the message has up to {size} bytes; at most {LARGEST_MESSAGE} are accepted",
                hint="store the data elsewhere and pass a reference to it",
            )
        return own

    def longest(self, own: str) -> int:
        """No message rendered of it has more bytes: JSON is ASCII here."""
        return self._length + len(own)

    def render(self, own: str, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        """The message of one slot. Both ids are plain ASCII of at most 36 characters, as UUIDs are."""
        # On the path of every fire: one f-string over ready pieces measured faster than joins, bytes and %.
        head, to_id, to_times, to_root, to_args, to_name, to_slot, to_correlation, to_expiration, to_tag, tail = (
            self._pieces
        )
        try:
            body, end, shown, name = own.split("\n")
        except ValueError:  # one line
            return self.render(self._still(own, task_id, slot_ms), task_id, slot_ms, delivery_tag)
        times, expiration = self._times or _times(self._eta, self._expires, slot_ms, self._expiration)
        return (
            f"{head}{body}{ENDS[end]}{to_id}{task_id}{to_times}{times}{to_root}{task_id}{to_args}{shown}{to_name}"
            f"{name}{to_slot}{rfc3339(slot_ms)}{to_correlation}{task_id}"
            f"{to_expiration}{expiration}{to_tag}{delivery_tag}{tail}"
        ).encode()

    def _moving(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """One line, with blanks behind it up to the length of what is made of it."""
        most = self._body.most(args, kwargs, Fire(name, LATEST_MS, "f" * ID_LENGTH))
        own = ENCODER.encode((name, args, kwargs))
        return own.ljust(most + len(self._name or ENCODER.encode(name)))

    def _still(self, own: str, task_id: str, slot_ms: int) -> str:
        """The four lines of one fire."""
        name, args, kwargs = json.loads(own)
        content = self._body.content_at(args, kwargs, Fire(name, slot_ms, task_id))
        return f"{content}\n{self._name or ENCODER.encode(name)}"


def compile_template(task: str, queue: str, options: Mapping[str, Any], *, origin: str) -> Template:
    """The template of messages with this task, queue and options (``Entry.sent_options``); ``origin`` is
    ``gen<pid>@<host>`` of the sender.

    Raises EntryInvalid naming the option that can't be said in Celery's message.
    """
    read, body = _read(options, queue)
    pieces = _pieces(task, read, body, origin)
    moving = read.eta is not None or read.expires is not None
    return Template(
        queue_key=_queue_key(queue, read.priority),
        queue=f"{read.exchange}/{read.routing_key}" if read.exchange else queue,
        attempts=read.attempts,
        expires_ms=None if read.expires is None else read.expires.after_slot_ms,
        expires_on=read.expires.at(0) if isinstance(read.expires, FixedDate) else None,
        _pieces=pieces,
        _length=sum(map(len, pieces)) + HOLES_LENGTH + len(ENDS["0"]),
        _name=json_text(read.headers[NAME], "options.headers") if NAME in read.headers else None,
        _eta=read.eta,
        _expires=read.expires,
        _expiration=read.expiration,
        _times=None if moving else _times(None, None, 0, read.expiration),
        _body=body,
    )


def _read(options: Mapping[str, Any], queue: str) -> tuple[Options, Body]:
    """The options of the message, and its body: an entry's own options stand above those of its signature."""
    ids = fresh_ids()
    signature = options.get(SIGNATURE)
    if signature is None:
        read = read_options(options, queue=queue)
        return read, _body(read, _links(read, ids), None)
    for name in (*LINKS, "group_id", "group_index"):
        if options.get(name) is not None:
            raise EntryInvalid(f"options.{name}: what follows a task stands in the signature of this entry")
    call = call_of(signature, ids)
    given = {**call.options, **{name: value for name, value in options.items() if name != SIGNATURE}, "queue": queue}
    theirs, ours = call.options.get("headers"), options.get("headers")
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):  # a request's cause is a header, too
        given["headers"] = {**theirs, **ours}
    read = read_options(given, queue=queue)
    embed = {**_links(read, ids), **({"chain": call.chain} if call.chain else {})}
    return read, _body(read, embed, (call.args, call.kwargs))


def _links(read: Options, ids: Ids) -> dict[str, Any]:
    """What follows the task, each with an id of its own."""
    return {
        name: [frozen(each, ids) for each in found] if isinstance(found, list) else frozen(found, ids)
        for name, found in read.links.items()
    }


def _body(read: Options, links: Mapping[str, Any], call: tuple[Sequence[Any], Mapping[str, Any]] | None) -> Body:
    embed = {**NO_EMBED, **links}
    with_call = (
        None if call is None else (with_holes("signature.args", call[0]), with_holes("signature.kwargs", call[1]))
    )
    return Body(
        read.serializer,
        read.compression,
        with_holes("options", embed),
        with_call,
        read.argsrepr,
        read.kwargsrepr,
        plain=not links
        and call is None
        and read.serializer is JSON
        and (read.compression, read.argsrepr, read.kwargsrepr) == (None, None, None),
        moving=bool(links) or call is not None,
    )


def _pieces(task: str, options: Options, body: Body, origin: str) -> tuple[str, ...]:
    """The message in kombu's own order of keys, cut where an entry or a fire puts something in."""
    # User headers win over what apply_async is given; the mark of a beat always stands, as in celery beat.
    extra = {**options.headers, "celery_beat_task": True}
    extra.pop(NAME, None)  # it comes first wherever it stands
    if body.compression is not None:
        extra["compression"] = body.compression.content_type
    kind = body.serializer
    to_id = (
        f'", "content-encoding": "{kind.content_encoding}", "content-type": "{kind.content_type}", '
        f'"headers": {{"lang": "py", "task": {_often(task)}, "id": "'
    )
    to_times = f'", "shadow": {_often(options.shadow)}, '
    to_root = (
        f', "group": {_often(options.group_id)}, "group_index": {_often(options.group_index)}, '
        f'"retries": {options.retries}, '
        f'"timelimit": [{_often(options.time_limit)}, {_often(options.soft_time_limit)}], "root_id": "'
    )
    stamps = json_text(options.stamps, "options.stamped_headers")
    to_name = (
        f', "origin": {_often(origin)}, "ignore_result": {_often(options.ignore_result)}, '
        f'"replaced_task_nesting": {options.replaced_task_nesting}, '
        f'"stamped_headers": {json.dumps(options.stamped_headers)}, "stamps": {stamps}, "{NAME}": '
    )
    to_slot = f', {json_text(extra, "options.headers")[1:-1]}, "beatd_slot": "'
    to_correlation = '"}, "properties": {"correlation_id": "'
    properties = {**options.properties, **_shown_properties(options)}
    more = f"{json.dumps(properties)[1:-1]}, " if properties else ""
    to_expiration = f'", "reply_to": {_often(options.reply_to)}, {more}"delivery_mode": {options.delivery_mode}'
    to_tag = (
        f', "delivery_info": {{"exchange": {_often(options.exchange)}, "routing_key": {_often(options.routing_key)}}}, '
        f'"priority": {options.priority}, '
        '"body_encoding": "base64", "delivery_tag": "'
    )
    to_args = '", "parent_id": null, "argsrepr": '
    return (
        '{"body": "', to_id, to_times, to_root, to_args, to_name, to_slot, to_correlation, to_expiration, to_tag, '"}}'
    )  # fmt: skip


def _shown_properties(options: Options) -> dict[str, str]:
    """Celery leaves these two among the properties as well."""
    found = {"argsrepr": options.argsrepr, "kwargsrepr": options.kwargsrepr}
    return {name: text for name, text in found.items() if text is not None}


@lru_cache(maxsize=1_024, typed=True)
def _often(value: str | float | None) -> str:
    """JSON of what is the same in many entries: thousands of messages are made ready before a storm."""
    return json.dumps(value)


def _queue_key(queue: str, priority: int) -> str:
    step = PRIORITY_STEPS[bisect(PRIORITY_STEPS, priority) - 1]
    return f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue


def _times(eta: Instant | None, expires: Instant | None, slot_ms: int, expiration: int | None) -> tuple[str, str]:
    """The members eta and expires of the headers, and the property expiration (ms left at the slot) with its comma."""
    eta_text = "null" if eta is None else f'"{eta.text(slot_ms)}"'
    if expires is None:
        kept = "" if expiration is None else f', "expiration": "{expiration}"'
        return f'"eta": {eta_text}, "expires": null', kept
    left_ms = max(0, expires.at(slot_ms) - slot_ms)
    return f'"eta": {eta_text}, "expires": "{expires.text(slot_ms)}"', f', "expiration": "{left_ms}"'
