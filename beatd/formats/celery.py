"""Celery's task message (protocol 2) as kombu lays it on Redis.

Equal, key by key, to what ``celery beat`` 5.7 sends; on top come the headers ``periodic_task_name`` (the entry's name,
which django-celery-results stores) and ``beatd_slot`` (the scheduled instant).
"""

import base64
import json
from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from beatd.core.entry import Entry
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

# What each hole of a template takes at most.
ID_LENGTH: Final = 36
SLOT_LENGTH: Final = len("2026-11-20T09:00:00.000Z")
TIMES_LENGTH: Final = 128


@dataclass(frozen=True, slots=True)
class Template:
    """Celery's message of one entry, ready but for ids and slot (see beatd.core.fire.Template)."""

    queue_key: str
    expires_ms: int | None
    expires_on: int | None
    size: int
    _pieces: tuple[str, ...]
    _eta: Instant | None
    _expires: Instant | None
    _times: tuple[str, str] | None  # None where they depend on the slot

    def render(self, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        """The message of one slot. Both ids are plain ASCII of at most 36 characters, as UUIDs are."""
        # On the path of every fire: one f-string over ready pieces measured faster than joins, bytes and %.
        head, to_times, to_root, to_slot, to_correlation, to_expiration, to_tag, tail = self._pieces
        times, expiration = self._times or _times(self._eta, self._expires, slot_ms)
        slot = rfc3339(slot_ms)
        return (
            f"{head}{task_id}{to_times}{times}{to_root}{task_id}{to_slot}{slot}"
            f"{to_correlation}{task_id}{to_expiration}{expiration}{to_tag}{delivery_tag}{tail}"
        ).encode()


def compile_template(entry: Entry, *, origin: str) -> Template:
    """The template of an entry's messages; ``origin`` is ``gen<pid>@<host>`` of the sending process.

    Raises EntryInvalid naming the option, args or kwargs that can't be said in Celery's message, and when the message
    would exceed 192 kB.
    """
    options = read_options(entry.options, queue=entry.queue)
    pieces = _pieces(entry, options, origin)
    size = sum(map(len, pieces)) + 4 * ID_LENGTH + SLOT_LENGTH + TIMES_LENGTH
    if size > LARGEST_MESSAGE:
        raise EntryInvalid(
            f"the message has up to {size} bytes; at most {LARGEST_MESSAGE} are accepted",
            hint="store the data elsewhere and pass a reference to it",
        )
    moving = options.eta is not None or options.expires is not None
    return Template(
        queue_key=_queue_key(entry.queue, options.priority),
        expires_ms=None if options.expires is None else options.expires.after_slot_ms,
        expires_on=options.expires.at(0) if isinstance(options.expires, FixedDate) else None,
        size=size,
        _pieces=pieces,
        _eta=options.eta,
        _expires=options.expires,
        _times=None if moving else _times(None, None, 0),
    )


def _pieces(entry: Entry, options: Options, origin: str) -> tuple[str, ...]:
    """The message in kombu's own order of keys, cut where a fire puts something in."""
    body = base64.b64encode(_body(entry).encode()).decode()
    shown_args = saferepr(list(entry.args)) if entry.args else "()"  # as celery beat: never the tuple's own brackets
    # User headers win over what apply_async is given; the mark of a beat always stands, as in celery beat.
    extra = {"periodic_task_name": entry.name, **options.headers, "celery_beat_task": True}
    head = (
        f'{{"body": "{body}", "content-encoding": "utf-8", "content-type": "application/json", '
        f'"headers": {{"lang": "py", "task": {_often(entry.task)}, "id": "'
    )
    to_times = f'", "shadow": {_often(options.shadow)}, '
    to_root = (
        ', "group": null, "group_index": null, "retries": 0, '
        f'"timelimit": [{_often(options.time_limit)}, {_often(options.soft_time_limit)}], "root_id": "'
    )
    to_slot = (
        f'", "parent_id": null, "argsrepr": {json.dumps(shown_args)}, '
        f'"kwargsrepr": {json.dumps(saferepr(entry.kwargs))}, "origin": {_often(origin)}, '
        f'"ignore_result": {_often(options.ignore_result)}, "replaced_task_nesting": 0, '
        f'"stamped_headers": null, "stamps": {{}}, {_json(extra, "options.headers")[1:-1]}, "beatd_slot": "'
    )
    to_correlation = '"}, "properties": {"correlation_id": "'
    to_expiration = f'", "reply_to": {_often(options.reply_to)}, "delivery_mode": {options.delivery_mode}'
    to_tag = (
        f', "delivery_info": {{"exchange": "", "routing_key": {_often(entry.queue)}}}, '
        f'"priority": {options.priority}, '
        '"body_encoding": "base64", "delivery_tag": "'
    )
    return head, to_times, to_root, to_slot, to_correlation, to_expiration, to_tag, '"}}'


@lru_cache(maxsize=1_024, typed=True)
def _often(value: str | float | None) -> str:
    """JSON of what is the same in many entries: thousands of messages are made ready before a storm."""
    return json.dumps(value)


def _body(entry: Entry) -> str:
    embed = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'
    return f"[{_json(list(entry.args), 'args')}, {_json(entry.kwargs, 'kwargs')}, {embed}]"


def _json(value: object, where: str) -> str:
    """JSON as kombu encodes it: blanks after separators, everything outside ASCII escaped."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        hint = "plain JSON values are accepted, without NaN and Infinity"
        raise EntryInvalid(f"{where}: {error}", hint=hint) from error


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
