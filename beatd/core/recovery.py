"""What a leader remembers of the timetable, for the day Redis comes back empty."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Memory:
    """What was settled when a stretch of leadership ended. Instants in UTC ms.

    incarnation: of the dataset. Every moment up to `bound` was fired or skipped, but for the names in `staged`, whose
    slots were settled up to the given instants. names: of the entries that files had. entries: how many there were, and
    how many of them belonged to files.
    """

    incarnation: str
    bound: int
    staged: Mapping[str, int]
    names: frozenset[str] = frozenset()
    entries: int = 0
    from_files: int = 0

    @property
    def not_in_files(self) -> int:
        """How many entries nothing but Redis knew."""
        return max(0, self.entries - self.from_files)


@dataclass(slots=True)
class Recovery:
    """Takes each entry of files up where it was left, once."""

    memory: Memory
    _taken_up: set[str] = field(default_factory=set)

    def settled(self, name: str, jitter: int) -> int | None:
        """The instant after which this entry's slots count; None for others, and once it was planned."""
        if name in self._taken_up or name not in self.memory.names:
            return None
        return self.memory.staged.get(name, self.memory.bound - jitter)

    def taken_up(self, name: str) -> None:
        """The entry is planned."""
        self._taken_up.add(name)
