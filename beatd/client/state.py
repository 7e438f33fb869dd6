"""How an entry stands, for programs: plain frozen values with aware datetimes in UTC."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from beatd.client.listing import owner_of as owner_by
from beatd.core.entry import Entry, entry_from_definition
from beatd.core.instant import FIRST_MS, LAST_MS, utc_of
from beatd.core.last_run import last_run
from beatd.core.planning import first_moment
from beatd.errors import BeatdError
from beatd.store.entries import Row
from beatd.store.spoilt import instant

State = Literal["scheduled", "finished", "paused", "disabled", "blocked", "invalid"]


@dataclass(frozen=True, slots=True)
class Paused:
    """Who has paused an entry and why. ``since`` is known of a pause without an end, ``until`` of one with an end."""

    who: str
    note: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryState:
    """One entry as it was stored at one moment. Instants are aware, in UTC.

    state: exactly one word. revision: changes with every edit, pause, resume and reset; what `if_revision` takes.
    definition: all stored fields, also those that this version does not know; empty where it can't be read.
    entry: the same, read; None where it can't be. why: why it can't be, or why the leader found it invalid.
    next: when it will be sent next (slot and jitter), by the timetable, or by its schedule where it is about to be
    planned; None where it will not run as things are. last: the slot of its last fire, last_fired when that was sent,
    last_id the task id of its message. runs_left: None where `max_runs` does not count them.
    """

    name: str
    state: State
    revision: str
    owner: str
    definition: Mapping[str, Any]
    entry: Entry | None = None
    why: str | None = None
    next: datetime | None = None
    last: datetime | None = None
    last_fired: datetime | None = None
    last_id: str | None = None
    paused: Paused | None = None
    runs_left: int | None = None


def state_of(row: Row, left: int | None, now: int) -> EntryState:
    """What a stored row says at an instant of Redis (UTC ms)."""
    entry, why = _read(row)
    definition = _decoded(row.definition)
    last = last_run(row.last)
    return EntryState(
        name=row.name,
        state=cast(State, row.state_at(now)),
        revision=row.rev,
        owner=owner_of(row),
        definition=definition,
        entry=entry,
        why=row.why_invalid() or why,
        next=_utc(next_moment(row, entry, left)),
        last=_utc(last.slot),
        last_fired=_utc(last.at),
        last_id=last.task_id,
        paused=_paused(row, now),
        runs_left=left,
    )


def owner_of(row: Row) -> str:
    """Who owns the definition: `file`, `apply:<label>`, or `api`."""
    return owner_by(_decoded(row.definition), owned_by_file=row.file_hash is not None)


def _read(row: Row) -> tuple[Entry | None, str | None]:
    try:
        return entry_from_definition(row.name, row.definition), None
    except BeatdError as error:
        return None, error.message


def _decoded(definition: bytes) -> dict[str, Any]:
    try:
        found = json.loads(definition)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def next_moment(row: Row, entry: Entry | None, left: int | None) -> int | None:
    """The moment in the timetable; for one that is to be planned, what the leader will find."""
    if row.moment is None or row.moment >= 0 or row.blocked or entry is None:
        return row.moment if row.moment is None or row.moment >= 0 else None
    last = last_run(row.last).slot or 0
    held = max((instant(row.hold.get("until")) or 0) - 1, instant(row.hold.get("after")) or 0)
    return first_moment(entry, -row.moment, last, row.jitter, left, held).moment


def _paused(row: Row, now: int) -> Paused | None:
    found = row.pause_at(now)
    if found is None:
        return None
    return Paused(found["who"], found["note"], _utc(found.get("at")), _utc(found.get("until")))


def _utc(ms: int | None) -> datetime | None:
    return None if ms is None or not FIRST_MS <= ms <= LAST_MS else utc_of(ms)
