"""What is counted of fires and events, at a cost that a storm does not feel."""

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from beatd.core.fire import REASONS, FireItem
from beatd.core.histogram import Histogram

LATENESS: Final = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000)  # ms
RELOADS: Final = ("applied", "refused")
REQUESTS: Final = {"request_served": "served", "request_refused": "refused"}
_EXPECTED: Final = itemgetter(FireItem._fields.index("expected"))
_NEWS: Final = {"config_reloaded": "applied", "config_refused": "refused"}


class Tallies:
    """Fits ports.EventSink. The loop counts, other threads read."""

    def __init__(self) -> None:
        self.fires = 0
        self.lateness = Histogram(LATENESS)  # ms after slot + jitter, by the clock of Redis
        self.skips: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.reloads: Counter[str] = Counter(dict.fromkeys(RELOADS, 0))
        self.requests: Counter[str] = Counter(dict.fromkeys(REQUESTS.values(), 0))
        self.lease_losses = 0

    def emit(self, event: str, **fields: object) -> None:
        """Counts an event, if it is one that is counted."""
        if event == "lease_lost":
            self.lease_losses += 1
        elif event in REQUESTS:
            self.requests[REQUESTS[event]] += 1
        elif event in _NEWS:
            self.reloads[_NEWS[event]] += 1
        elif event == "entry_skipped" and (reason := str(fields.get("reason"))) in self.skips:
            count = fields.get("count")
            self.skips[reason] += count if isinstance(count, int) else 1

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        """Counts a batch: most of its items have one slot, and most of those one moment."""
        plain = [item for item in items if item.plain]
        for moment, times in Counter(map(_EXPECTED, plain)).items():
            self.lateness.add(at - moment, times)
        self.fires += len(plain)
        if len(plain) < len(items) or any(item.skips for item in plain):
            for item in items:
                self._add_rare(item, at)

    def _add_rare(self, item: FireItem, at: int) -> None:
        """Slots beside the one that was expected, and skips. The first slot of a span is the owed one, fired or not:
        its distance to the expected moment is the entry's jitter.
        """
        for skip in item.skips:
            self.skips[skip.reason] += skip.count
        if not item.plain and item.slots:
            jitter = item.expected - min(item.slots[0], *(skip.first for skip in item.skips), item.expected)
            for slot in item.slots:
                self.lateness.add(at - slot - jitter)
            self.fires += len(item.slots)
