"""Entries in Redis: reading pages of them, and the edits that any client may make."""

import getpass
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from beatd.core.census import state_of
from beatd.core.edit import ANY, PutItem
from beatd.core.json_value import check_json, kind_of
from beatd.core.registration import Applied
from beatd.core.term import Term
from beatd.errors import EntryInvalid, NotFound, Refused
from beatd.store.bounds import SKIP_ROWS
from beatd.store.keys import FORMAT, Keys
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import instant, object_of, score, whole

LOG_ROWS: Final = 100_000
NOBODYS: Final = Applied()
MOST_ITEMS: Final = 500
MOST_WHO: Final = 4096  # bytes, as the scripts accept them
_ROW_HASHES: Final = ("rev", "def", "out", "jit", "last", "file", "hold")
MOST_BYTES: Final = 1_000_000  # of the 1 MB that a call may carry; the rest is names of columns and the audit


@dataclass(frozen=True, slots=True)
class Pause:
    """Who pauses and why, and up to which instant (UTC ms; a slot at that instant fires), None for ever."""

    who: str
    note: str = ""
    until: int | None = None


def put_call(keys: Keys, items: Sequence[PutItem], who: str, term: Term | None = None) -> Call:
    """One put: at most 500 entries and 1 MB, all or nothing, with the names that they replace.

    term: that of the leader, for entries of files; under another one the put is refused.
    """
    args: list[Arg] = [FORMAT, who, LOG_ROWS, SKIP_ROWS, len(items)]
    args += [item.name for item in items]
    args += [item.rev for item in items]
    args += [item.expected for item in items]
    args += [item.definition for item in items]
    args += [item.jitter for item in items]
    args += [item.left for item in items]
    args += ["1" if item.enabled else "0" for item in items]
    args += [item.file_hash for item in items]
    replacing = [(number, item) for number, item in enumerate(items, 1) if item.replaces]
    if replacing or term is not None:
        args += [len(replacing), *[item.replaces for _, item in replacing]]
        args += [item.replaces_rev for _, item in replacing]
        args += [number for number, _ in replacing]
    return call("put", keys, [*args, *_fence(term)])


def remove_call(
    keys: Keys, names: Sequence[str], who: str, expected: Sequence[str] | None = None, term: Term | None = None
) -> Call:
    """One removal: at most 500 entries, all or nothing. term: as in put_call."""
    args: list[Arg] = [FORMAT, who, LOG_ROWS, len(names), *names, *(expected or [ANY] * len(names))]
    return call("remove", keys, [*args, *_fence(term)])


def _fence(term: Term | None) -> Sequence[Arg]:
    return () if term is None else (term.epoch, term.owner)


def applied_call(keys: Keys, term: Term, step: str, mark: str = "", applied: Applied = NOBODYS) -> Call:
    """One step of writing down whose files are stored: look, begin, done or same (applied.lua)."""
    args: list[Arg] = [term.epoch, term.owner, FORMAT, step, mark, applied.hash, applied.at, applied.by]
    return call("applied", keys, args)


def pause_call(keys: Keys, names: Sequence[str], nonce: str, who: str, pause: Pause) -> Call:
    """One pause: at most 500 entries, all or nothing, under a fresh nonce. Raises EntryInvalid for its texts."""
    check_text("note", pause.note)
    check_text("who", pause.who)
    if (size := len((pause.who + pause.note).encode())) > MOST_WHO:
        told = f"who pauses, and the note, come to {size} bytes; at most {MOST_WHO} are accepted"
        raise EntryInvalid(told, hint="shorten the note")
    until: Arg = "" if pause.until is None else pause.until
    head: list[Arg] = [FORMAT, who, LOG_ROWS, SKIP_ROWS, pause.who, pause.note, until, len(names)]
    return call("pause", keys, [*head, *names, *[nonce] * len(names)])


def resume_call(keys: Keys, names: Sequence[str], nonce: str, who: str, *, catchup: bool) -> Call:
    """The end of a pause: at most 500 entries, all or nothing, under a fresh nonce."""
    head: list[Arg] = [FORMAT, who, LOG_ROWS, SKIP_ROWS, int(catchup), len(names)]
    return call("resume", keys, [*head, *names, *[nonce] * len(names)])


def reset_call(keys: Keys, runs: Mapping[str, int], nonce: str, who: str) -> Call:
    """Runs left anew, name by name: at most 500 entries, all or nothing, under a fresh nonce."""
    head: list[Arg] = [FORMAT, who, LOG_ROWS, SKIP_ROWS, len(runs)]
    return call("reset", keys, [*head, *runs, *[nonce] * len(runs), *runs.values()])


def put_steps(items: Sequence[PutItem]) -> Iterator[list[PutItem]]:
    """Splits a large edit into calls of at most 500 names and 1 MB. A rename's two halves stay in one."""
    step: list[PutItem] = []
    size = names = 0
    for item in items:
        weight = len(item.definition.encode()) + 4 * len(item.name + item.replaces) + 200
        count = 2 if item.replaces else 1
        if step and (names + count > MOST_ITEMS or size + weight > MOST_BYTES):
            yield step
            step, size, names = [], 0, 0
        step.append(item)
        size += weight
        names += count
    if step:
        yield step


def check_put(items: Sequence[PutItem], codes: bytes) -> None:
    """Raises Refused when a put's reply says that nothing was written."""
    names = [*(item.name for item in items), *(item.replaces for item in items if item.replaces)]
    for name, code in zip(names, codes.decode(), strict=True):
        if code == "2":
            raise Refused(
                f"{name!r} is not what this edit was based on: somebody changed it meanwhile",
                hint="look at the entry again (beatd ls) and repeat the edit",
            )
        if code == "5":
            raise Refused(f"{name!r} can't be stored: its name or definition is malformed or too large")


def check_remove(names: Sequence[str], codes: bytes) -> None:
    """Raises Refused or NotFound by a removal's reply."""
    for name, code in zip(names, codes.decode(), strict=True):
        if code == "2":
            raise Refused(f"{name!r} is not what this edit was based on: somebody changed it meanwhile")
    missing = [name for name, code in zip(names, codes.decode(), strict=True) if code == "1"]
    if missing:
        raise _not_found(missing[0])


def check_pause(names: Sequence[str], codes: bytes) -> None:
    """Raises Refused or NotFound when a reply to pause, resume or reset says that nothing was written."""
    for name, code in zip(names, codes.decode(), strict=True):
        if code == "2":
            raise _not_found(name)
        if code == "3":
            raise Refused(f"{name!r} has no max_runs: its runs are not counted")
        if code == "5":
            raise Refused(
                f"{name!r} was left as it is: the instant is past by the clock of Redis, or the call malformed"
            )


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no entry {name!r}", hint="beatd ls shows the names")


def fresh_nonce() -> str:
    """One that was never used before: each edit has its own, however often it is repeated."""
    return uuid.uuid4().hex


def user_name() -> str:
    """The user of this process, by name; by number where nothing knows a name (a container's bare user id)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def check_text(key: str, value: object) -> None:
    """Raises EntryInvalid for what is no text, or one that can't be written as UTF-8."""
    if not isinstance(value, str):
        raise EntryInvalid(f"{key}: found {kind_of(value)}; a text is accepted")
    check_json(key, value)


def audit(client: str, user: str, host: str, note: str = "") -> str:
    """Who makes an edit, as the change log keeps it. Raises EntryInvalid for no text, or more than 4096 bytes."""
    check_text("who", user)
    check_text("note", note)
    text = json.dumps({"client": client, "user": user, "host": host, **({"note": note} if note else {})})
    if len(text) > MOST_WHO:
        told = f"who makes an edit, and the note, come to {len(text)} bytes of JSON; at most {MOST_WHO} are accepted"
        raise EntryInvalid(told, hint="shorten the note")
    return text


def saying(who: str, **more: Any) -> str:
    """The same with more to say, unless that would be too much."""
    text = json.dumps({**object_of(who.encode()), **more})
    return text if len(text) <= MOST_WHO else who


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
    hold: dict[str, Any]

    def state_at(self, now: int) -> str:
        """Exactly one of the states at an instant of Redis (UTC ms), the most telling first (CONTRACT)."""
        return state_of(self.out, held=self.held_at(now), blocked=self.blocked)

    def why_invalid(self) -> str | None:
        """Why it is invalid, as the leader that found it said."""
        found = self.out.get("invalid")
        return str(found["why"]) if isinstance(found, dict) and "why" in found else None

    def held_at(self, now: int) -> bool:
        """Whether a pause with an end runs at an instant."""
        until = instant(self.hold.get("until"))
        return until is not None and now < until

    def since(self, now: int) -> int | None:
        """Since when it has been in its state, UTC ms; None where that is not known. A blocked one: when it was due."""
        state = self.state_at(now)
        if state == "blocked":
            return None if self.moment is None else abs(self.moment)
        found = self.out.get(state)
        return instant(found.get("at")) if isinstance(found, dict) else None

    def pause_at(self, now: int) -> dict[str, Any] | None:
        """Who paused it and why, since when (`at`) or until when (`until`), in UTC ms; None where it is not paused."""
        if "paused" in self.out:
            found = self.out["paused"]
            known = found if isinstance(found, dict) else {}
            times = {"at": instant(known.get("at"))}
        elif self.held_at(now):
            known, times = self.hold, {"until": instant(self.hold.get("until"))}
        else:
            return None
        return {"who": str(known.get("who") or ""), "note": str(known.get("note") or ""), **times}


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
    for name, rev, definition, out, jit, last, file, hold, due, blocked in zip(names, *replies, strict=True):
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
                hold=object_of(hold),
            )
        )
    return rows
