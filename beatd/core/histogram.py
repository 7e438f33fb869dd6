"""A histogram that costs next to nothing to add to: how many values are at most so large, and their sum."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts by bound. One thread adds, any other may read: a reader may see one value too few in ``total``."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)  # ascending, in the unit of the values; a value equal to one is within it
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float, times: int = 1) -> None:
        """Counts a value, so many times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulated(self) -> list[int]:
        """For each bound how many values were at most that; last, how many there were."""
        sums, sum_ = [], 0
        for count in tuple(self._counts):
            sum_ += count
            sums.append(sum_)
        return sums
