"""What happened, for programs: plain frozen values with aware datetimes in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from beatd.client.state import Paused
from beatd.core.change_log import Change, Told
from beatd.core.entry import spec_from_definition
from beatd.core.field_changes import FieldChange
from beatd.core.fire import TaskIds
from beatd.core.history import ByNow, Hindsight, Line, task_id
from beatd.core.instant import FIRST_MS, LAST_MS, aware_ms, utc_of
from beatd.errors import BeatdError, EntryInvalid

_TIMES: Final = frozenset({"from", "to", "asked"})  # of what a request asks for
_OF_THE_ROW: Final = frozenset({"name", "who", "note"})  # told beside what a request asks for
_LONGEST: Final = 15  # digits of a number of ours


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One fire or skip. Instants are aware, in UTC.

    what: `fired`, `skipped`; `waiting`, of what is decided and not yet with its broker; `lifted`, of a pause that ended
    before the end it was given: other lines tell then of its slots; or `unreadable`, with `text` saying what was found.
    at: when it was decided. slot: of a skip the first of its
    range, `last` the last one; of a fire both are its slot. reason: why it was skipped. cause: `schedule`, `trigger` or
    `backfill`, of a fire alone. count: how many slots lie in the range, None where nobody has counted; at_least: there
    may be more. foretold: some of its slots are still ahead. task_id: of the message of a fire. why: more than the
    reason says, of what was decided for another broker and not sent.
    """

    what: ByNow
    at: datetime
    name: str | None = None
    slot: datetime | None = None
    last: datetime | None = None
    reason: str | None = None
    cause: str | None = None
    count: int | None = None
    at_least: bool = False
    foretold: bool = False
    task_id: str | None = None
    text: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class EntryChange:
    """One edit of one entry, and what stands after it. Instants are aware, in UTC.

    what: `created changed renamed removed paused resumed reset asked`, or what a later version has written. who, host,
    program: who made it, '' unknown. note: why, '' where nobody said. fields: (field, old, new) in which the definition
    differs from the one before; None where that one is not kept any more. definition: of a put the new one, of a
    removal the one that went; None where the edit left it alone, or it can't be read. revision: the one it has now,
    was: the one before; None after a removal and before the first one. paused: None where it is not paused after it.
    renamed_from, renamed_to: its other name. owned_by_file: of a put, whether a file of the daemon owns it. runs_left:
    given by a reset. catchup: of a resume. asks: what a trigger or backfill asks for: `kind`, and `args kwargs asked
    from to max rate` as far as they were given.
    """

    at: datetime
    name: str
    what: str
    who: str = ""
    host: str = ""
    program: str = ""
    note: str = ""
    fields: tuple[FieldChange, ...] | None = ()
    definition: Mapping[str, Any] | None = None
    revision: str | None = None
    was: str | None = None
    paused: Paused | None = None
    renamed_from: str | None = None
    renamed_to: str | None = None
    owned_by_file: bool | None = None
    runs_left: int | None = None
    catchup: bool = False
    asks: Mapping[str, Any] | None = None


def history_line_of(line: Line, ids: TaskIds, seen: Hindsight) -> HistoryLine:
    """A line as it is kept, and what is known of it by now, for programs."""
    return HistoryLine(
        what=seen.what(line),
        at=_certain(line.at),
        name=line.name,
        slot=_instant(line.slot),
        last=_instant(line.last),
        reason=line.reason,
        cause=line.cause or "schedule" if line.what == "fired" else None,
        count=line.count or None if line.what != "unreadable" else None,
        at_least=line.at_least,
        foretold=seen.ahead(line),
        task_id=task_id(line, ids),
        text=line.text,
        why=line.why,
    )


def change_of_entry(told: Told) -> EntryChange:
    """A change as it is kept, for programs."""
    change = told.change
    return EntryChange(
        at=_certain(change.at),
        name=change.name,
        what=change.what,
        who=_said(change, "user"),
        host=_said(change, "host"),
        program=_said(change, "client"),
        note=change.note,
        fields=told.fields,
        definition=_definition(change),
        revision=change.rev or None,
        was=change.was or None,
        paused=_paused(change),
        renamed_from=change.replaces or None,
        renamed_to=change.heir or None,
        owned_by_file=bool(change.file_hash) if change.op == "put" else None,
        runs_left=change.left,
        catchup=change.catchup,
        asks=_asks(change),
    )


def _said(change: Change, key: str) -> str:
    return str(change.who.get(key) or "")


def _definition(change: Change) -> Mapping[str, Any] | None:
    try:
        return None if change.definition is None else spec_from_definition(change.definition)
    except EntryInvalid:
        return None


def _paused(change: Change) -> Paused | None:
    found = change.pause
    if found is None:
        return None
    since, until = _read(found.get("at")), _read(found.get("until"))
    return Paused(str(found.get("who") or ""), str(found.get("note") or ""), since, until)


def _asks(change: Change) -> Mapping[str, Any] | None:
    if change.asks is None:
        return None
    told = {key: value for key, value in change.asks.items() if key not in _OF_THE_ROW and value is not None}
    return {key: (_read(value) or value) if key in _TIMES else value for key, value in told.items()}


def _read(value: Any) -> datetime | None:
    """An instant of a JSON object, UTC ms or a text with an offset; None where it is none."""
    text = str(value)
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST:
        return _instant(int(text))
    try:
        return utc_of(aware_ms(datetime.fromisoformat(text)))
    except (BeatdError, ValueError, OverflowError):
        return None


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None or not FIRST_MS <= ms <= LAST_MS else utc_of(ms)


def _certain(ms: int) -> datetime:
    """Another client may have written an id beyond all years: then the end of the calendar stands for it."""
    return utc_of(max(FIRST_MS, min(ms, LAST_MS)))
