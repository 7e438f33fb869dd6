"""Verbs for messages beside the timetable: a run now (trigger), runs of past slots (backfill), what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from beatd.client.editing import Base, look_at
from beatd.client.entries import not_found
from beatd.client.overlap import check_overlap
from beatd.client.steps import Steps, ask
from beatd.core.entry import Entry, entry_from_definition
from beatd.core.instant import instant_text
from beatd.core.json_value import check_json, kind_of
from beatd.core.requests import (
    GREATEST_MOST,
    Cause,
    Request,
    Wanted,
    backfill_id,
    check_bounds,
    open_ids,
    past_slots,
    read_request,
    settled_to,
    with_cause,
)
from beatd.errors import EntryInvalid, Refused
from beatd.formats.celery import compile_template
from beatd.store.entries import Row
from beatd.store.keys import Keys
from beatd.store.requests import Asking, check_request, request_call
from beatd.store.spoilt import whole

MOST_COUNTED: Final = 10 * GREATEST_MOST  # beyond it a count says "at least"


@dataclass(frozen=True, slots=True)
class Range:
    """The past slots that a backfill stands for, oldest first, as they are now. Instants in UTC ms.

    slots: those that were not pushed for it yet. owed: the first slot of its range that is left to the timetable, None
    where there is none. found: the request for this very range that was made before, with its stored value.
    again: slots that another backfill pushed are pushed once more.
    """

    entry: Entry
    wanted: Wanted
    request_id: str
    slots: tuple[int, ...]
    owed: int | None
    now: int
    found: Request | None = None
    value: bytes = b""
    again: bool = False

    @property
    def answered(self) -> bool:
        """Whether asking again would push nothing: it is being served, or has been."""
        return self.found is not None and self.found.state in ("open", "done")


@dataclass(frozen=True, slots=True)
class Leading:
    """Whether somebody leads, by the clock of Redis; host: who does, or who did last."""

    leads: bool
    host: str


def trigger(
    keys: Keys,
    name: str,
    request_id: str,
    who: str,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    note: str = "",
) -> Steps[str]:
    """Asks for a run now, beside the timetable; gives the task id, which is the request's id (a fresh UUID).

    args, kwargs: in place of the entry's. Works on paused and disabled entries, whoever owns them. Asked for under the
    same id again, nothing more is pushed. Raises NotFound, EntryInvalid, Refused.
    """
    if args is not None and not isinstance(args, list | tuple):
        raise EntryInvalid(f"args: found {kind_of(args)}; a list is accepted")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise EntryInvalid(f"kwargs: found {kind_of(kwargs)}; an object is accepted")
    base = yield from look_at(keys, name)
    entry = _readable(base)
    wanted = Wanted(
        "trigger",
        name,
        args=None if args is None else tuple(args),
        kwargs=None if kwargs is None else dict(kwargs),
        who=who,
        note=note,
        asked=base.now,
    )
    for key, value in (("args", None if wanted.args is None else list(wanted.args)), ("kwargs", wanted.kwargs)):
        check_json(key, value)
    _check_message(entry, wanted)
    yield from _request(keys, Asking(request_id, wanted, 0), who)
    return request_id


def look_at_range(
    keys: Keys, name: str, first: int, last: int, *, most: int, rate: float | None = None, again: str | None = None
) -> Steps[Range]:
    """What a backfill of the slots from `first` to `last` (UTC ms, both included) would push now.

    most: Refused where there are more. rate: messages a second at most. again: a fresh id, for a range that was pushed
    before and is to be pushed once more. Raises NotFound, EntryInvalid, Refused.
    """
    check_bounds(most, rate)
    if last < first:
        raise EntryInvalid(f"to: {instant_text(last)} lies before from, {instant_text(first)}")
    base = yield from look_at(keys, name)
    entry = _readable(base)
    request_id = again or backfill_id(keys.namespace, name, first, last)
    [value] = yield from ask(("HGET", keys.key("req"), request_id))
    found = read_request(request_id, value)
    wanted = Wanted("backfill", name, first=max(0, first), last=last, most=most, rate=rate)
    done = wanted.begins_at if found is None else max(wanted.begins_at, found.cursor)
    end = min(last, _settled_to(cast(Row, base.row), base.now))
    count = entry.schedule.count_ms(done, end, MOST_COUNTED)
    if count > most:
        least = "at least " if count >= MOST_COUNTED else ""
        raise Refused(
            f"from {instant_text(first)} to {instant_text(last)} {name!r} has {least}{count:,} slots; at most {most:,}"
            " are pushed by one backfill",
            hint="choose a shorter range, or allow more: --max",
        )
    slots = past_slots(entry.schedule, done, end, most)
    owed = entry.schedule.next_ms(max(done, end))
    beyond = owed if owed is not None and owed <= last else None
    return Range(entry, wanted, request_id, slots, beyond, base.now, found, value or b"", again is not None)


def check_range(keys: Keys, planned: Range) -> Steps[None]:
    """Raises Refused where slots of it were pushed, or are being pushed, for another range. Not where it is asked
    for once more, and where nothing would be pushed.
    """
    if not planned.again and not planned.answered:
        yield from check_overlap(keys, planned.wanted.name, planned.request_id, planned.slots)


def backfill(keys: Keys, planned: Range, who: str, note: str = "") -> Steps[str]:
    """Asks for what was looked at; gives the request's id. Nothing that was pushed for it before is pushed again.

    A request that was withdrawn or refused goes on from where it stood. Raises NotFound, EntryInvalid, and Refused
    as ``check_range`` does: others may have asked since it was looked at.
    """
    yield from check_range(keys, planned)
    pushed = 0 if planned.found is None else planned.found.pushed
    most = min(GREATEST_MOST, pushed + planned.wanted.most)
    wanted = replace(planned.wanted, who=who, note=note, asked=planned.now, most=most)
    _check_message(planned.entry, wanted)
    found = planned.found
    ended = found is not None and found.state in ("withdrawn", "refused")
    cursor = found.cursor if found is not None and ended else wanted.begins_at
    asking = Asking(planned.request_id, wanted, cursor, planned.value if ended else b"")
    yield from _request(keys, asking, who)
    return planned.request_id


def request_state(keys: Keys, request_id: str) -> Steps[Request | None]:
    """What became of a request; None where there is none, or no more: triggers are kept 10 min, backfills 30 d."""
    [value] = yield from ask(("HGET", keys.key("req"), request_id))
    return read_request(request_id, value)


def open_requests(keys: Keys, name: str) -> Steps[list[Request]]:
    """The open requests of an entry, in the order in which they were asked for."""
    [value] = yield from ask(("HGET", keys.key("asked"), name))
    ids = open_ids(value)
    if not ids:
        return []
    [values] = yield from ask(("HMGET", keys.key("req"), *ids))
    found = [read_request(request_id, value) for request_id, value in zip(ids, values, strict=True)]
    return [request for request in found if request is not None and request.state == "open"]


def leading(keys: Keys) -> Steps[Leading]:
    """Whether anybody leads, so that requests are served."""
    (owner, until, host), (seconds, micros) = yield from ask(
        ("HMGET", keys.key("lease"), "owner", "until", "host"), ("TIME",)
    )
    now = int(seconds) * 1000 + int(micros) // 1000
    return Leading(bool(owner) and (whole(until) or 0) >= now, (host or b"").decode(errors="replace"))


def _request(keys: Keys, asking: Asking, who: str) -> Steps[None]:
    [(codes, _)] = yield from ask(request_call(keys, [asking], who))
    check_request([asking], codes)


def _readable(base: Base) -> Entry:
    """The entry of a row. Raises NotFound and EntryInvalid."""
    if base.row is None:
        raise not_found(base.name)
    return entry_from_definition(base.name, base.row.definition)


def _check_message(entry: Entry, wanted: Wanted) -> None:
    """Raises EntryInvalid where no message can be made of it."""
    cause: Cause = wanted.kind
    template = compile_template(entry.task, entry.queue, with_cause(entry.sent_options, cause), origin="")
    args = entry.args if wanted.args is None else wanted.args
    template.own(entry.name, args, entry.kwargs if wanted.kwargs is None else wanted.kwargs)


def _settled_to(row: Row, now: int) -> int:
    """Up to which instant only a backfill fires slots of an entry; what is in no place is about to be mended."""
    out = None if row.moment is not None else row.out
    found = settled_to(row.moment, out, row.hold, row.jitter, now)
    return now if found is None else found
