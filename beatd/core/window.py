"""The window: the stretch of the timetable that the leader has read and made ready, by moment.

Truth is in Redis; what is staged here is a proposal that the fire script verifies. Bucketed by moment, because
thousands of entries share one; what is replaced or dropped stays in its bucket and is passed over later, or swept
out once there is much of it: while a broker is away nothing is taken for hours, and edits go on.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from beatd.core.entry import Policy
from beatd.core.fire import TaskIds, Template
from beatd.core.schedules import Schedule

MOST_PASSED_OVER: Final = 32  # beside twice as many as are staged
SLICE_MS: Final = 128  # moments are also indexed by slices of this width, so that a short stretch is found at once


@dataclass(frozen=True, slots=True)
class Shape:
    """What many entries share: one object for all whose definitions differ in name, schedule and arguments only.

    ``size``: the memory that it takes.
    """

    policy: Policy
    template: Template
    ids: TaskIds
    size: int


class Compiled(NamedTuple):
    """A definition made ready to fire: everything that does not change until the next revision.

    ``own``: what its messages have of their own, as the template wrote it. ``size``: the memory that it takes, with
    its place in the window.
    """

    name: str
    rev: str
    schedule: Schedule
    shape: Shape
    own: str
    jitter: int
    size: int

    @property
    def policy(self) -> Policy:
        """What decides whether a slot is fired or skipped."""
        return self.shape.policy


@dataclass(slots=True)
class Staged:
    """One entry in the window. ``moment`` = next slot + jitter, UTC ms; ``left`` = runs left, None when uncounted."""

    compiled: Compiled
    moment: int
    left: int | None

    @property
    def name(self) -> str:
        """The entry's name."""
        return self.compiled.name

    @property
    def settled(self) -> int:
        """The instant up to which its slots are settled: the next one lies behind it."""
        return self.moment - self.compiled.jitter - 1


@dataclass(slots=True)
class _Bucket:
    """All that was staged for one moment. ``live`` counts those not replaced or dropped since."""

    moment: int
    items: list[Staged] = field(default_factory=list)
    live: int = 0


class Window:
    """What is staged, and ``bound``: the moment up to which (inclusive) the timetable has been read.

    ``complete``: all of it has; a full window, or one that is being read, may end inside a moment. ``settled``: every
    moment up to it is staged or past, also while more is being read.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.clear()

    def __len__(self) -> int:
        return len(self._staged)

    def clear(self) -> None:
        """Forgets everything and starts from minus infinity; ``generation`` tells one start from the next."""
        self.generation += 1
        self.bound = -1
        self.complete = False
        self.settled = -1
        self.size = 0
        self._passed_over = 0  # items in buckets that were replaced or dropped
        self._staged: dict[str, Staged] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._slices: dict[int, list[int]] = {}
        self._moments: list[int] = []

    def covers(self, moment: int) -> bool:
        """Whether an entry with that moment belongs inside."""
        return moment <= self.bound

    def stage(self, item: Staged) -> None:
        """Takes an entry in; what was staged under its name before is dropped."""
        self._forget(item.name)
        self._staged[item.name] = item
        self.size += item.compiled.size
        bucket = self._buckets.get(item.moment)
        if bucket is None:
            bucket = self._open_bucket(item.moment)
        item.moment = bucket.moment  # one number for all of them: replies bring one each
        bucket.items.append(item)
        bucket.live += 1
        self._sweep()

    def drop(self, name: str) -> None:
        """Forgets an entry, if it is staged."""
        self._forget(name)
        self._sweep()

    def _forget(self, name: str) -> None:
        """It stays in its bucket, and is passed over or swept out later."""
        item = self._staged.pop(name, None)
        if item is not None:
            self.size -= item.compiled.size
            self._buckets[item.moment].live -= 1
            self._passed_over += 1

    def earliest(self) -> int | None:
        """The earliest staged moment, or None."""
        while self._moments:
            moment = self._moments[0]
            if self._buckets[moment].live:
                return moment
            heapq.heappop(self._moments)
            self._close_bucket(moment)
        return None

    def moment_of(self, name: str) -> int | None:
        """The moment under which an entry is staged, or None."""
        item = self._staged.get(name)
        return None if item is None else item.moment

    def settled_slots(self) -> dict[str, int]:
        """Up to which instant the slots of every staged entry are settled."""
        return {name: item.settled for name, item in self._staged.items()}

    def take_due(self, now: int, at_most: int) -> list[Staged]:
        """Removes and returns what is due by `now`, oldest moments first."""
        taken: list[Staged] = []
        while len(taken) < at_most:
            moment = self.earliest()
            if moment is None or moment > now:
                break
            taken.extend(self._take(moment, at_most - len(taken)))
        self._sweep()
        return taken

    def take_fresh(self, since: int, now: int, at_most: int) -> list[Staged]:
        """Removes and returns what fell due in (since, now], so that a backlog does not make others late.

        The newest first: what falls due just after a storm must not wait behind it.
        """
        low, high = since // SLICE_MS, now // SLICE_MS
        slices = range(low, high + 1) if high - low < len(self._slices) else self._slices
        moments = sorted((m for s in slices for m in self._slices.get(s, ()) if since < m <= now), reverse=True)
        taken: list[Staged] = []
        for moment in moments:
            taken.extend(self._take(moment, at_most - len(taken)))
            if len(taken) == at_most:
                break
        self._sweep()
        return taken

    def staged_at(self, moment: int) -> int:
        """How many staged entries have exactly this moment: the offset at which reading goes on inside it."""
        bucket = self._buckets.get(moment)
        return bucket.live if bucket else 0

    def _take(self, moment: int, at_most: int) -> Iterator[Staged]:
        items = self._buckets[moment].items
        while items and at_most > 0:
            item = items.pop()
            self._passed_over -= 1
            if self._staged.get(item.name) is item:
                self._forget(item.name)
                at_most -= 1
                yield item

    def _sweep(self) -> None:
        """Keeps what is passed over below a share of what is staged, whichever of the two has changed."""
        if self._passed_over <= MOST_PASSED_OVER + 2 * len(self._staged):
            return
        for bucket in list(self._buckets.values()):
            if bucket.live < len(bucket.items):
                bucket.items = [self._staged[name] for name in self._live(bucket)]
        self._passed_over = 0
        for moment in [moment for moment, bucket in self._buckets.items() if not bucket.items]:
            self._close_bucket(moment)
        self._moments = sorted(self._buckets)

    def _live(self, bucket: _Bucket) -> dict[str, None]:
        """Names of what is staged for a moment; an item that was staged again lies there twice."""
        return {item.name: None for item in bucket.items if self._staged.get(item.name) is item}

    def _open_bucket(self, moment: int) -> _Bucket:
        bucket = self._buckets[moment] = _Bucket(moment)
        heapq.heappush(self._moments, moment)
        self._slices.setdefault(moment // SLICE_MS, []).append(moment)
        return bucket

    def _close_bucket(self, moment: int) -> None:
        self._passed_over -= len(self._buckets.pop(moment).items)
        moments = self._slices[moment // SLICE_MS]
        moments.remove(moment)
        if not moments:
            del self._slices[moment // SLICE_MS]
