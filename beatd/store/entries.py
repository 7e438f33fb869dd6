"""Entries in Redis: reading pages of them, and the edits that any client may make."""

import getpass
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from beatd.core.edit import ANY, PutItem
from beatd.errors import NotFound, Refused
from beatd.store.keys import FORMAT, Keys
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import score, whole
from beatd.store.timetable import SKIP_ROWS

LOG_ROWS: Final = 100_000
MOST_ITEMS: Final = 500
_ROW_HASHES: Final = ("rev", "def", "out", "jit", "last", "file")
MOST_BYTES: Final = 1_000_000  # of the 1 MB that a call may carry; the rest is names of columns and the audit


def put_call(keys: Keys, items: Sequence[PutItem], who: str) -> Call:
    """One put: at most 500 entries and 1 MB, all or nothing."""
    args: list[Arg] = [FORMAT, who, LOG_ROWS, SKIP_ROWS, len(items)]
    args += [item.name for item in items]
    args += [item.rev for item in items]
    args += [item.expected for item in items]
    args += [item.definition for item in items]
    args += [item.jitter for item in items]
    args += [item.left for item in items]
    args += ["1" if item.enabled else "0" for item in items]
    args += [item.file_hash for item in items]
    return call("put", keys, args)


def remove_call(keys: Keys, names: Sequence[str], who: str, expected: Sequence[str] | None = None) -> Call:
    """One removal: at most 500 entries, all or nothing."""
    args: list[Arg] = [FORMAT, who, LOG_ROWS, len(names), *names, *(expected or [ANY] * len(names))]
    return call("remove", keys, args)


def put_steps(items: Sequence[PutItem]) -> Iterator[list[PutItem]]:
    """Splits a large edit into calls of at most 500 entries and 1 MB."""
    step: list[PutItem] = []
    size = 0
    for item in items:
        weight = len(item.definition.encode()) + 4 * len(item.name) + 200
        if step and (len(step) == MOST_ITEMS or size + weight > MOST_BYTES):
            yield step
            step, size = [], 0
        step.append(item)
        size += weight
    if step:
        yield step


def check_put(items: Sequence[PutItem], codes: bytes) -> None:
    """Raises Refused when a put's reply says that nothing was written."""
    for item, code in zip(items, codes.decode(), strict=True):
        if code == "2":
            raise Refused(
                f"{item.name!r} is not what this edit was based on: somebody changed it meanwhile",
                hint="look at the entry again (beatd ls) and repeat the edit",
            )
        if code == "5":
            raise Refused(f"{item.name!r} can't be stored: its name or definition is malformed or too large")


def check_remove(names: Sequence[str], codes: bytes) -> None:
    """Raises Refused or NotFound by a removal's reply."""
    for name, code in zip(names, codes.decode(), strict=True):
        if code == "2":
            raise Refused(f"{name!r} is not what this edit was based on: somebody changed it meanwhile")
    missing = [name for name, code in zip(names, codes.decode(), strict=True) if code == "1"]
    if missing:
        raise NotFound(f"there is no entry {missing[0]!r}", hint="beatd ls shows the names")


def user_name() -> str:
    """The user of this process, by name; by number where nothing knows a name (a container's bare user id)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def audit(client: str, user: str, host: str, note: str = "") -> str:
    """Who makes an edit, as the change log keeps it."""
    return json.dumps({"client": client, "user": user, "host": host, **({"note": note} if note else {})})


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as stored, for people: undecoded definition, score, reasons to be out of the timetable, last fire."""

    name: str
    rev: str
    definition: bytes
    moment: int | None
    blocked: bool
    out: dict[str, Any]
    jitter: int
    last: str
    file_hash: str | None

    @property
    def state(self) -> str:
        """Exactly one of the states, the most telling first (CONTRACT)."""
        for reason in ("invalid", "disabled", "paused", "finished"):
            if reason in self.out:
                return reason
        return "blocked" if self.blocked else "scheduled"


def names_command(keys: Keys, cursor: bytes, count: int) -> list[Arg]:
    """One page of all names, in no order."""
    return ["HSCAN", keys.key("rev"), cursor, "COUNT", count]


def row_commands(keys: Keys, names: Sequence[str]) -> list[list[Arg]]:
    """The commands that read rows; their replies go to `rows_of`."""
    hashes: list[list[Arg]] = [["HMGET", keys.key(kind), *names] for kind in _ROW_HASHES]
    sets: list[list[Arg]] = [["ZMSCORE", keys.key(kind), *names] for kind in ("due", "blocked")]
    return [*hashes, *sets]


def rows_of(names: Sequence[str], replies: Sequence[Any]) -> list[Row]:
    """Rows of the names that exist."""
    rows = []
    for name, rev, definition, out, jit, last, file, due, blocked in zip(names, *replies, strict=True):
        if rev is None:
            continue
        rows.append(
            Row(
                name=name,
                rev=rev.decode(errors="replace"),
                definition=definition or b"",
                moment=score(due if due is not None else blocked),
                blocked=due is None and blocked is not None,
                out=object_of(out),
                jitter=whole(jit) or 0,
                last=(last or b"").decode(errors="replace"),
                file_hash=None if file is None else file.decode(errors="replace"),
            )
        )
    return rows


def object_of(text: bytes | None) -> dict[str, Any]:
    """A JSON object of ours; empty where another client has put something else."""
    try:
        value = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
