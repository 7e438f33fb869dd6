"""Whether a loop is alive, in the eyes of somebody who looks at its heartbeat once in a while.

What counts is how often somebody looked in vain, not how much time went by: a process that was stopped looks at nothing
meanwhile, and must not be taken for a hung one when it goes on.
"""

from dataclasses import dataclass
from typing import Final

BEAT_S: Final = 0.5
SAMPLE_S: Final = 1.0
MOST_MISSED: Final = 12  # samples in a row: longer than any storm holds the loop, shorter than people wait


@dataclass(frozen=True, slots=True)
class Samples:
    """What was seen so far. ``beats``: the count at the last look. ``missed``: looks in a row that saw no new beat."""

    beats: int = 0
    missed: int = 0

    def then(self, beats: int) -> "Samples":
        """After one more look, which found that count of beats."""
        return Samples(beats, 0 if beats != self.beats else self.missed + 1)

    def expired(self, most_missed: int = MOST_MISSED) -> bool:
        """Whether the loop is given up for hung."""
        return self.missed >= most_missed
