"""What passes between the leader and the timetable. Instants in UTC ms; a moment is a slot plus the entry's jitter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from beatd.core.census import Sizes
from beatd.core.fire import Skip

UNREADABLE: Final = -1  # runs left, where another client has left no number


class Code(IntEnum):
    """The fire and plan scripts' answer for one entry."""

    DONE = 0
    OTHER_MOMENT = 1
    OTHER_REVISION = 2
    TOO_EARLY = 3
    QUEUE_REFUSED = 4
    MALFORMED = 5
    DECIDE_AGAIN = 6


class Stored(NamedTuple):
    """One entry of the timetable as stored: exact score, revision, definition, last fired slot, jitter, runs left.

    left: None where runs are not counted, UNREADABLE where another client spoilt the number. held: the instant up to
    which a pause keeps slots from being planned, 0 without one.
    """

    name: str
    score: str
    rev: str
    definition: bytes | None
    last_slot: int
    jitter: int
    left: int | None
    held: int = 0


@dataclass(frozen=True, slots=True)
class PlanItem:
    """A verdict under the exact score that was read: a first moment, 'F' (finished), 'I' (invalid, with the reason as
    JSON), or 'G' (there is no such entry: its score goes).
    """

    name: str
    rev: str
    score: str
    verdict: str
    detail: str = ""
    skips: tuple[Skip, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanReply:
    """One code an item, and the server's clock."""

    codes: Sequence[int]
    now: int


@dataclass(frozen=True, slots=True)
class FireReply:
    """One code an item, the server's clock, and the lease's count of accepted batches."""

    codes: Sequence[int]
    now: int
    seq: int


class Changes(NamedTuple):
    """What rows of the change log tell: the last one's id, names that were edited, whether anything was requested."""

    position: str
    names: Sequence[str]
    requested: bool


@dataclass(frozen=True, slots=True)
class Check:
    """How many moments lie in [0, bound], how many entries wait to be planned, the oldest moment, seq and TIME.

    seq: None where there is no lease.

    astray: some names whose scores lie beyond all moments there can be. sizes: how many names each place holds.
    backlog: how many entries were due and not fired. asked: whether there are open requests. intents: how many fires
    wait for another broker.
    """

    in_window: int
    unplanned: int
    oldest: int | None
    seq: int | None
    now: int
    astray: Sequence[str] = ()
    sizes: Sizes = field(default_factory=Sizes)
    backlog: int = 0
    asked: bool = False
    intents: int = 0
