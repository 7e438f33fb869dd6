"""Counting entries: do the numbers of all places agree, and how many rows of history fit into its bytes."""

from dataclasses import dataclass
from typing import Final

MOST_ROWS: Final = 1_000_000
LEAST_ROWS: Final = 100  # a handful of huge rows is still a history


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many names each place holds. A name with a revision is in exactly one of due, out and blocked."""

    revisions: int = 0
    definitions: int = 0
    due: int = 0
    out: int = 0
    blocked: int = 0
    from_files: int = 0

    @property
    def disagreement(self) -> tuple[int, int]:
        """How many definitions, and how many names in places, there are too many; (0, 0) when nothing is amiss."""
        return self.definitions - self.revisions, self.due + self.out + self.blocked - self.revisions


def rows_within(rows: int, size: int, most_bytes: int) -> int:
    """How many rows of the size they have now (`size` bytes in `rows` rows) fit into so many bytes."""
    if rows <= 0 or size <= 0:
        return MOST_ROWS
    return max(LEAST_ROWS, min(MOST_ROWS, rows * most_bytes // size))
