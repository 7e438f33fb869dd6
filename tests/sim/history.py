"""What happened in one history of the dataset, and how its stored values are read."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from beatd.core.entry import Entry, entry_from_definition
from beatd.errors import EntryInvalid
from tests.sim.sent import Sent

SHARED: Final = ("shared-0", "shared-1")  # entries that several people edit at once
MOST_WALKED: Final = 3_000  # slots of one span that are looked at one by one
Fail = Callable[[str], None]
Skipped = tuple[str, int, int, int]  # reason, count, first, last
State = Mapping[str, Mapping[bytes, Any]]  # kind -> name -> what is stored


@dataclass(frozen=True, slots=True)
class Life:
    """A stretch of time in which an entry's slots, in (since, until], were those of one definition."""

    entry: Entry
    since: int
    until: int | None = None


@dataclass(slots=True)
class History:
    """What happened in one history of the dataset."""

    fired: dict[tuple[str, int], int] = field(default_factory=dict)  # (entry, slot) -> TIME
    lives: dict[str, list[Life]] = field(default_factory=dict)
    tainted: set[str] = field(default_factory=set)  # entries that somebody changed past the scripts
    moved_from: dict[str, int] = field(default_factory=dict)  # entry -> the slot that its last move began at
    wiped: dict[str, int | None] = field(default_factory=dict)  # file entries -> settled up to, when all was lost
    paused: dict[str, int | None] = field(default_factory=dict)  # until when, None for ever
    swallowed: dict[str, int] = field(default_factory=dict)  # up to which instant a pause took what there was
    left_paused: dict[str, int | None] = field(default_factory=dict)  # of files: as `paused`, when it was removed
    last_edit: dict[str, str] = field(default_factory=dict)
    applied: tuple[str, int] = ("", 0)  # the files that were stored last in full, and when they were registered
    begun: tuple[bytes, bytes] | None = None  # whose difference was the first since then
    requests: dict[str, Any] = field(default_factory=dict)  # id -> requests.Asked
    revisions: dict[str, set[bytes]] = field(default_factory=dict)  # of entries that several people edit at once
    foreign_requests: bool = False  # somebody changed what is stored of them past the scripts
    sent: Sent = field(default_factory=Sent)

    def copy(self) -> "History":
        lives = {name: list(of_name) for name, of_name in self.lives.items()}
        return History(
            fired=dict(self.fired),
            lives=lives,
            tainted=set(self.tainted),
            moved_from=dict(self.moved_from),
            wiped=dict(self.wiped),
            paused=dict(self.paused),
            swallowed=dict(self.swallowed),
            left_paused=dict(self.left_paused),
            last_edit=dict(self.last_edit),
            applied=self.applied,
            begun=self.begun,
            requests=dict(self.requests),
            revisions={name: set(of_name) for name, of_name in self.revisions.items()},
            foreign_requests=self.foreign_requests,
            sent=self.sent.copy(),
        )

    def end_life(self, name: str, until: int) -> None:
        """What an entry owes after an instant is not this definition's business any more."""
        lives = self.lives.get(name)
        if lives and lives[-1].until is None:
            lives[-1] = replace(lives[-1], until=until)

    def begin_life(self, name: str, entry: Entry, since: int) -> None:
        """From an instant on an entry's slots are those of this definition."""
        self.end_life(name, since)
        self.lives.setdefault(name, []).append(Life(entry, since))

    def start_again(self, name: str, since: int) -> None:
        """The present life began earlier than was thought."""
        lives = self.lives.get(name)
        if lives:
            lives[-1] = replace(lives[-1], since=min(lives[-1].since, since))

    def removed(self, name: str, time: int, *, from_file: bool) -> None:
        """A removed entry of a file leaves its pause to the next one of its name; any other takes it along."""
        if name in self.paused:
            until = self.paused.pop(name)
            if from_file and (until is None or until > time):
                self.left_paused[name] = until
        self.swallowed.pop(name, None)

    def renamed(self, old: str, new: str, time: int) -> None:
        """A new entry goes on under the pause of the one whose place it takes, and nobody else does."""
        self.left_paused.pop(new, None)
        if old in self.paused:
            until = self.paused.pop(old)
            if until is None or until > time:
                self.paused[new] = until

    def created(self, name: str, time: int, *, from_file: bool) -> None:
        """A new entry of a file takes over the pause that was left."""
        if name in self.left_paused:
            until = self.left_paused.pop(name)
            if from_file and (until is None or until > time):
                self.paused[name] = until

    def held(self, name: str) -> int:
        """The instant up to which no slot may be planned or fired, by the edits that were acknowledged."""
        return max((self.paused.get(name) or 0) - 1, self.swallowed.get(name, 0))


@dataclass(slots=True)
class Book:
    """What all checks share. ``fail`` hears of what must not be."""

    fail: Fail
    history: History = field(default_factory=History)
    fires: int = 0
    served: int = 0  # messages of requests
    arrived: int = 0  # messages at the broker
    taken_back: int = 0  # intents that an edit withdrew
    codes: dict[str, int] = field(default_factory=dict)
    clock_went_back: bool = False
    furthest: dict[str, int] = field(default_factory=dict)  # entry -> the last slot it was ever moved to
    met: Counter[str] = field(default_factory=Counter)  # what came between a leader's read and its plan
    steady: Callable[[], bool] = lambda: True  # the server's clock was not set back a moment ago


@lru_cache(20_000)
def compiled(name: str, definition: bytes | None) -> Entry | None:
    """The entry of a definition, None where it can't be read."""
    try:
        return None if definition is None else entry_from_definition(name, definition)
    except EntryInvalid:
        return None


def version_of(entry: Entry) -> object:
    """What tells one edit from the next: the first argument of the task."""
    return entry.args[0] if entry.args else None


def is_slot(entry: Entry, slot: int) -> bool:
    return entry.schedule.next_ms(slot - 1) == slot


def walk(entry: Entry, after: int, until: int) -> list[int]:
    """The slots in (after, until], by asking for one after another; at most so many."""
    found: list[int] = []
    slot = entry.schedule.next_ms(after)
    while slot is not None and slot <= until and len(found) < MOST_WALKED:
        found.append(slot)
        slot = entry.schedule.next_ms(slot)
    return found


def skips_of(packed: bytes) -> list[Skipped]:
    parts = [part.split(":") for part in packed.decode().split(";") if part]
    return [(reason, int(count), int(first), int(last)) for reason, count, first, last in parts]


def last_fire(value: bytes | None) -> int:
    head = (value or b"").split(b"|")[0]
    return int(head) if head.isdigit() else 0


def whole(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() and len(value) <= 15 else 0


def object_of(text: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(text or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def settled(score: float | None, jitter: int) -> int | None:
    """The instant up to which an entry with this score is settled; None without one that a script of ours writes."""
    if score is None or not math.isfinite(score):
        return None
    return int(-score) if score < 0 else int(score) - jitter - 1


def instant(value: object) -> int:
    """An instant in a JSON object; 0 where there is none."""
    return int(value) if isinstance(value, str | int) and str(value).isdigit() else 0


def counts_of(definition: bytes | None) -> dict[str, int]:
    """What the writers have counted, by a definition."""
    try:
        spec = json.loads(definition or b"{}")
    except ValueError:
        return {}
    found = spec.get("kwargs", {})
    return {name: number for name, number in found.items() if isinstance(number, int)}
