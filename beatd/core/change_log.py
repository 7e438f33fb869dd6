"""The change log: its rows read, what changed from one to the next, and the state that all of them together make."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from beatd.core.entry import spec_from_definition
from beatd.core.field_changes import FieldChange, field_changes
from beatd.errors import EntryInvalid

WHAT: Final = {"remove": "removed", "pause": "paused", "resume": "resumed", "reset": "reset", "request": "asked"}
_LONGEST: Final = 15  # digits of a number of ours


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of one entry, and what stands after it. ``at`` in UTC ms.

    op: the script that made it; those of later versions are kept as they are. rev: '' after a removal. was: '' before
    an entry's first put. definition: of a put the new one, of a removal the one that went. file_hash: '' for an entry
    that no file owns. pause: who paused it and why (`who`, `note`, and `at` or `until`), None where it is not paused.
    replaces, heir: the entry's name before and after a rename. left: the runs given by a reset. asks: what a request
    asks for (`kind` trigger or backfill), which changes nothing that is told here. who: what the client said of itself
    (`client`, `user`, `host`, `note`), and whatever else.
    """

    op: str
    at: int
    name: str
    rev: str = ""
    was: str = ""
    definition: bytes | None = None
    file_hash: str = ""
    enabled: bool = True
    pause: Mapping[str, Any] | None = None
    replaces: str = ""
    heir: str = ""
    left: int | None = None
    catchup: bool = False
    asks: Mapping[str, Any] | None = None
    who: Mapping[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """What was done, in a word."""
        if self.op == "put":
            return "renamed" if self.replaces and not self.was else "changed" if self.was else "created"
        return "renamed" if self.heir else WHAT.get(self.op, self.op)

    @property
    def note(self) -> str:
        """What whoever did it wanted to be remembered; '' for nothing."""
        own = {"pause": self.pause, "request": self.asks}.get(self.op) or {}
        return str(self.who.get("note") or own.get("note") or "")


def change_of(at: int, fields: Mapping[bytes, bytes]) -> Change | None:
    """The change of one row; None where it names no entry. ``at`` is the instant of its id, for rows that tell none.

    Nothing in a row makes it fail: what can't be read is left out.
    """
    texts = {_text(key): value for key, value in fields.items()}
    name, op = _text(texts.get("name", b"")), _text(texts.get("op", b""))
    if not name or not op:
        return None
    pause, asks, who = (_json(texts.get(key, b"")) for key in ("pause", "asks", "who"))
    return Change(
        op,
        _whole(texts.get("at")) or at,
        name,
        rev=_text(texts.get("rev", b"")),
        was=_text(texts.get("was", b"")),
        definition=texts.get("def"),
        file_hash=_text(texts.get("file", b"")),
        enabled=texts.get("enabled") != b"0",
        pause=pause if isinstance(pause, dict) else {} if texts.get("pause") else None,
        replaces=_text(texts.get("replaces", b"")),
        heir=_text(texts.get("heir", b"")),
        left=_whole(texts.get("left")),
        catchup=texts.get("catchup") == b"1",
        asks=asks if isinstance(asks, dict) else None,
        who=who if isinstance(who, dict) else {"client": _text(texts["who"])} if texts.get("who") else {},
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as the log tells it. definition: None where the row that wrote it is not there any more."""

    rev: str
    definition: bytes | None = None
    file_hash: str = ""
    enabled: bool = True
    pause: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A change, and the fields of the definition in which it differs from the one before; None: nobody can tell."""

    change: Change
    fields: tuple[FieldChange, ...] | None = ()


class Replay:
    """The state that rows make, taken in their order, oldest first."""

    def __init__(self) -> None:
        self.entries: dict[str, Kept] = {}

    def add(self, change: Change) -> Told:
        """Takes one change in, and tells what it changed."""
        before = self.entries.pop(change.name, None)
        if change.op == "remove":
            return Told(change)
        if change.op == "put":
            definition, file_hash = change.definition, change.file_hash
            self.entries[change.name] = Kept(change.rev, definition, file_hash, change.enabled, change.pause)
            return told(change, None if before is None else before.definition)
        if before is not None or change.rev:
            self.entries[change.name] = _after(change, before or Kept(""))
        return Told(change)


def _after(change: Change, before: Kept) -> Kept:
    """What stands after an edit that leaves the definition alone."""
    pause = {"pause": change.pause, "resume": None}.get(change.op, before.pause)
    return replace(before, rev=change.rev or before.rev, pause=pause)


class Newest:
    """The newest changes that are wanted, at most ``count``, and what each changed, from rows taken newest first."""

    def __init__(self, wanted: Callable[[Change], bool], count: int) -> None:
        self._wanted = wanted
        self._count = count
        self._found: list[Told] = []
        self._open: dict[str, int] = {}  # name -> the oldest put of it so far, whose predecessor is not known yet

    @property
    def full(self) -> bool:
        """Whether older rows would change nothing any more."""
        return len(self._found) >= self._count and not self._open

    def enough(self) -> None:
        """No older change is wanted."""
        self._count = min(self._count, len(self._found))

    def add(self, change: Change) -> None:
        """Takes the row before all those taken so far."""
        if change.op in ("put", "remove") and (place := self._open.pop(change.name, None)) is not None:
            definition = change.definition if change.op == "put" else None
            self._found[place] = told(self._found[place].change, definition)
        if len(self._found) >= self._count or not self._wanted(change):
            return
        if change.op == "put" and change.was:
            self._open[change.name] = len(self._found)
        self._found.append(told(change, None))

    def oldest_first(self) -> list[Told]:
        """What was found."""
        return self._found[::-1]


def told(change: Change, before: bytes | None) -> Told:
    """A change with what it changed. before: the definition until then, None where that is not known."""
    if change.op != "put":
        return Told(change)
    old, new = {} if not change.was else _spec(before), _spec(change.definition)
    return Told(change, None if old is None or new is None else tuple(field_changes(old, new)))


def _spec(definition: bytes | None) -> dict[str, Any] | None:
    try:
        return None if definition is None else spec_from_definition(definition)
    except EntryInvalid:
        return None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _whole(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) <= _LONGEST else None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
