"""What storing a set of definitions under one owner would do to what is stored: added, changed, removed, renamed.

An owner's entries are changed by those who apply them. A name that another owner holds is a conflict, unless it may be
taken over; where all but the owner is as wanted, there is nothing to do, and its owner stays.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from beatd.core.edit import ABSENT
from beatd.core.entry import ENTRY_KEYS, Entry, checked_definition, entry_from_definition
from beatd.core.field_changes import FieldChange, field_changes
from beatd.errors import EntryInvalid

Op = Literal["add", "change", "remove", "rename"]

PREFIX: Final = "apply:"
FILE: Final = "file"
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored under a name: its revision, its definition, and whether a file of the daemon owns it."""

    rev: str
    definition: bytes
    of_file: bool = False

    @property
    def owner(self) -> str:
        """Who owns it: `file`, `apply:<label>` or `api`."""
        owner = FILE if self.of_file else self.fields.get("owner")
        return owner if isinstance(owner, str) else "api"

    @property
    def fields(self) -> Mapping[str, Any]:
        """The decoded definition; empty where it can't be read."""
        try:
            found = json.loads(self.definition)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Change:
    """One entry to be written or removed. definition: the new one, '' for a removal. before: what it is based on.

    replaces: the name it had so far, of an entry that gets another name and nothing else; before is that one's then.
    """

    op: Op
    name: str
    definition: str = ""
    before: Held | None = None
    replaces: str = ""

    @property
    def expected(self) -> str:
        """The revision under its name that it is based on; ABSENT for a name that must be free."""
        return ABSENT if self.before is None or self.op == "rename" else self.before.rev

    @cached_property
    def fields(self) -> Sequence[FieldChange]:
        """What changes, field by field. What is spelt in another way and means the same is no change."""
        old = {} if self.before is None else json.loads(_canonical(self.before, self.replaces or self.name) or "{}")
        return field_changes(old, json.loads(self.definition) if self.definition else {})


class Conflict(NamedTuple):
    """A name that somebody else holds."""

    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """changes: what is written first, in the order in which it was given, then what is removed.

    conflicts: because of them nothing of it may be written. same: how many are stored as wanted. elsewhere: those of
    them that another owner holds, which stay with that one.
    """

    owner: str
    changes: Sequence[Change]
    conflicts: Sequence[Conflict] = ()
    same: int = 0
    elsewhere: Sequence[Conflict] = ()

    def of(self, op: Op) -> list[Change]:
        """Those of one kind."""
        return [change for change in self.changes if change.op == op]

    @property
    def differs(self) -> bool:
        """Whether what is stored is not what is wanted."""
        return bool(self.changes or self.conflicts)


def owner_named(label: str) -> str:
    """The owner of a label; `apply:<label>`, as it is shown, names it too. Raises EntryInvalid."""
    bare = label.removeprefix(PREFIX)
    if not _LABEL.fullmatch(bare):
        accepted = "1 to 64 of A-Z a-z 0-9 . _ / @ -, the first of them a letter or a digit"
        raise EntryInvalid(f"owner: found {label[:80]!r}; {accepted} are accepted")
    return PREFIX + bare


def compared(name: str, wanted: str, held: Held | None, owner: str, *, take_over: bool) -> Change | Conflict | None:
    """What becomes of a name; None where it is stored as wanted. A Conflict whose owner may stay: see `as_wanted`."""
    if held is None:
        return Change("add", name, wanted)
    if held.definition == wanted.encode() and not held.of_file:
        return None
    stored, other = _readable(held, name), held.owner
    if stored is not None and stored.extra:
        wanted = checked_definition(replace(entry_from_definition(name, wanted), extra=stored.extra))
    if other == owner:
        return None if stored is not None and stored.to_definition() == wanted else Change("change", name, wanted, held)
    return Change("change", name, wanted, held) if take_over and other != FILE else Conflict(name, other)


def as_wanted(name: str, wanted: str, held: Held) -> bool:
    """Whether somebody else's entry is all that is wanted, but for the owner and what only another version knows."""
    stored = _readable(held, name)
    if stored is None:
        return False
    entry = entry_from_definition(name, wanted)
    return replace(stored, owner=entry.owner, extra={}).to_definition() == replace(entry, extra={}).to_definition()


class Comparison:
    """Collects page by page what a set of definitions would do."""

    def __init__(self, owner: str, *, take_over: bool) -> None:
        self._owner, self._take_over = owner, take_over
        self._puts: list[Change] = []
        self._removes: list[Change] = []
        self._conflicts: list[Conflict] = []
        self._elsewhere: list[Conflict] = []
        self._same = 0

    def take(self, name: str, wanted: str, held: Held | None) -> None:
        """One that is wanted."""
        found = compared(name, wanted, held, self._owner, take_over=self._take_over)
        if isinstance(found, Change):
            self._puts.append(found)
        elif found is None:
            self._same += 1
        elif held is not None and as_wanted(name, wanted, held):
            self._same += 1
            self._elsewhere.append(found)
        else:
            self._conflicts.append(found)

    def unwanted(self, name: str, held: Held) -> None:
        """One that is stored and not wanted: removed where it is the owner's."""
        if held.owner == self._owner:
            self._removes.append(Change("remove", name, before=held))

    def result(self) -> ChangeSet:
        """What all of them come to."""
        changes = _with_renames(self._puts, sorted(self._removes, key=lambda change: change.name))
        return ChangeSet(self._owner, changes, self._conflicts, self._same, self._elsewhere)


def change_set(
    wanted: Mapping[str, str],
    stored: Mapping[str, Held],
    owner: str,
    *,
    prune: bool = False,
    take_over: bool = False,
) -> ChangeSet:
    """What storing definitions by name would do, all at once. prune: what the owner has besides goes."""
    comparison = Comparison(owner, take_over=take_over)
    for name, definition in wanted.items():
        comparison.take(name, definition, stored.get(name))
    for name in (stored.keys() - wanted.keys()) if prune else ():
        comparison.unwanted(name, stored[name])
    return comparison.result()


def _with_renames(puts: Iterable[Change], removes: Sequence[Change]) -> list[Change]:
    """An added and a removed entry of one definition are one that got another name."""
    free: dict[bytes, list[Change]] = defaultdict(list)
    for change in reversed(removes):
        free[change.before.definition if change.before else b""].append(change)
    found, gone = [], set()
    for change in puts:
        old = free.get(change.definition.encode()) if change.op == "add" and free else None
        if old:
            was = old.pop()
            gone.add(was.name)
            found.append(Change("rename", change.name, change.definition, was.before, was.name))
        else:
            found.append(change)
    return [*found, *(change for change in removes if change.name not in gone)]


def _readable(held: Held, name: str) -> Entry | None:
    try:
        return entry_from_definition(name, held.definition)
    except EntryInvalid:
        return None


def _canonical(held: Held, name: str) -> str:
    """A stored definition in the spelling of this version; as it is where it can't be read, '' where nothing can."""
    stored = _readable(held, name)
    if stored is not None:
        return stored.to_definition()
    kept = {key: value for key, value in held.fields.items() if key in ENTRY_KEYS}
    return json.dumps(kept) if kept else ""
