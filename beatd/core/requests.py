"""Requests: messages of an entry beside its timetable, now (a trigger) or of past slots (a backfill).

How they are stored, which slots they stand for, and what the leader does next for one. Instants in UTC ms.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast

from beatd.core.fire import UNIT_SEPARATOR
from beatd.core.instant import instant_text, read_moment
from beatd.core.intent import Draft
from beatd.core.json_value import check_json, kind_of
from beatd.core.schedules import Schedule
from beatd.core.shown import shown
from beatd.core.zone import zone_named
from beatd.errors import EntryInvalid, ScheduleInvalid

Cause = Literal["trigger", "backfill"]
State = Literal["open", "done", "withdrawn", "refused"]

CAUSE_HEADER: Final = "beatd_cause"
# Fixed for ever: the ids of all backfills derive from it.
BACKFILL_NAMESPACE: Final = uuid.UUID("0d6f0f53-9b4f-5c53-8b39-6a0f0c9b6c1d")
TRIGGER_EXPIRES_MS: Final = 3_600_000  # one that nobody served by then must not surprise at night
KEEP_TRIGGERS_MS: Final = 600_000  # after they ended: for who repeats the call, or asks what came of it
KEEP_BACKFILLS_MS: Final = 30 * 86_400_000
USUAL_MOST: Final = 1_000  # messages of a backfill
GREATEST_MOST: Final = 1_000_000
LARGEST_REQUEST: Final = 128 * 1024
LONGEST_WHY: Final = 500
MOST_PUSHED: Final = 100  # messages of one call
PACED_S: Final = 0.5  # the messages of about so long go into one call, where a rate is asked for
SEPARATORS: Final = re.compile(r"[|\x00-\x1f\x7f]+")
_HEAD: Final = re.compile(rb"([a-z]+)\|([0-9]{1,15})\|([0-9]{1,15})\|([0-9]{1,15})\|([^|]*)\|(.*)", re.DOTALL)
_KEYS: Final = {"name", "kind", "asked", "who", "note", "args", "kwargs", "from", "to", "max", "rate"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for. first and last: the slots of a backfill lie from the one to the other, both included.

    args, kwargs: of a trigger, in place of the entry's; None: the entry's. rate: messages a second at most. who: JSON
    for the audit. asked: when, by whoever asked; people read it, the server has its own.
    """

    kind: Cause
    name: str
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    first: int = 0
    last: int = 0
    most: int = USUAL_MOST
    rate: float | None = None
    who: str = ""
    note: str = ""
    asked: int | None = None

    @property
    def begins_at(self) -> int:
        """The cursor with which it begins."""
        return max(0, self.first - 1) if self.kind == "backfill" else 0

    def to_text(self) -> str:
        """JSON, as it is stored. ``read_wanted`` reads it back. Raises EntryInvalid when it is too large."""
        spec: dict[str, Any] = {"kind": self.kind, "name": self.name, "who": self.who, "note": self.note}
        if self.asked is not None:
            spec["asked"] = instant_text(self.asked)
        if self.kind == "backfill":
            spec |= {"from": instant_text(self.first), "to": instant_text(self.last), "max": self.most}
            spec |= {} if self.rate is None else {"rate": self.rate}
        spec |= {} if self.args is None else {"args": list(self.args)}
        spec |= {} if self.kwargs is None else {"kwargs": dict(self.kwargs)}
        text = json.dumps(spec, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if len(text.encode()) > LARGEST_REQUEST:
            size = len(text.encode())
            raise EntryInvalid(f"the request has {size} bytes; at most {LARGEST_REQUEST} are accepted")
        return text


@dataclass(frozen=True, slots=True)
class Request:
    """One request as stored. cursor: the last slot that is settled. at: when it was asked for (open), or ended.

    wanted: None where the text can't be read; then ``why`` says so if nothing else does.
    """

    id: str
    state: State
    cursor: int
    pushed: int
    at: int
    why: str
    wanted: Wanted | None


class Part(NamedTuple):
    """What the leader does next for a request: the slots to push, the cursor behind them, and what becomes of it."""

    slots: tuple[int, ...]
    cursor: int
    outcome: Literal["open", "done", "refused"]
    why: str = ""


class Serving(NamedTuple):
    """One part as the leader sends it: of which request, decided by which revision ('' where there is no entry).

    drafts: one for each message that is for another broker; none where messages are pushed to ``queue``.
    """

    id: str
    name: str
    rev: str
    expected: int
    part: Part
    cause: str
    task_id: str = ""
    queue: str = ""
    messages: Sequence[bytes] = ()
    drafts: Sequence[Draft] = ()


class Tidying(NamedTuple):
    """One finding: the value that was read (b"" none), and what to do: F forget, L list as open, O take off."""

    id: str
    name: str
    value: bytes
    what: str


class Found(NamedTuple):
    """One id that an entry names as open, with what is stored under it (b"" nothing)."""

    name: str
    id: str
    value: bytes


class Standing(NamedTuple):
    """How an entry stands for its requests. settled_to: None where it is in no place, so that nobody knows."""

    rev: str
    definition: bytes | None
    jitter: int
    settled_to: int | None


def backfill_id(namespace: str, name: str, first: int, last: int) -> str:
    """The id of a backfill: the same for the same entry and range, so that asking again pushes nothing twice."""
    return str(uuid.uuid5(BACKFILL_NAMESPACE, UNIT_SEPARATOR.join([namespace, name, str(first), str(last)])))


def read_request(request_id: str, value: bytes | None) -> Request | None:
    """A value of T:req; None where there is none, or one that somebody spoilt."""
    match = _HEAD.fullmatch(value or b"")
    if match is None:
        return None
    state, cursor, pushed, at, why, text = match.groups()
    if state not in (b"open", b"done", b"withdrawn", b"refused"):
        return None
    told = why.decode(errors="replace")
    try:
        wanted = read_wanted(text)
    except EntryInvalid as error:
        wanted, told = None, told or error.message
    return Request(request_id, cast(State, state.decode()), int(cursor), int(pushed), int(at), told, wanted)


def read_wanted(text: str | bytes) -> Wanted:
    """Reads what a request asks for. Raises EntryInvalid naming the key, what was found and what is accepted."""
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EntryInvalid(f"the request is not JSON: {error}") from error
    if not isinstance(spec, dict):
        raise EntryInvalid(f"the request is {kind_of(spec)}; an object is accepted")
    unknown = sorted(spec.keys() - _KEYS)
    if unknown:
        raise EntryInvalid(f"unknown key {shown(unknown[0])} of a request; accepted are {', '.join(sorted(_KEYS))}")
    kind, name = spec.get("kind"), _text(spec, "name")
    if kind not in ("trigger", "backfill"):
        raise EntryInvalid(f"kind: found {shown(kind)}; trigger and backfill are accepted")
    common: dict[str, Any] = {
        "name": name,
        "who": _who(spec.get("who", "")),
        "note": _text(spec, "note"),
        "asked": _instant(spec, "asked") if "asked" in spec else None,
    }
    return Wanted("trigger", **common, **_overrides(spec)) if kind == "trigger" else _backfill(spec, common)


def check_bounds(most: object, rate: object) -> None:
    """Raises EntryInvalid for bounds that a backfill can't have."""
    _most({"max": most})
    _rate({"rate": rate})


def next_part(request: Request, schedule: Schedule, settled_to: int, now: int, room: int) -> Part:
    """The next part of an open request that can be read, of at most so many messages.

    A trigger stands for the instant at which it was asked for. A backfill walks on from its cursor, up to the slot
    that the timetable still owes (``settled_to``: the instant up to which it owes nothing): what comes after is fired
    by the schedule itself.
    """
    wanted = request.wanted
    if wanted is None:
        return Part((), request.cursor, "refused", request.why)
    if wanted.kind == "trigger":
        if now - request.at > TRIGGER_EXPIRES_MS:
            return Part((), request.cursor, "refused", "expired: nobody served it within an hour")
        return Part((request.at,), max(request.at, request.cursor), "done")
    allowed = wanted.most - request.pushed
    end = min(wanted.last, settled_to)
    slots = past_slots(schedule, request.cursor, end, min(room, allowed))
    cursor = slots[-1] if slots else request.cursor
    following = schedule.next_ms(cursor)
    if following is None or following > end:
        owed = following is not None and following <= wanted.last
        why = f"from {instant_text(following or 0)} on the timetable fires by itself" if owed else ""
        return Part(slots, max(cursor, end), "done", why)
    if len(slots) == allowed:
        return Part(slots, cursor, "refused", f"there are more than {wanted.most} slots")
    return Part(slots, cursor, "open")


def past_slots(schedule: Schedule, after: int, until: int, at_most: int) -> tuple[int, ...]:
    """The first slots in (after, until], oldest first, at most so many."""
    found: list[int] = []
    slot = schedule.next_ms(after)
    while slot is not None and slot <= until and len(found) < at_most:
        found.append(slot)
        slot = schedule.next_ms(slot)
    return tuple(found)


def settled_to(
    score: int | None, out: Mapping[str, Any] | None, hold: Mapping[str, Any], jitter: int, now: int
) -> int | None:
    """Up to which instant an entry's slots are settled, so that nobody but a backfill fires them any more.

    score: of `due` or `blocked`. out: why it is outside the timetable, None where it is not. What a pause passes over
    (hold) is owed to whoever lifts it. None where it is in no place. As serve.lua says it.
    """
    if score is None and out is None:
        return None
    owed = score if score is not None else _score((out or {}).get("owed"))
    if owed is None:
        owed = -now
    to = -owed if owed < 0 else owed - jitter - 1
    until, since = _score(hold.get("until")), hold.get("since")
    if since is not None and until is not None and until > now:
        held_since = _score(since)
        to = min(to, now if held_since is None else held_since)
    return min(to, now)


def room_for(wanted: Wanted | None) -> int:
    """How many messages go into one call."""
    if wanted is None or wanted.rate is None:
        return MOST_PUSHED
    return max(1, min(MOST_PUSHED, int(wanted.rate * PACED_S)))


def pause_after(wanted: Wanted | None, pushed: int) -> float:
    """Seconds until the next call after one with so many messages."""
    return 0.0 if wanted is None or wanted.rate is None else pushed / wanted.rate


def is_over(request: Request, now: int) -> bool:
    """Whether an ended request may be forgotten."""
    keep = KEEP_BACKFILLS_MS if request.wanted is None or request.wanted.kind == "backfill" else KEEP_TRIGGERS_MS
    return request.state != "open" and request.at + keep < now


def with_cause(options: Mapping[str, Any], cause: Cause) -> dict[str, Any]:
    """An entry's options, with the header by which a task can tell what its message came of."""
    headers = options.get("headers")
    return {**options, "headers": {**(headers if isinstance(headers, Mapping) else {}), CAUSE_HEADER: cause}}


def why_text(text: str) -> str:
    """A reason as it may be stored."""
    return SEPARATORS.sub(" ", text)[:LONGEST_WHY]


def _backfill(spec: Mapping[str, Any], common: Mapping[str, Any]) -> Wanted:
    for key in ("args", "kwargs"):
        if key in spec:
            raise EntryInvalid(f"{key}: a backfill sends the entry's own; a trigger may have others")
    first, last = _instant(spec, "from"), _instant(spec, "to")
    if first < 0 or last < first:
        raise EntryInvalid(f"to: {instant_text(last)} lies before from, {instant_text(first)}, or both before 1970")
    return Wanted("backfill", **common, first=first, last=last, most=_most(spec), rate=_rate(spec))


def _overrides(spec: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("from", "to", "max", "rate"):
        if key in spec:
            raise EntryInvalid(f"{key}: a key of a backfill, not of a trigger")
    found: dict[str, Any] = {}
    for key, kind in (("args", list), ("kwargs", dict)):
        if key in spec:
            if not isinstance(spec[key], kind):
                raise EntryInvalid(f"{key}: found {kind_of(spec[key])}; {kind_of(kind())} is accepted")
            check_json(key, spec[key])
            found[key] = tuple(spec[key]) if kind is list else spec[key]
    return found


def _instant(spec: Mapping[str, Any], key: str) -> int:
    try:
        return read_moment(key, spec.get(key), zone_named("UTC")).ms
    except ScheduleInvalid as error:
        raise EntryInvalid(error.message, hint=error.hint) from error


def _most(spec: Mapping[str, Any]) -> int:
    value = spec.get("max", USUAL_MOST)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= GREATEST_MOST:
        raise EntryInvalid(f"max: found {shown(value)}; a whole number from 1 to {GREATEST_MOST} is accepted")
    return value


def _rate(spec: Mapping[str, Any]) -> float | None:
    value = spec.get("rate")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= 1_000_000:
        raise EntryInvalid(f"rate: found {shown(value)}; messages a second, from 0.001 to 1000000, are accepted")
    return float(value)


def _text(spec: Mapping[str, Any], key: str) -> str:
    value = spec.get(key, "")
    if not isinstance(value, str):
        raise EntryInvalid(f"{key}: found {kind_of(value)}; a text is accepted")
    return value


def _who(value: object) -> str:
    """A text, or the object that other clients write."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _score(value: object) -> int | None:
    try:
        return int(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        return None


def open_ids(value: bytes | None) -> Sequence[str]:
    """The ids in a value of T:asked, in the order in which they were asked for."""
    return [part for part in (value or b"").decode("utf-8", "surrogateescape").split(UNIT_SEPARATOR) if part]
