"""What a kind of schedule brings: a rule that gives slots, and a reader for its keys."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from beatd.core.instant import Moment
from beatd.core.schedules.explanation import Explanation
from beatd.core.schedules.shifts import Shift
from beatd.core.zone import Zone


class Rule(ABC):
    """The slots of one kind of schedule, without the bounds ``start`` and ``end``. Immutable, equal by value.

    All instants are UTC milliseconds, in the years 1 to 9999.
    """

    __slots__ = ()

    kind: ClassVar[str]
    named_bytes: ClassVar[int] = 0  # of memory that a rule takes which is one entry's, for its name has a say

    @property
    def anchor_assumed(self) -> bool:
        """Whether an interval's grid is the epoch's, for want of anything else."""
        return False

    @property
    def named(self) -> bool:
        """Whether the entry's name has a say in the slots, or would have if one were given."""
        return False

    def renamed(self, name: str) -> "Rule":
        """The rule as it is read for an entry of another name. Raises ScheduleInvalid."""
        if self.named:
            raise NotImplementedError(f"{type(self).__name__} is named, and doesn't say what another name makes of it")
        return self

    @abstractmethod
    def next_ms(self, after: int) -> int | None:
        """The first slot strictly after an instant, or None when there is none."""

    @abstractmethod
    def last_ms(self, until: int) -> int | None:
        """The last slot at or before an instant, or None when there is none."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """The canonical keys of this kind."""

    @abstractmethod
    def words(self) -> str:
        """The rule in plain English: ``at 09:00 on Monday to Friday``."""

    def warnings(self) -> tuple[str, ...]:
        """What a careful reader would ask about, short texts."""
        return ()

    def slot_remark(self, slot: int) -> str | None:
        """What the clock did at a slot: that its wall time was skipped, or comes twice. None on an ordinary day."""
        return None

    def shift_effect(self, shift: Shift) -> str | None:
        """What one shift of the zone's clock does to the rule, in words; None when it touches no slot."""
        return None

    def explain(self) -> Explanation:
        """The rule taken apart for a reader."""
        return Explanation()

    def count_ms(self, after: int, until: int, at_most: int) -> int:
        """How many slots lie in (after, until], counted no further than at_most: that bounds the walk."""
        count = 0
        slot = self.next_ms(after)
        while count < at_most and slot is not None and slot <= until:
            count += 1
            slot = self.next_ms(slot)
        return count


@dataclass(frozen=True, slots=True)
class Request:
    """What a kind's reader is given. ``spec`` holds accepted keys only, and the kind's own key among them."""

    spec: Mapping[str, Any]
    zone: Zone
    name: str | None
    start: Moment | None
    end: Moment | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of schedule: its key in a spec, the further keys it understands, its reader (raises ScheduleInvalid)."""

    key: str
    options: frozenset[str]
    read: Callable[[Request], Rule]
