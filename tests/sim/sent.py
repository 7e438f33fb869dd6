"""What one history of the dataset knows of the messages that it decided for a broker."""

from collections import Counter
from dataclasses import dataclass, field

Key = tuple[str, str]  # id and task id


@dataclass(frozen=True, slots=True)
class Decided:
    """One message that was decided for the broker."""

    name: str
    slot: int
    once: bool
    order: tuple[int, int]
    strange: bool  # by a faulty leader, so that the other one does not know of it

    def is_behind(self, other: "Decided") -> bool:
        """Whether it has to arrive after another one. Requests, whose numbers begin at 1001, go beside the rest."""
        beside = [decided.order[1] > 1000 for decided in (self, other)]
        comparable = beside[0] == beside[1] and not self.strange and not other.strange
        return comparable and self.name == other.name and self.order > other.order


@dataclass(slots=True)
class Sent:
    """What became of the intents of one history of the dataset."""

    decided: dict[Key, Decided] = field(default_factory=dict)
    written: Counter[Key] = field(default_factory=Counter)
    arrived: set[Key] = field(default_factory=set)  # of what was written in this history
    overtaken: dict[Key, Key] = field(default_factory=dict)  # whom a later one of its entry was before, and which
    gone: dict[Key, tuple[str, float]] = field(default_factory=dict)  # by which edit it was withdrawn, and when
    written_late: Counter[tuple[str, str, float]] = field(default_factory=Counter)  # process, entry, withdrawal

    def copy(self) -> "Sent":
        """Another one that goes its own way."""
        return Sent(
            decided=dict(self.decided),
            written=self.written.copy(),
            arrived=set(self.arrived),
            overtaken=dict(self.overtaken),
            gone=dict(self.gone),
            written_late=self.written_late.copy(),
        )
