"""Edits that know what they are based on: no update is lost, and who loses a race is told what changed, and by whom.

An edit is computed from what was read and written under the revision that was read. Where only run state changed
meanwhile (a pause, a resume, a reset), the same edit is made again on what is there now.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from beatd.client import entries
from beatd.client.blame import Blame, blame
from beatd.client.ownership import check_owner
from beatd.client.state import EntryState, state_of
from beatd.client.steps import Steps, ask
from beatd.core.edit import ABSENT, PutItem, put_item, runs_after, runs_left
from beatd.core.entry import Entry, checked_definition, entry_from_definition, spec_from_definition
from beatd.core.field_changes import FieldChange, field_changes
from beatd.core.instant import instant_text
from beatd.core.patch import patched
from beatd.core.shown import shown
from beatd.errors import BeatdError, Conflict, EntryInvalid, Refused
from beatd.formats.celery import compile_template
from beatd.store.entries import MOST_ITEMS, Row, check_put, put_call, remove_call, row_commands, rows_of
from beatd.store.keys import Keys
from beatd.store.refusals import ConnectionClosed
from beatd.store.spoilt import whole

Fresh = Callable[[], str]
MOST_TRIES: Final = 10  # somebody would have to pause and resume as fast as we can write


@dataclass(frozen=True, slots=True)
class Base:
    """What an edit is based on: a row or none, its runs left, and the clock of Redis (UTC ms)."""

    name: str
    row: Row | None
    left: int | None
    now: int

    @property
    def revision(self) -> str:
        """The revision, '' where there is no such entry."""
        return ABSENT if self.row is None else self.row.rev

    @property
    def entry(self) -> Entry | None:
        """The entry, None where there is none that can be read."""
        try:
            return None if self.row is None else entry_from_definition(self.name, self.row.definition)
        except BeatdError:
            return None

    def state(self) -> EntryState:
        """The same for people. Raises NotFound."""
        if self.row is None:
            raise entries.not_found(self.name)
        return state_of(self.row, self.left, self.now)


def look(keys: Keys, names: Sequence[str]) -> Steps[list[Base]]:
    """What is stored under some names, each at one moment; one round trip where nobody edits them meanwhile.

    Between two commands of one write somebody else's edit may come: a revision with the definition of the next one
    would look as if only run state had changed since.
    """
    found: dict[str, Base] = {}
    rest = list(names)
    for _ in range(MOST_TRIES):
        left, again = ("HMGET", keys.key("left"), *rest), ("HMGET", keys.key("rev"), *rest)
        *columns, lefts, after, (seconds, micros) = yield from ask(*row_commands(keys, rest), left, again, ("TIME",))
        rows = {row.name: row for row in rows_of(rest, columns)}
        now = int(seconds) * 1000 + int(micros) // 1000
        for name, before, number, rev in zip(rest, columns[0], lefts, after, strict=True):
            if before == rev:
                found[name] = Base(name, rows.get(name), whole(number), now)
        rest = [name for name in rest if name not in found]
        if not rest:
            return [found[name] for name in names]
    raise Refused(f"{rest[0]!r} changes faster than it can be read", hint="repeat it later")


def look_at(keys: Keys, name: str) -> Steps[Base]:
    """What is stored under one name."""
    return (yield from look(keys, [name]))[0]


def changed(base: Base, given: Mapping[str, Any]) -> Entry:
    """The entry that some fields make of what is stored. Raises EntryInvalid.

    A definition that can't be read may be replaced by a whole one, with a task and a schedule.
    """
    entry = patched(base.name, _spec(base, given), given)
    checked_definition(entry)
    compile_template(entry.task, entry.queue, entry.sent_options, origin="").own(entry.name, entry.args, entry.kwargs)
    if given.get("at") is not None and (slot := entry.schedule.rule.last_ms(base.now)) is not None:
        raise EntryInvalid(
            f"at: {instant_text(slot)} is past: the clock of Redis shows {instant_text(base.now)}",
            hint="an instant without an offset is wall time in the entry's zone, UTC without one",
        )
    return entry


def _spec(base: Base, given: Mapping[str, Any]) -> dict[str, Any] | None:
    if base.row is None:
        return None
    try:
        return spec_from_definition(base.row.definition)
    except EntryInvalid:
        if given.get("task") is None and given.get("signature") is None:
            raise
        return {}


def write(keys: Keys, base: Base, given: Mapping[str, Any], fresh: Fresh, who: str) -> Steps[EntryState]:
    """Makes an edit of what was seen. Nothing is written where nothing would change. Raises EntryInvalid, Refused.

    Raises Conflict where the definition is another one by now. ``fresh`` gives nonces.
    """
    for _ in range(MOST_TRIES):
        entry = changed(base, given)
        if is_so(base, entry):
            return base.state()
        left = runs_left(base.entry, entry, base.left)
        item = put_item(entry, fresh(), expected=base.revision, left=left)
        try:
            [(codes, _)] = yield from ask(put_call(keys, [item], who), again=False)
        except ConnectionClosed:  # it may have been done, and others may have come after it
            codes = b"2"
        if codes != b"2":
            check_put([item], codes)
            after = yield from look_at(keys, base.name)
            return after.state() if after.row is not None else _as_written(item, base.now)
        found = yield from look_at(keys, base.name)
        if found.row is not None and found.row.definition == item.definition.encode():
            return found.state()
        if not _same_definition(base, found):
            raise (yield from _conflict(keys, base, found))
        base = found
    raise Refused(f"{base.name!r} changes faster than this edit can be made", hint="repeat it later")


def set_entry(
    keys: Keys, name: str, given: Mapping[str, Any], if_revision: str | None, fresh: Fresh, who: str
) -> Steps[EntryState]:
    """Creates an entry, or changes fields of it. Raises EntryInvalid, Refused, and Conflict.

    if_revision: the one that the edit is based on, ABSENT for a name that must be free, None for whatever is there.
    """
    base = yield from look_at(keys, name)
    yield from check_owner(keys, base.row)
    yield from check_revision(keys, base, if_revision)
    return (yield from write(keys, base, given, fresh, who))


def edited(base: Base, entry: Entry) -> Sequence[FieldChange]:
    """The fields in which an edit differs from what is stored; none where nothing that can be read is."""
    if base.entry is None:
        return ()
    return field_changes(_fields(base.entry.to_definition().encode()), _fields(entry.to_definition().encode()))


def remove_entries(keys: Keys, names: Sequence[str], if_revision: str | None, who: str) -> Steps[None]:
    """Removes entries of the API, all or nothing within 500. Raises NotFound, OtherOwner, and Conflict."""
    for start in range(0, len(names), MOST_ITEMS):
        yield from _remove(keys, dict.fromkeys(names[start : start + MOST_ITEMS], if_revision), who)


def look_to_remove(keys: Keys, names: Sequence[str], if_revision: str | None) -> Steps[dict[str, str]]:
    """The revisions of entries that may be removed. Raises NotFound, OtherOwner, and Conflict."""
    found: dict[str, str] = {}
    for start in range(0, len(names), MOST_ITEMS):
        for base in (yield from look(keys, names[start : start + MOST_ITEMS])):
            if base.row is None:
                raise entries.not_found(base.name)
            yield from check_owner(keys, base.row)
            yield from check_revision(keys, base, if_revision)
            found[base.name] = base.revision
    return found


def remove_seen(keys: Keys, seen: Mapping[str, str], who: str) -> Steps[None]:
    """Removes entries whose definitions are those of some revisions, as ``remove_entries`` does."""
    pairs = list(seen.items())
    for start in range(0, len(pairs), MOST_ITEMS):
        yield from _remove(keys, dict(pairs[start : start + MOST_ITEMS]), who)


def _remove(keys: Keys, wanted: Mapping[str, str | None], who: str) -> Steps[None]:
    """wanted: names, each with the revision that its removal is based on, None for whatever is there."""
    first, names = True, list(wanted)
    for _ in range(MOST_TRIES):
        bases = yield from look(keys, names)
        for base in bases:
            if base.row is None and first:
                raise entries.not_found(base.name)
            yield from check_owner(keys, base.row)
            if base.row is not None:
                yield from check_revision(keys, base, wanted[base.name])
        # Those that went meanwhile are where they should be: perhaps by this very call, whose answer was lost.
        there = [base for base in bases if base.row is not None]
        if not there:
            return
        call = remove_call(keys, [base.name for base in there], who, [base.revision for base in there])
        [(codes, _)] = yield from ask(call)
        if b"2" not in codes:
            return
        first = False
    raise Refused(f"{names[0]!r} changes faster than it can be removed", hint="repeat it later")


def check_revision(keys: Keys, base: Base, if_revision: str | None) -> Steps[None]:
    """Raises Conflict unless an edit based on a revision may be made of what is there now."""
    if if_revision is None or base.revision == if_revision:
        return
    if not if_revision:
        message = f"there is an entry {base.name!r} already"
        raise Conflict(message, name=base.name, revision=base.revision, hint="look at it, or choose another name")
    found = yield from blame(keys, base.name, if_revision)
    if not found.known:
        raise _not_stored(base, if_revision)
    if base.row is None or not found.only_run_state:
        raise _lost(base, found, _changes(found.before, base))


def _as_written(item: PutItem, now: int) -> EntryState:
    """An entry that was stored, and that somebody has removed since."""
    out: dict[str, Any] = {} if item.enabled else {"disabled": {}}
    definition = item.definition.encode()
    row = Row(item.name, item.rev, definition, None, False, out, item.jitter, "", None, {})  # as a table
    return state_of(row, runs_after(item.left, None), now)


def is_so(base: Base, entry: Entry) -> bool:
    """Whether nothing would change. To write an invalid or a finished one again is what brings it back."""
    if base.row is None or base.row.state_at(base.now) in ("invalid", "finished"):
        return False
    return base.entry == entry


def _same_definition(base: Base, found: Base) -> bool:
    return base.row is not None and found.row is not None and base.row.definition == found.row.definition


def _conflict(keys: Keys, base: Base, found: Base) -> Steps[Conflict]:
    culprit = yield from blame(keys, base.name, base.revision)
    if base.row is None:
        return _lost(found, culprit, (), created=True)
    return _lost(found, culprit, _changes(base.row.definition, found))


def _changes(before: bytes | None, found: Base) -> Sequence[FieldChange]:
    """What differs between a definition and the one that is there now, where both are known."""
    if before is None or found.row is None:
        return ()
    return field_changes(_fields(before), _fields(found.row.definition))


def _not_stored(base: Base, if_revision: str) -> Conflict:
    """For a revision of which nobody knows: somebody's edit may have replaced it long ago, or it never was one."""
    it = f"there is no entry {base.name!r}" if base.row is None else f"{base.name!r} has the revision {base.revision}"
    return Conflict(
        f"{it}: the given revision {shown(if_revision)} is not the stored one, and the change log tells nothing of it",
        name=base.name,
        revision=base.revision,
        hint="look at the entry again, and repeat the edit with the revision it has",
    )


def _lost(found: Base, culprit: Blame, changes: Sequence[tuple[str, Any, Any]], *, created: bool = False) -> Conflict:
    fields = ", ".join(field for field, _, _ in changes)
    changed_it = "created it" if created else f"changed {fields}" if fields else "changed it"
    what = "removed it" if found.row is None else changed_it
    seen = "" if found.row is None else f"; it has the revision {found.revision} now"
    return Conflict(
        f"{found.name!r} is not what this edit was based on: {culprit.who or 'somebody'} {what} meanwhile{seen}",
        name=found.name,
        revision=found.revision,
        changes=changes,
        hint="look at the entry again and repeat the edit",
    )


def _fields(definition: bytes) -> dict[str, Any]:
    try:
        found = json.loads(definition)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
