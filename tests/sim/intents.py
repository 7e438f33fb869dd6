"""What must be true of the outbox: each at least once, in order, and none that was taken back."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import beatd.core.outbox_room
from beatd.core.intent import Draft
from beatd.store.outbox import read_head
from tests.sim.broker import Broker, Written
from tests.sim.history import Book, State
from tests.sim.redis import Words
from tests.sim.sent import Decided, Key, Sent

Heads = Callable[[], Mapping[bytes, bytes]]
Rows = Callable[[], dict[str, list[tuple[int, int]]]]
WITHDRAWING: Final = ("remove", "pause")
LOOKED_UP_S: Final = 2.0  # between what was looked up and the window that is made of it, beside the trust in the lease
KNOWN_MISSING_S: Final = 3.0  # after so long in peace whoever leads has met a queue that is missing


class Intents:
    """Looks at what scripts put into the outbox and take out, at what is written, and at what arrives.

    What has arrived is a fact of the world: it stays when the dataset goes back.
    """

    def __init__(self, book: Book, broker: Broker, heads: Heads, rows: Rows, trust: float) -> None:
        self.rolled_back_at = -10.0
        self.strange = False  # whether a faulty leader is at work
        self.bounded = True  # there is no faulty leader, who knows no bounds
        self.disturbed_at: Callable[[], float] = lambda: 0.0
        self._book = book
        self._broker = broker
        self._heads = heads  # of intents, as they are stored now
        self._rows = rows  # of skips
        self._trust = trust  # the longest that a lease is trusted without a word
        self._arrived: set[Key] = set()
        self._messages: dict[Key, set[bytes]] = {}
        broker.wrote, broker.took = self.wrote, self.took

    @property
    def _sent(self) -> Sent:
        return self._book.history.sent

    # Scripts

    def changed(self, script: str, seen: State, now: State, args: Words) -> None:
        """Any accepted call: what is new, and what has left and may."""
        before, after = read_heads(seen["ob"]), read_heads(now["ob"])
        if set(now["ob"]) != set(now["obm"]):
            self._book.fail(f"{script} left heads {sorted(now['ob'])} and messages {sorted(now['obm'])}")
        for key in after.keys() - before.keys():
            self._decided(script, key, after[key], now["obm"][key[0].encode()])
        left = [key for key in before if key not in after]
        if left:
            self._left(script, {key: before[key] for key in left}, args)
        if len(after) > len(before) and self.bounded:
            self._bounded(script, before, after, now)
        if script in WITHDRAWING:
            self._withdrawn(script, seen, now, before.values(), after.values())

    def _decided(self, script: str, key: Key, draft: Draft, message: bytes) -> None:
        if script not in ("settle", "serve"):
            self._book.fail(f"{script} put {key} into the outbox")
        content = json.loads(message)
        found = (content["name"], content["slot"], content["id"], content["queue"])
        if found != (draft.name, draft.slot, draft.task_id, draft.queue) or draft.broker not in self._brokers():
            self._book.fail(f"the head of {key} says {draft}, and its message {message!r}")
        seq, _, place = key[0].partition("-")
        self._sent.decided[key] = Decided(
            draft.name, draft.slot, draft.at_most_once, (int(seq), int(place)), self.strange
        )
        self._messages.setdefault(key, set()).add(message)

    def _left(self, script: str, left: Mapping[Key, Draft], args: Words) -> None:
        outcome = args[0] if script == "done" else b""
        meant = set(zip(*_pairs(args), strict=True)) if script == "done" else set()
        rows = {} if outcome == b"D" else self._rows()
        for key, draft in left.items():
            if outcome != b"D" and not any(a <= draft.slot <= b for a, b in rows.get(draft.name, ())):
                self._book.fail(f"{key} of {draft.name} left the outbox by {script} without a row")
            if script in WITHDRAWING:
                self._sent.gone[key] = (script, self._broker.loop.time())
                self._book.taken_back += 1
            elif script != "done":
                self._book.fail(f"{key} left the outbox by {script}")
            elif key not in meant and outcome != b"S":
                self._book.fail(f"{key} left the outbox, and {sorted(meant)} were meant")
            elif outcome == b"D":
                self._done(key)

    def _done(self, key: Key) -> None:
        if key not in self._arrived:
            self._book.fail(f"{key} left the outbox as done, and has not arrived")
        if key in self._sent.overtaken:
            name, later = self._sent.decided[key].name, self._sent.overtaken[key]
            self._book.fail(f"{name}: {key} arrived after {later}, which was decided later")

    def _bounded(self, script: str, before: Mapping[Key, Draft], after: Mapping[Key, Draft], now: State) -> None:
        room: Any = beatd.core.outbox_room
        size = sum(map(len, now["obm"].values()))
        if len(after) > room.MOST_INTENTS or size > room.MOST_INTENT_BYTES:
            self._book.fail(f"{script} made the outbox {len(after)} intents, {size} bytes")
        known = self._broker.loop.time() - self.disturbed_at() > KNOWN_MISSING_S
        for queue in sorted(self._broker.missing):
            counts = [sum(draft.queue == queue for draft in heads.values()) for heads in (before, after)]
            if known and counts[1] > max(counts[0], room.MOST_OF_ONE_BAD_QUEUE):
                self._book.fail(f"{queue} is missing and has {counts[1]} intents after {script}")

    def _withdrawn(self, script: str, seen: State, now: State, before: Iterable[Draft], after: Iterable[Draft]) -> None:
        edited = {raw.decode(errors="replace") for raw, rev in seen["rev"].items() if now["rev"].get(raw) != rev}
        kept = [draft.name for draft in after if draft.name in edited]
        if kept:
            self._book.fail(f"P4: messages of {kept} stay in the outbox after {script}")
        others = {draft.name for draft in before} - {draft.name for draft in after} - edited
        if others:
            self._book.fail(f"P4: {script} of {edited} took back what is of {others}")

    # The wire

    def wrote(self, written: Written) -> object:
        """A message leaves a process. Gives the history in which it does."""
        key, sent = written.key, self._sent
        if written.behind >= 0:
            self._book.fail(f"I4: {key} was written {written.behind:.3f} s after the trust in the lease was over")
        if written.message not in self._messages.get(key, ()):
            self._book.fail(f"{written.message!r} was written for {key}, decided was {self._messages.get(key)}")
        decided = sent.decided.get(key)
        if key in sent.gone and decided is not None:
            script, when = sent.gone[key]
            late = self._broker.loop.time() - when
            mark = (written.process, decided.name, when)
            sent.written_late[mark] += 1
            if late > LOOKED_UP_S + self._trust or sent.written_late[mark] > 1:
                self._book.fail(f"P4: {key} of {decided.name} was written {late:.2f} s after {script}")
        head = read_head(self._heads().get(written.intent.encode()))
        steady = self._broker.loop.time() - self.rolled_back_at > LOOKED_UP_S
        stands = head is not None and head.draft.task_id == key[1]
        if head is not None and stands and head.draft.at_most_once:
            sent.written[key] += head.draft.sent  # else the dataset went back to before it was marked
            if sent.written[key] > 1:
                self._book.fail(f"{key} is to be sent at most once, and was written {sent.written[key]} times")
            if steady and not head.draft.sent:
                self._book.fail(f"{key} is to be sent at most once, and was written without a mark")
        return self._book.history

    def took(self, written: Written, history: object) -> None:
        """A message has arrived."""
        key, sent = written.key, self._sent
        self._book.arrived += 1
        first = key not in self._arrived
        self._arrived.add(key)
        if history is not self._book.history or key not in sent.decided:
            return  # of a history that is no more
        mine = sent.decided[key]
        sent.arrived.add(key)
        if first:
            later = [
                other for other, theirs in sent.decided.items() if theirs.is_behind(mine) and other in sent.arrived
            ]
            if later:
                sent.overtaken[key] = later[0]

    def _brokers(self) -> set[str]:
        return {transport.fingerprint for transport in self._broker.transports}

    # The end

    def waiting(self) -> Sequence[Key]:
        """What lies in the outbox for this broker."""
        return [key for key, draft in read_heads(self._heads()).items() if draft.broker == self._broker.fingerprint]

    def nothing_lost(self) -> None:
        """Each has arrived, has left a row, or lies in the outbox."""
        stored, rows = read_heads(self._heads()), self._rows()
        for key, decided in self._sent.decided.items():
            if key in self._arrived or key in stored or decided.name in self._book.history.tainted:
                continue
            if not any(a <= decided.slot <= b for a, b in rows.get(decided.name, ())):
                self._book.fail(f"lost: {key} of {decided} has neither arrived nor a row")


def new_messages(seen: State, now: State) -> list[tuple[bytes, bytes]]:
    """Messages that a script has put into the outbox, as if it had pushed them."""
    before, after = seen["obm"], now["obm"]
    return [(b"", message) for key, message in after.items() if before.get(key) != message]


def read_heads(heads: Mapping[bytes, bytes]) -> dict[Key, Draft]:
    """What can be read of T:ob."""
    found = {}
    for raw, head in heads.items():
        read = read_head(head)
        if read is not None:
            found[raw.decode(), read.draft.task_id] = read.draft
    return found


def _pairs(args: Words) -> tuple[list[str], list[str]]:
    """Ids and task ids of a call of done."""
    n = int(args[6])
    return [w.decode() for w in args[7 : 7 + n]], [w.decode(errors="replace") for w in args[7 + n : 7 + 2 * n]]
