"""From wall times to instants: the two readings a schedule can have of a zone's clock.

*Reached* (fixed-time schedules): one slot for each instant at which a matching wall time is reached, so a gap gives
one slot at its end and the second pass of a fold gives none.
*Shown* (interval-like schedules): a slot at each instant whose wall time matches, so a gap gives none and a fold both.
All instants and wall times are whole seconds; results lie in the years 1 to 9999, None where there is none.
"""

from typing import Protocol

from beatd.core.tzif import DAY
from beatd.core.zone import FIRST_SECOND, FOREVER, LAST_SECOND, Zone


class WallTimes(Protocol):
    """A set of wall times, in seconds since 1970-01-01T00:00 of the clock on the wall."""

    def at_or_after(self, wall: int) -> int | None:
        """The first of them that is not before ``wall``."""

    def at_or_before(self, wall: int) -> int | None:
        """The last of them that is not after ``wall``."""


class CountedTimes(WallTimes, Protocol):
    """Wall times that can be counted without going through them."""

    def count(self, first: int, end: int, at_most: int) -> int:
        """How many of them lie in [first, end), counted no further than at_most."""


def next_reached(zone: Zone, times: WallTimes, after: int) -> int | None:
    """The first instant strictly after ``after`` at which one of the times is reached."""
    if after >= LAST_SECOND:
        return None
    wall = times.at_or_after(zone.mark(max(after, FIRST_SECOND - 1)))
    if wall is None:
        return None
    instant = zone.reached(wall)
    return instant if instant <= LAST_SECOND else None


def last_reached(zone: Zone, times: WallTimes, until: int) -> int | None:
    """The last instant at or before ``until`` at which one of the times is reached."""
    if until < FIRST_SECOND:
        return None
    wall = times.at_or_before(zone.mark(min(until, LAST_SECOND)) - 1)
    if wall is None:
        return None
    instant = zone.reached(wall)
    return instant if instant >= FIRST_SECOND else None


def next_shown(zone: Zone, times: WallTimes, after: int) -> int | None:
    """The first instant strictly after ``after`` whose wall time is one of the times.

    Goes from segment to segment, so it ends with the times themselves: at_or_after gives None past year 9999.
    """
    first = max(after + 1, FIRST_SECOND)
    if first > LAST_SECOND:
        return None
    index = zone.index(first)
    searched, wall = FOREVER, None
    while True:
        starts, offsets, _, until = zone.segments
        if index + 1 == len(starts) and until != FOREVER:
            zone.extend(until + DAY)
            continue
        begin = max(first, starts[index]) + offsets[index]
        if wall is None or not searched <= begin <= wall:  # else the match found for the segment before still stands
            wall = times.at_or_after(begin)
        if wall is None:
            return None
        instant = wall - offsets[index]
        if index + 1 == len(starts) or instant < starts[index + 1]:
            return instant if instant <= LAST_SECOND else None
        searched, index = begin, index + 1


def last_shown(zone: Zone, times: WallTimes, until: int) -> int | None:
    """The last instant at or before ``until`` whose wall time is one of the times."""
    if until < FIRST_SECOND:
        return None
    last = min(until, LAST_SECOND)
    index = zone.index(last)
    starts, offsets, _, _ = zone.segments
    searched, wall = -FOREVER, None
    while True:
        end = min(last, starts[index + 1] - 1 if index + 1 < len(starts) else last) + offsets[index]
        if wall is None or not wall <= end <= searched:
            wall = times.at_or_before(end)
        if wall is None:
            return None
        instant = wall - offsets[index]
        if instant >= starts[index]:
            return instant if instant >= FIRST_SECOND else None
        searched, index = end, index - 1


def count_reached(zone: Zone, times: CountedTimes, after: int, until: int, at_most: int) -> int:
    """How many instants in (after, until] reach one of the times, counted no further than at_most."""
    after, until = max(after, FIRST_SECOND - 1), min(until, LAST_SECOND)
    if until <= after:
        return 0
    last, index = zone.index(until), zone.index(after)
    starts, offsets, _, _ = zone.segments
    low, count = zone.mark(after), 0
    for i in range(index, last + 1):
        begin = starts[i] + offsets[i]
        if i > index and begin > low:  # all of a gap, and the first moment after it, are one instant
            count += times.count(low, begin + 1, 1)
            low = begin + 1
        high = (until + 1 if i == last else starts[i + 1]) + offsets[i]
        if high > low:
            count += times.count(low, high, at_most)
            low = high
        if count >= at_most:
            return at_most
    return count


def count_shown(zone: Zone, times: CountedTimes, after: int, until: int, at_most: int) -> int:
    """How many instants in (after, until] show one of the times, counted no further than at_most."""
    first, until = max(after + 1, FIRST_SECOND), min(until, LAST_SECOND)
    if until < first:
        return 0
    last, index = zone.index(until), zone.index(first)
    starts, offsets, _, _ = zone.segments
    count = 0
    for i in range(index, last + 1):
        end = until + 1 if i == last else starts[i + 1]
        count += times.count(max(first, starts[i]) + offsets[i], end + offsets[i], at_most)
        if count >= at_most:
            return at_most
    return count
