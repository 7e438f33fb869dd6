"""What must be true of requests: asked for, served part by part, withdrawn, forgotten."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from beatd.core.fire import TaskIds
from beatd.core.instant import read_moment
from beatd.core.zone import zone_named
from tests.sim.history import Book, State, compiled, instant, is_slot, object_of, settled, version_of, walk, whole
from tests.sim.redis import Words

UNTOUCHED: Final = ("due", "out", "blocked", "hold", "last", "left", "jit", "rev", "def", "gone", "file")
KEPT_MS: Final = 3_600_000
READ_MS: Final = 10_000  # nothing older is acted on: all waiting ends sooner
UTC: Final = zone_named("UTC")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it must be stored. slots: those pushed so far, in order. args: in place of the entry's."""

    name: str
    kind: str
    state: str
    at: int
    cursor: int
    first: int = 0
    last: int = 0
    args: tuple[Any, ...] | None = None
    slots: tuple[int, ...] = ()

    @property
    def head(self) -> tuple[str, int, int]:
        """What stands first in its value."""
        return self.state, self.cursor, len(self.slots)


class Requests:
    """Looks at accepted calls of request, serve and tidy, and at what edits do to requests."""

    def __init__(self, book: Book, namespace: str, rows: Callable[[], dict[str, list[tuple[int, int]]]]) -> None:
        self._book = book
        self._rows = rows  # of skips
        self._ids = TaskIds(namespace)

    @property
    def _asked(self) -> dict[str, Any]:
        return self._book.history.requests

    def request(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of request."""
        codes, n = reply[0].decode(), int(args[3])
        ids, names, cursors, befores, texts = (args[4 + i * n : 4 + (i + 1) * n] for i in range(5))
        refused = any(code in "235" for code in codes)
        for raw_id, raw, cursor, was, text, code in zip(ids, names, cursors, befores, texts, codes, strict=True):
            if refused or code == "1":
                if seen["req"].get(raw_id) != now["req"].get(raw_id) or seen["asked"].get(raw) != now["asked"].get(raw):
                    self._book.fail(f"request {raw_id!r} was refused ({codes}) and changed something")
                continue
            before = self._asked.get(raw_id.decode())
            spec = json.loads(text)
            found = Asked(raw.decode(), spec["kind"], "open", time, int(cursor))
            if "args" in spec:
                found = replace(found, args=tuple(spec["args"]))
            if found.kind == "backfill":
                found = replace(found, first=_ms(spec["from"]), last=_ms(spec["to"]))
            if before is not None:  # it goes on from where it stood
                if was != seen["req"].get(raw_id) or before.state not in ("withdrawn", "refused"):
                    self._book.fail(f"{raw_id!r} goes on from {was!r}, and it was {before}")
                found = replace(found, cursor=before.cursor, slots=before.slots)
            self._asked[raw_id.decode()] = found
            self._stored(raw_id.decode(), now)
        self._untouched("request", seen, now)

    def serve(self, seen: State, now: State, args: Words, reply: Any, pushed: list[tuple[bytes, bytes]]) -> None:
        """One call of serve."""
        code, time = int(reply[0]), int(reply[1])
        raw_id, raw, rev = args[4:7]
        self._untouched("serve", seen, now)
        if code != 0:
            if pushed or seen["req"] != now["req"] or seen["asked"] != now["asked"]:
                self._book.fail(f"serve of {raw_id!r} answered {code} and pushed {pushed}, or moved it")
            return
        if sorted(message for _, message in pushed) != sorted(messages_of(args)):
            self._book.fail(f"serve of {raw_id!r} pushed {pushed} for {messages_of(args)}")
        request = self._asked.get(raw_id.decode())
        if request is None or request.state != "open" or request.name != raw.decode():
            self._book.fail(f"P4: {raw_id!r} was served for {raw!r}, and it is {request}")
            return
        if seen["rev"].get(raw, b"") != rev:
            self._book.fail(f"P4: {raw_id!r} was served under {rev!r}, {raw!r} is at {seen['rev'].get(raw)!r}")
        self._served(raw_id.decode(), request, seen, args, time)
        self._stored(raw_id.decode(), now)

    def tidy(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of tidy: nothing that is open, or ended a short while ago, goes."""
        self._untouched("tidy", seen, now)
        n = int(args[3])
        for raw_id, code in zip(args[4 : 4 + n], reply[0].decode(), strict=True):
            request = self._asked.get(raw_id.decode())
            if code != "0" or request is None or raw_id in now["req"]:
                continue
            if request.state == "open" or time - request.at <= KEPT_MS:
                self._book.fail(f"{raw_id!r} was forgotten at {time}, and it is {request}")
            del self._asked[raw_id.decode()]

    def withdrawn(self, name: str, now: State, time: int) -> None:
        """A pause or a removal of an entry was accepted: its open requests have ended."""
        if self._book.history.foreign_requests:
            return
        for request_id, request in list(self._asked.items()):
            if request.name == name and request.state == "open":
                self._asked[request_id] = replace(request, state="withdrawn", at=time)
                self._stored(request_id, now)
        if name.encode() in now["asked"]:
            self._book.fail(f"{name} has open requests after a pause or a removal: {now['asked'][name.encode()]!r}")

    def kept(self, script: str, seen: State, now: State, ended: set[str]) -> None:
        """An edit leaves all other requests alone."""
        for request_id, request in self._asked.items():
            raw = request_id.encode()
            if request.name not in ended and seen["req"].get(raw) != now["req"].get(raw):
                self._book.fail(f"{script} changed {raw!r} from {seen['req'].get(raw)!r} to {now['req'].get(raw)!r}")

    def _served(self, request_id: str, request: Asked, seen: State, args: Words, time: int) -> None:
        cursor, outcome = int(args[8]), args[9].decode()
        slots = tuple(int(slot) for slot in args[13].split(b",") if slot)
        if int(args[7]) != request.cursor:
            self._book.fail(f"{request_id} was served from {args[7]!r}, and it stands at {request.cursor}")
        entry = compiled(request.name, seen["def"].get(request.name.encode()))
        if slots and entry is None and request.name not in self._book.history.tainted:
            self._book.fail(f"{request_id} was served with a definition that can't be read")
        if set(slots) & set(request.slots):
            self._book.fail(f"{request_id} pushed {slots} after {request.slots}")
        for slot, message in zip(slots, messages_of(args), strict=True):
            content = json.loads(message)
            version = request.args[0] if request.args else version_of(entry) if entry else None
            task_id = request_id if request.kind == "trigger" else self._ids.of(request.name, slot)
            wanted = (request.name, version, slot, task_id, request.kind)
            found = tuple(content[key] for key in ("name", "version", "slot", "id", "cause"))
            if found != wanted:
                self._book.fail(f"P4: {request_id} pushed {found}, and is {wanted}")
        if request.kind == "trigger":
            if slots != ((request.at,) if outcome == "done" else ()):
                self._book.fail(f"{request_id} was asked for at {request.at} and pushed {slots} ({outcome})")
        elif entry is not None and outcome != "refused":
            self._walked(request_id, request, entry, seen, slots, cursor, outcome, time)
        self._book.served += len(slots)
        at = request.at if outcome == "open" else time
        self._asked[request_id] = replace(
            request, state=outcome, cursor=cursor, slots=(*request.slots, *slots), at=at
        )  # fmt: skip

    def _walked(
        self, request_id: str, request: Asked, entry: Any, seen: State, slots: tuple[int, ...], cursor: int,
        outcome: str, time: int,
    ) -> None:  # fmt: skip
        """No slot of its range is left out, none is pushed that the timetable owes, or that is to come."""
        free = settled_by(request.name, seen, time)
        for slot in slots:
            if not is_slot(entry, slot) or not request.first <= slot <= request.last:
                self._book.fail(f"I5: {slot} is no slot of {request_id} ({request})")
            if slot > free and request.name not in self._book.history.tainted:
                self._book.fail(f"{request_id} pushed {slot}, and the timetable owes what comes after {free}")
        if list(slots) != walk(entry, request.cursor, min(cursor, request.last)):
            self._book.fail(f"{request_id} went from {request.cursor} to {cursor} and pushed {slots}")
        left = walk(entry, cursor, request.last)[:1] if outcome == "done" else []
        # Where the timetable owes nothing (as after a step of the clock back) it ends at TIME, as the leader read it.
        at_its_time = free == time and cursor > time - READ_MS
        if left and left[0] <= free and not at_its_time and not self._moved_past(request.name, left[0]):
            self._book.fail(f"{request_id} ended before its slot {left[0]}; settled is up to {free}")

    def _moved_past(self, name: str, slot: int) -> bool:
        """Whether the timetable settled a slot since the leader looked: it was owed then."""
        ranges = self._rows().get(name, ())
        return (name, slot) in self._book.history.fired or any(a <= slot <= b for a, b in ranges)

    def _stored(self, request_id: str, now: State) -> None:
        """What is stored of a request is what happened, and it is named as open exactly while it is."""
        request, value = self._asked[request_id], now["req"].get(request_id.encode())
        state, cursor, pushed, *_ = (value or b"|0|0|").split(b"|")
        if (state.decode(), int(cursor), int(pushed)) != request.head:
            self._book.fail(f"{request_id} is stored as {value!r}, and it is {request}")
        named = request_id.encode() in now["asked"].get(request.name.encode(), b"").split(b"\x1f")
        if named != (request.state == "open"):
            self._book.fail(f"{request_id} is {request.state}; named as open: {named}")

    def _untouched(self, script: str, seen: State, now: State) -> None:
        changed = [kind for kind in UNTOUCHED if seen[kind] != now[kind]]
        if changed:
            self._book.fail(f"{script} changed {changed}")


def messages_of(args: Words) -> Words:
    """A message for each slot; heads may follow."""
    return args[14 : 14 + len([slot for slot in args[13].split(b",") if slot])]


def settled_by(name: str, state: State, time: int) -> int:
    """Up to which instant nobody but a backfill fires an entry's slots, by what is stored."""
    raw = name.encode()
    score = state["due"].get(raw, state["blocked"].get(raw))
    if score is None:
        owed = object_of(state["out"].get(raw)).get("owed")
        score = -time if owed is None else float(owed)
    to = settled(score, whole(state["jit"].get(raw)))
    hold: Mapping[str, Any] = object_of(state["hold"].get(raw))
    if "since" in hold and instant(hold.get("until")) > time:
        to = min(to or 0, instant(hold["since"]))
    return min(to or 0, time)


def _ms(text: str) -> int:
    return read_moment("instant", text, UTC).ms
