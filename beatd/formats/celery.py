"""Celery's task message (protocol 2) as kombu lays it on Redis.

Equal, key by key, to what ``celery beat`` 5.7 sends; on top come the headers ``periodic_task_name`` (the entry's name,
which django-celery-results stores) and ``beatd_slot`` (the scheduled instant).
"""

import base64
import json
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from beatd.errors import EntryInvalid
from beatd.formats._celery_options import FixedDate, Instant, Options, read_options
from beatd.formats._instants import rfc3339
from beatd.formats._saferepr import saferepr

KIND: Final = "celery"
LARGEST_MESSAGE: Final = 192 * 1024

# kombu's defaults; workers look for their lists under these very names.
PRIORITY_STEPS: Final = (0, 3, 6, 9)
PRIORITY_SEPARATOR: Final = "\x06\x16"

_ENCODER: Final = json.JSONEncoder(allow_nan=False)
# The end of every body, in base64 after 0, 1 or 2 bytes of it: these fill up what stands before to whole groups of 3.
_END: Final = b', {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
_ENDS: Final = {str(taken): base64.b64encode(_END[taken:]).decode() for taken in range(3)}
_PLAIN_HINT: Final = "plain JSON values are accepted, without NaN and Infinity"
NAME: Final = "periodic_task_name"

# What each hole of a template takes at most.
ID_LENGTH: Final = 36
SLOT_LENGTH: Final = len("2026-11-20T09:00:00.000Z")
TIMES_LENGTH: Final = 128
HOLES_LENGTH: Final = 4 * ID_LENGTH + SLOT_LENGTH + TIMES_LENGTH


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
    _times: tuple[str, str] | None  # None where they depend on the slot

    def own(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The body up to its end, which end it is, the texts that workers log, and the name: four lines.

        Raises EntryInvalid naming args or kwargs that JSON can't say, and when the message would exceed 192 kB.
        """
        content = _content(args, kwargs) if args or kwargs else _NOTHING
        own = f"{content}\n{self._name or _ENCODER.encode(name)}"
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
        body, end, shown, name = own.split("\n")
        times, expiration = self._times or _times(self._eta, self._expires, slot_ms)
        return (
            f"{head}{body}{_ENDS[end]}{to_id}{task_id}{to_times}{times}{to_root}{task_id}{to_args}{shown}{to_name}"
            f"{name}{to_slot}{rfc3339(slot_ms)}{to_correlation}{task_id}"
            f"{to_expiration}{expiration}{to_tag}{delivery_tag}{tail}"
        ).encode()


def compile_template(task: str, queue: str, options: Mapping[str, Any], *, origin: str) -> Template:
    """The template of messages with this task, queue and options; ``origin`` is ``gen<pid>@<host>`` of the sender.

    Raises EntryInvalid naming the option that can't be said in Celery's message.
    """
    read = read_options(options, queue=queue)
    pieces = _pieces(task, queue, read, origin)
    moving = read.eta is not None or read.expires is not None
    return Template(
        queue_key=_queue_key(queue, read.priority),
        queue=queue,
        attempts=read.attempts,
        expires_ms=None if read.expires is None else read.expires.after_slot_ms,
        expires_on=read.expires.at(0) if isinstance(read.expires, FixedDate) else None,
        _pieces=pieces,
        _length=sum(map(len, pieces)) + HOLES_LENGTH + len(_ENDS["0"]),
        _name=_json(read.headers[NAME], "options.headers") if NAME in read.headers else None,
        _eta=read.eta,
        _expires=read.expires,
        _times=None if moving else _times(None, None, 0),
    )


def _pieces(task: str, queue: str, options: Options, origin: str) -> tuple[str, ...]:
    """The message in kombu's own order of keys, cut where an entry or a fire puts something in."""
    # User headers win over what apply_async is given; the mark of a beat always stands, as in celery beat.
    extra = {**options.headers, "celery_beat_task": True}
    extra.pop(NAME, None)  # it comes first wherever it stands
    to_id = (
        '", "content-encoding": "utf-8", "content-type": "application/json", '
        f'"headers": {{"lang": "py", "task": {_often(task)}, "id": "'
    )
    to_times = f'", "shadow": {_often(options.shadow)}, '
    to_root = (
        ', "group": null, "group_index": null, "retries": 0, '
        f'"timelimit": [{_often(options.time_limit)}, {_often(options.soft_time_limit)}], "root_id": "'
    )
    to_name = (
        f', "origin": {_often(origin)}, "ignore_result": {_often(options.ignore_result)}, "replaced_task_nesting": 0, '
        f'"stamped_headers": null, "stamps": {{}}, "{NAME}": '
    )
    to_slot = f', {_json(extra, "options.headers")[1:-1]}, "beatd_slot": "'
    to_correlation = '"}, "properties": {"correlation_id": "'
    to_expiration = f'", "reply_to": {_often(options.reply_to)}, "delivery_mode": {options.delivery_mode}'
    to_tag = (
        f', "delivery_info": {{"exchange": "", "routing_key": {_often(queue)}}}, '
        f'"priority": {options.priority}, '
        '"body_encoding": "base64", "delivery_tag": "'
    )
    to_args = '", "parent_id": null, "argsrepr": '
    return (
        '{"body": "', to_id, to_times, to_root, to_args, to_name, to_slot, to_correlation, to_expiration, to_tag, '"}}'
    )  # fmt: skip


@lru_cache(maxsize=1_024, typed=True)
def _often(value: str | float | None) -> str:
    """JSON of what is the same in many entries: thousands of messages are made ready before a storm."""
    return json.dumps(value)


def _content(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    shown_args = saferepr(list(args)) if args else "()"  # as celery beat: never the tuple's own brackets
    shown_kwargs = saferepr(kwargs)
    shown = f'{_ENCODER.encode(shown_args)}, "kwargsrepr": {_ENCODER.encode(shown_kwargs)}'
    body = _body(args, kwargs)
    taken = -len(body) % 3
    return f"{base64.b64encode(body + _END[:taken]).decode()}\n{taken}\n{shown}"


def _body(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """The body's JSON up to _END."""
    try:
        return _ENCODER.encode((args, kwargs))[:-1].encode()
    except (TypeError, ValueError, RecursionError):
        _json(args, "args")  # the one to blame is named
        _json(kwargs, "kwargs")
        raise


def _json(value: object, where: str) -> str:
    """JSON as kombu encodes it: blanks after separators, everything outside ASCII escaped."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EntryInvalid(f"{where}: {error}", hint=_PLAIN_HINT) from error


def _queue_key(queue: str, priority: int) -> str:
    step = PRIORITY_STEPS[bisect(PRIORITY_STEPS, priority) - 1]
    return f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue


def _times(eta: Instant | None, expires: Instant | None, slot_ms: int) -> tuple[str, str]:
    """The members eta and expires of the headers, and the property expiration (ms left at the slot) with its comma."""
    eta_text = "null" if eta is None else f'"{eta.text(slot_ms)}"'
    if expires is None:
        return f'"eta": {eta_text}, "expires": null', ""
    left_ms = max(0, expires.at(slot_ms) - slot_ms)
    return f'"eta": {eta_text}, "expires": "{expires.text(slot_ms)}"', f', "expiration": "{left_ms}"'


_NOTHING: Final = _content((), {})
