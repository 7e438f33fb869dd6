"""Counting entries: do the numbers of all places agree, and how many rows of history fit into its bytes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MOST_ROWS: Final = 1_000_000
LEAST_ROWS: Final = 100  # a handful of huge rows is still a history
REASONS: Final = ("invalid", "disabled", "paused", "finished")  # to be out of the timetable, the most telling first
STATES: Final = ("scheduled", *reversed(REASONS[1:]), "blocked", "invalid")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many names each place holds. A name with a revision is in exactly one of due, out and blocked.

    held: pauses with an end, and what is left of those that are over.
    """

    revisions: int = 0
    definitions: int = 0
    due: int = 0
    out: int = 0
    blocked: int = 0
    from_files: int = 0
    held: int = 0

    @property
    def disagreement(self) -> tuple[int, int]:
        """How many definitions, and how many names in places, there are too many; (0, 0) when nothing is amiss."""
        return self.definitions - self.revisions, self.due + self.out + self.blocked - self.revisions


def rows_within(rows: int, size: int, most_bytes: int) -> int:
    """How many rows of the size they have now (`size` bytes in `rows` rows) fit into so many bytes."""
    if rows <= 0 or size <= 0:
        return MOST_ROWS
    return max(LEAST_ROWS, min(MOST_ROWS, rows * most_bytes // size))


def state_of(reasons: Collection[str], *, held: bool, blocked: bool) -> str:
    """Exactly one of STATES (CONTRACT). ``held``: a pause with an end runs."""
    for reason in REASONS:
        if reason in reasons or (reason == "paused" and held):
            return reason
    return "blocked" if blocked else "scheduled"


class LeftOut(NamedTuple):
    """One entry outside the timetable: why, since when it has no more runs (UTC ms; None: it has)."""

    name: str
    reasons: Collection[str]
    finished_at: int | None


class Pausing(NamedTuple):
    """One pause with an end (UTC ms), and where its entry is: out for reasons (None: not out), blocked, or due."""

    until: int
    reasons: Collection[str] | None
    blocked: bool


@dataclass(slots=True)
class Tally:
    """What a walk through the entries outside the timetable, and through the pauses with an end, has counted.

    at: when it ended, UTC ms. ends: when the first of those pauses will be over, UTC ms; None where none runs.
    """

    at: int = 0
    outside: dict[str, int] = field(default_factory=dict)  # by state
    held_due: int = 0
    held_blocked: int = 0
    ends: int | None = None

    def add_left_out(self, rows: Iterable[LeftOut]) -> None:
        """Counts entries outside the timetable."""
        for row in rows:
            self._count(state_of(row.reasons, held=False, blocked=False), 1)

    def add_pausing(self, rows: Iterable[Pausing], now: int) -> None:
        """Counts pauses with an end that run at an instant (UTC ms); entries that are out were counted before."""
        for row in rows:
            if row.until <= now:
                continue
            self.ends = row.until if self.ends is None else min(self.ends, row.until)
            if row.reasons is None:
                self.held_blocked += row.blocked
                self.held_due += not row.blocked
            elif (before := state_of(row.reasons, held=False, blocked=False)) != "paused":
                self._count(before, -1)
                self._count(state_of(row.reasons, held=True, blocked=False), 1)

    def by_state(self, sizes: Sizes) -> Mapping[str, int]:
        """How many entries are in each state: places as they are by ``sizes``, reasons as counted."""
        counted = dict.fromkeys(STATES, 0) | self.outside
        counted["paused"] += self.held_due + self.held_blocked
        counted["scheduled"] += max(0, sizes.due - self.held_due)
        counted["blocked"] += max(0, sizes.blocked - self.held_blocked)
        return counted

    def _count(self, state: str, times: int) -> None:
        self.outside[state] = self.outside.get(state, 0) + times
