"""What must be true of the outbox: at least once with the same id, none lost, none sent that was taken back."""

from dataclasses import dataclass
from typing import Any, Final

from beatd.store.outbox import read_head
from tests.sim.broker import Arrival, Broker
from tests.sim.history import Book, State
from tests.sim.redis import Words

Key = tuple[str, str]  # id and task id


@dataclass(frozen=True, slots=True)
class Decided:
    """One fire that was decided for the broker."""

    name: str
    slot: int
    once: bool
    at: int


class Intents:
    """Looks at calls of settle, serve, done, remove and pause, and at what arrives."""

    TOOK_BACK_S: Final = 1.5  # of what was taken back, the window on its way may still arrive

    def __init__(self, book: Book) -> None:
        self._book = book
        self._arrived: set[Key] = set()
        self._taken_back: dict[Key, float] = {}
        self.trust_s = 3.0

    def new(self, seen: State, now: State) -> list[tuple[bytes, bytes]]:
        """Messages that a script has put into the outbox, as pushed."""
        before, after = seen["obm"], now["obm"]
        return [(b"", message) for key, message in after.items() if before.get(key) != message]

    def changed(self, script: str, seen: State, now: State, args: Words, time: int, seconds: float) -> None:
        """Any accepted call: what is new, and what has left and may."""
        before, after = _read(seen), _read(now)
        for key, draft in after.items():
            if key not in before:
                if script not in ("settle", "serve"):
                    self._book.fail(f"{script} put {key} into the outbox")
                self._book.history.decided[key] = Decided(draft.name, draft.slot, draft.at_most_once, time)
        for key, draft in before.items():
            if key not in after:
                self._left(script, key, draft, args, seconds)
        if script in ("remove", "pause"):
            edited = {raw.decode(errors="replace") for raw, rev in seen["rev"].items() if now["rev"].get(raw) != rev}
            wrong = [key for key, draft in before.items() if (key in after) == (draft.name in edited)]
            if wrong:
                self._book.fail(f"P4: {script} of {edited} took back what is of others, or left its own: {wrong}")
        if set(now["ob"]) != set(now["obm"]):
            self._book.fail(f"{script} left heads {sorted(now['ob'])} and messages {sorted(now['obm'])}")

    def _left(self, script: str, key: Key, draft: Any, args: Words, seconds: float) -> None:
        if script in ("remove", "pause"):
            self._taken_back[key] = seconds
            self._book.taken_back += 1
        elif script != "done":
            self._book.fail(f"I12: {key} left the outbox by {script}")
        elif args[0] == b"D" and not draft.at_most_once and key not in self._arrived:
            self._book.fail(f"I12: {key} left the outbox as done, and has not arrived")

    def arrived(self, arrival: Arrival, seconds: float) -> None:
        """A message is with the broker."""
        key = (arrival.intent, arrival.task_id)
        self._arrived.add(key)
        back = self._taken_back.get(key)
        if back is not None and seconds - back > self.trust_s + self.TOOK_BACK_S:
            self._book.fail(f"P4: {key} of {arrival.name} arrived {seconds - back:.2f} s after it was taken back")
        self._book.arrived += 1

    def nothing_lost(
        self, state: State, rows: dict[str, list[tuple[int, int]]], broker: Broker, now: int, young_ms: int
    ) -> None:
        """At the end: each has arrived, has a row, or is decided so late that it may be on its way."""
        stored = _read(state)
        for key, decided in self._book.history.decided.items():
            if key in self._arrived or decided.once or decided.name in self._book.history.tainted:
                continue
            if key in stored:
                if now - decided.at > young_ms and not broker.missing and not broker.down:
                    self._book.fail(f"{key} of {decided} lies in the outbox for {now - decided.at} ms")
            elif not any(a <= decided.slot <= b for a, b in rows.get(decided.name, ())):
                self._book.fail(f"lost: {key} of {decided} has neither arrived nor a row")


def _read(state: State) -> dict[Key, Any]:
    found = {}
    for raw, head in state["ob"].items():
        read = read_head(head)
        if read is not None:
            found[raw.decode(), read.draft.task_id] = read.draft
    return found
