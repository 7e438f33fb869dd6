"""One stretch of leadership over one connection: the window, the planner that fills it and the ticker that empties it.

A session believes nothing across an unanswered request: it ends, and the next one starts with an empty window that is
read from minus infinity.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from beatd.core.census import Sizes
from beatd.core.recovery import Memory, Recovery
from beatd.core.term import Term
from beatd.core.timetable import Stored
from beatd.core.window import Compiled, Staged, Window
from beatd.daemon.complaints import Complaints
from beatd.daemon.definitions import Definitions
from beatd.daemon.ports import Clock, EventSink, TimetablePort
from beatd.errors import EntryInvalid

MOST_STRIKES: Final = 5
REST_S: Final = 1.0


@dataclass(slots=True)
class Session:
    """What planner, ticker and checker of one term share."""

    term: Term
    timetable: TimetablePort
    clock: Clock
    definitions: Definitions
    events: EventSink
    complaints: Complaints
    seq: int | None = None  # of the last accepted batch, once there was one
    window: Window = field(default_factory=Window)
    restarts: int = 0  # how often all that was read counted for nothing
    in_flight: dict[str, Staged] = field(default_factory=dict)  # by name: fired, not yet answered
    planner_wakes: asyncio.Event = field(default_factory=asyncio.Event)
    ticker_wakes: asyncio.Event = field(default_factory=asyncio.Event)
    walk_wanted: asyncio.Event = field(default_factory=asyncio.Event)  # the numbers of the places disagree
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # there may be open requests
    open_requests: int = 0  # as counted by the last round
    requests_served: bool = False  # in the last round, but for those that a queue or an entry stands in the way of
    sizes: Sizes = field(default_factory=Sizes)  # as counted last
    trust_slots: bool = False  # the timetable was planned with newer zone data than ours
    recovery: Recovery | None = None  # the dataset was lost: where entries of files go on
    condemned: dict[str, EntryInvalid] = field(default_factory=dict)  # broke the making of a batch, to be made invalid
    _met_slot: tuple[object, int] = (None, 0)  # a schedule and one of its slots: many entries share both
    _suspects: dict[str, None] = field(default_factory=dict)  # in the order they came
    _strikes: dict[str, int] = field(default_factory=dict)
    _resting: dict[str, float] = field(default_factory=dict)  # until when, monotonic

    def suspect(self, *names: str) -> None:
        """Asks the planner to look at entries again by name, whatever the window believes."""
        self._suspects.update(dict.fromkeys(names))
        self.planner_wakes.set()

    def condemn(self, name: str, error: Exception) -> None:
        """Deciding or rendering this entry failed as nothing of ours should: it becomes invalid, the others go on."""
        self.condemned[name] = EntryInvalid(f"it can't be fired: {type(error).__name__}: {error}")
        self.suspect(name)

    def refused(self, name: str) -> None:
        """A move of this entry was refused. Five times in a row: it rests for a second, and somebody is told, though
        not more than once a minute.
        """
        strikes = self._strikes[name] = self._strikes.get(name, 0) + 1
        if strikes < MOST_STRIKES:
            self.suspect(name)
            return
        del self._strikes[name]
        self._resting[name] = self.clock.monotonic() + REST_S
        if self.complaints.may_tell(name):
            self.events.emit("entry_invalid", entry=name, error=f"its move was refused {strikes} times in a row")

    def accepted(self, name: str) -> None:
        """A move of this entry was accepted."""
        if self._strikes:
            self._strikes.pop(name, None)

    def rests(self, name: str) -> bool:
        """Whether its moves were refused so often that nobody should try another now."""
        return name in self._resting

    def next_suspects(self, at_most: int) -> list[str]:
        """Takes names to look at again; what is staged of them is dropped."""
        now = self.clock.monotonic()
        for name in [name for name, until in self._resting.items() if until <= now]:
            del self._resting[name]
            self._suspects[name] = None
        names = list(self._suspects)[:at_most]
        for name in names:
            del self._suspects[name]
            self.window.drop(name)
        return names

    def make_ready(self, stored: Stored) -> Compiled:
        """Compiles an entry. Raises EntryInvalid, also when it could not be fired as it stands."""
        if (error := self.condemned.pop(stored.name, None)) is not None:
            raise error
        return self.definitions.compile(stored)

    def stage(self, stored: Stored, moment: int) -> None:
        """Makes an entry ready and takes it into the window. Raises EntryInvalid."""
        self.window.stage(Staged(self.make_ready(stored), moment, stored.left))

    def is_slot(self, compiled: Compiled, moment: int) -> bool:
        """Whether a moment stands for a slot by the zone data of this instance, as far as those are to be trusted."""
        schedule, slot = compiled.schedule, moment - compiled.jitter
        if self.trust_slots or self._met_slot == (schedule, slot):
            return True
        if schedule.next_ms(slot - 1) != slot:
            return False
        self._met_slot = schedule, slot
        return True

    def settled(self, stored: Stored) -> int | None:
        """Up to which instant this entry was settled before the dataset was lost, if it was and that is known."""
        return None if self.recovery is None else self.recovery.settled(stored.name, stored.jitter)

    def memory(self, names: frozenset[str]) -> Memory | None:
        """What was settled when this session ended, ``names`` the entries that files had; None when it had not read
        the timetable.
        """
        if self.window.settled < 0:
            return None
        staged = self.window.settled_slots() | {name: item.settled for name, item in self.in_flight.items()}
        counted = self.sizes
        return Memory(self.term.incarnation, self.window.settled, staged, names, counted.revisions, counted.from_files)

    def count_batch(self, seq: int, *, accepted: bool) -> None:
        """Takes the lease's count of batches from an answer; answers come in order, and nobody else counts.

        Less than was counted before: the dataset is an older one, and nothing that is staged may be believed.
        """
        if self.seq is not None and seq < self.seq + accepted:
            self.events.emit("backlog", reason="rollback", seq=seq, expected=self.seq + accepted)
            self.restart()
        if accepted or self.seq is not None:
            self.seq = seq

    def earliest(self) -> int | None:
        """The earliest moment that is staged or being fired."""
        moments = [*[item.moment for item in self.in_flight.values()], self.window.earliest()]
        return min((moment for moment in moments if moment is not None), default=None)

    def restart(self) -> None:
        """Forgets what is staged and reads the timetable again from minus infinity."""
        self.window.clear()
        self.restarts += 1
        self.planner_wakes.set()
