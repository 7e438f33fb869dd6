"""What must be true of every script call, and of all fires and skips together at the end.

The ledger belongs to one history of the dataset: it is copied with a snapshot and goes back with it.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from beatd.store.keys import Keys
from beatd.store.scripts import load_script
from tests.sim.broker import Broker
from tests.sim.change_log import disagreement
from tests.sim.edits import Edits
from tests.sim.history import SHARED, Book, Fail, History, counts_of, settled, skips_of, walk, whole
from tests.sim.intents import Intents, new_messages
from tests.sim.lua import shared_lua
from tests.sim.moves import Fires, Plans
from tests.sim.redis import Data, Hash, Server, Stream, Words, ZSet, copied
from tests.sim.replies import Failure, Reply
from tests.sim.requests import Requests

KINDS: Final = (
    "due",
    "rev",
    "out",
    "blocked",
    "lease",
    "jit",
    "last",
    "left",
    "def",
    "hold",
    "file",
    "meta",
    "req",
    "asked",
    "gone",
    "ob",
    "obm",
)
SCRIPTS: Final = (
    *("acquire", "renew", "release", "put", "remove", "pause", "resume", "reset"),
    *("plan", "fire", "applied", "repair", "trim", "request", "serve", "tidy"),
    *("settle", "done"),
)


@dataclass(slots=True)
class Before:
    """The state before a script."""

    script: str
    state: Mapping[str, Mapping[bytes, Any]]
    whole: Data | None


class Ledger:
    """Looks at every script call. ``fail`` hears of what must not be."""

    def __init__(self, server: Server, keys: Keys, source: random.Random, fail: Fail, sample: float = 0.05) -> None:
        self.book = Book(fail)
        self._fires, self._plans = Fires(self.book), Plans(self.book)
        self._requests = Requests(self.book, keys.namespace, self._rows)
        self.intents: Intents | None = None
        self._edits = Edits(self.book, self._requests)
        self._server = server
        self._keys = keys
        self._random = source
        self._sample = sample
        self._texts: dict[bytes, str] = {}
        self._busy = False
        self.noted: Callable[[str, Words, Reply], None] = lambda script, args, reply: None

    @property
    def history(self) -> History:
        """What happened in the present history of the dataset."""
        return self.book.history

    @history.setter
    def history(self, history: History) -> None:
        self.book.history = history

    @property
    def fires(self) -> int:
        """How many messages were pushed."""
        return self.book.fires

    @property
    def codes(self) -> dict[str, int]:
        """How often fire answered each code."""
        return self.book.codes

    @property
    def met(self) -> Counter[str]:
        """What came between a leader's read and its plan, and how often."""
        return self.book.met

    def load_scripts(self) -> None:
        """Learns the scripts' texts, as they are now."""
        for name in SCRIPTS:
            script = load_script(name)
            self._texts[script.plain.encode()] = self._texts[script.flagged.encode()] = name

    def watch(self, broker: Broker, trust: float) -> None:
        """Looks at what goes to a broker, too."""
        self.intents = Intents(self.book, broker, lambda: self._get("ob"), self._rows, trust)

    def before(self, text: bytes) -> Before | None:
        if self._busy:
            return None
        sampled = self._random.random() < self._sample
        return Before(self._texts[text], self.state(), copied(self._server.data) if sampled else None)

    def after(self, seen: Before | None, text: bytes, keys: Words, args: Words, reply: Reply) -> None:
        if seen is None:
            return
        self.noted(seen.script, args, reply)
        pushed, self._server.pushed = self._server.pushed, []
        now = self.state()
        if isinstance(reply, Failure):
            self._refused(seen, now, reply)
        else:
            self._accepted(seen, now, args, reply, pushed)
            if self.intents is not None:
                self.intents.changed(seen.script, seen.state, now, args)
        self._fenced(seen, args, reply)
        self._one_place(now)
        self._no_update_lost(seen, now)
        if seen.whole is not None:
            self._again(seen, text, keys, args, reply)

    def state(self) -> dict[str, Mapping[bytes, Any]]:
        """Copies of what is small and decisive, by kind."""
        return {kind: dict(self._get(kind)) for kind in KINDS}

    def _get(self, kind: str) -> Mapping[bytes, Any]:
        value = self._server.data.get(self._keys.key(kind).encode())
        return value if isinstance(value, Hash | ZSet) else {}

    def now_ms(self) -> int:
        """TIME."""
        return self._server.now_us() // 1000

    def settled_of_files(self) -> dict[str, int | None]:
        """File entry -> the instant up to which it is settled; None where it has no more runs."""
        state, found = self.state(), dict(self.history.wiped)  # not gone on with yet since it was lost before
        for raw in state["rev"]:
            name, score = raw.decode(errors="replace"), state["due"].get(raw, state["blocked"].get(raw))
            if name.startswith("file-") and name not in found:
                found[name] = settled(score, whole(state["jit"].get(raw)))
        return found

    # Every script

    def _accepted(
        self, seen: Before, now: Mapping[str, Mapping[bytes, Any]], args: Words, reply: Reply, pushed: Any
    ) -> None:
        script, state, time = seen.script, seen.state, self.now_ms()
        if script in ("fire", "settle"):
            self._fires.fire(state, now, args, reply, [*pushed, *new_messages(state, now)])
            self._take(pushed)
        elif script in ("serve", "request", "tidy"):
            if not self.history.foreign_requests:
                kept = [*pushed, *new_messages(state, now)]
                getattr(self._requests, script)(state, now, args, reply, kept if script == "serve" else time)
            self._take(pushed)
        elif script == "plan":
            self._plans.plan(state, now, args, reply)
        elif script == "applied":
            self._applied(args, accepted=bool(reply[0]))
        elif script == "repair":
            self._plans.repair(args, reply)
        elif script in ("put", "remove", "pause", "resume", "reset"):
            self._edits.ended.clear()
            getattr(self._edits, script)(state, now, args, reply, time)
            if not self.history.foreign_requests:
                self._requests.kept(script, state, now, self._edits.ended)
            if seen.whole is not None:
                self._all_written_down()

    def _take(self, pushed: list[tuple[bytes, bytes]]) -> None:
        """A worker has taken them."""
        for queue in {queue for queue, _ in pushed}:
            self._server.data.pop(queue, None)

    def _refused(self, seen: Before, now: Mapping[str, Any], reply: Failure) -> None:
        """I10."""
        if now != seen.state or (seen.whole is not None and seen.whole != self._server.data):
            self.book.fail(f"I10: {seen.script} was refused ({reply.text}) and changed something")
        if reply.text.startswith("ERR"):
            self.book.fail(f"{seen.script} broke: {reply.text}")

    def _fenced(self, seen: Before, args: Words, reply: Reply) -> None:
        """I4."""
        fence = _fence(seen.script, args)
        if fence and not isinstance(reply, Failure):
            lease = seen.state["lease"]
            if (lease.get(b"epoch"), lease.get(b"owner")) != fence:
                self.book.fail(f"I4: {seen.script} of {fence[0]!r} was accepted under {lease}")

    def _applied(self, args: Words, *, accepted: bool) -> None:
        """Files give way only to such as were registered later; unless they had been stored in part, by another one."""
        history, fence, step = self.history, (args[0], args[1]), args[3]
        files, at = args[5].decode(), int(args[6])
        before, before_at = history.applied
        if step == b"begin":
            history.begun = history.begun or fence
        if step in (b"look", b"begin") or not accepted:
            return
        clean = (
            before and history.begun in (None, fence) and before_at <= self.now_ms() and not self.book.clock_went_back
        )
        if clean and files != before and at <= before_at:
            self.book.fail(f"files {files} of {at} replaced {before} of {before_at}")
        history.applied, history.begun = (files, at), None

    def _no_update_lost(self, seen: Before, now: Mapping[str, Mapping[bytes, Any]]) -> None:
        """Of entries that several people edit: no count goes back, no run is forgotten, no revision returns."""
        for name in SHARED:
            raw = name.encode()
            before, after = seen.state["rev"].get(raw), now["rev"].get(raw)
            if after is None or after == before:
                continue
            known = self.history.revisions.setdefault(name, set())
            if after in known:
                self.book.fail(f"the revision {after!r} of {name} returned with {seen.script}")
            known.add(after)
            old, new = (counts_of(state["def"].get(raw)) for state in (seen.state, now))
            lost = {who: count for who, count in old.items() if new.get(who, 0) < count}
            if before is not None and lost:
                self.book.fail(f"{seen.script} of {name} lost an update: {old} became {new}")

    def _one_place(self, now: Mapping[str, Mapping[bytes, Any]]) -> None:
        """I11."""
        for name in now["rev"]:
            places = [kind for kind in ("due", "out", "blocked") if name in now[kind]]
            if len(places) != 1 and name.decode(errors="replace") not in self.history.tainted:
                self.book.fail(f"I11: {name!r} is in {places or 'none'} of due, out, blocked")

    def _again(self, seen: Before, text: bytes, keys: Words, args: Words, reply: Reply) -> None:
        """I9: the same call at once again changes nothing but until, rn, seq."""
        once = copied(self._server.data)
        published, pushed = list(self._server.published), list(self._server.pushed)
        self._busy = True
        second = shared_lua().run(text, keys, args, self._server.execute)
        self._busy = False
        twice, self._server.data = self._server.data, once
        self._server.published, self._server.pushed = published, pushed
        if self._comparable(twice) != self._comparable(once):
            changed = [key for key in {**twice, **once} if twice.get(key) != once.get(key)]
            self.book.fail(f"I9: {seen.script} twice is not once: {changed}, {reply!r} then {second!r}")

    def _comparable(self, data: Data) -> Data:
        key = self._keys.key("lease").encode()
        lease = data.get(key)
        if not isinstance(lease, Hash):
            return data
        return {**data, key: Hash({k: v for k, v in lease.items() if k not in (b"until", b"rn", b"seq")})}

    def _all_written_down(self) -> None:
        """The change log, replayed, makes the stored state."""
        now = None if self.book.clock_went_back else self.now_ms()
        found = disagreement(self._server.data, self._keys, now, self.history.tainted)
        if found is not None:
            self.book.fail(found)

    # The end

    def nothing_lost(self) -> None:
        """As _no_slot_lost and _all_written_down."""
        self._no_slot_lost()
        if self.intents is not None:
            self.intents.nothing_lost()
        self._all_written_down()

    def _no_slot_lost(self) -> None:
        """Every slot of every life is fired or lies in the range of a row."""
        due, jit = self._get("due"), self._get("jit")
        blocked = self._get("blocked")
        rows = self._rows()
        for name, lives in self.history.lives.items():
            if name in self.history.tainted:
                continue
            for life in lives:
                until = life.until
                if until is None:
                    raw = name.encode()
                    until = settled(due.get(raw, blocked.get(raw)), whole(jit.get(raw)))
                    if until is None:
                        self.book.fail(f"{name} is in no place, and its life has no end")
                        continue
                for slot in walk(life.entry, life.since, until):
                    ranges = rows.get(name, ())
                    if (name, slot) not in self.history.fired and not any(a <= slot <= b for a, b in ranges):
                        self.book.fail(f"lost: slot {slot} of {name} ({life}) has neither fired nor a row")
                        return

    def _rows(self) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        stream = self._server.data.get(self._keys.key("skip").encode())
        for _, fields in stream.rows if isinstance(stream, Stream) else ():
            packed = dict(zip(fields[::2], fields[1::2], strict=True))[b"skips"]
            for part in packed.split(b"\x1e"):
                raw, _, skips = part.partition(b"\x1f")
                found.setdefault(raw.decode(errors="replace"), []).extend((s[2], s[3]) for s in skips_of(skips))
        return found


def _fence(script: str, args: Words) -> tuple[bytes, bytes] | None:
    """Epoch and owner with which a call claims to be the leader's."""
    if script in ("put", "remove"):  # the leader's with entries of files
        size = 6 + 8 * int(args[4]) if script == "put" else 4 + 2 * int(args[3])
        if script == "put" and len(args) >= size:
            size += 3 * int(args[size - 1])
        return (args[-2], args[-1]) if len(args) == size + 2 else None
    if script == "done":
        return (args[1], args[2]) if args[0] == b"U" else None
    return (
        (args[0], args[1])
        if script in ("fire", "plan", "repair", "trim", "renew", "release", "applied", "serve", "tidy", "settle")
        else None
    )
