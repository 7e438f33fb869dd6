"""A schedule with its bounds, and the reader that finds the kind. (First cut: intervals; the kernel grows here.)"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from beatd.core.duration import format_duration, parse_duration
from beatd.core.fire import name_hash
from beatd.errors import ScheduleInvalid

SCHEDULE_KEYS: Final = frozenset(
    {"cron", "every", "at", "rrule", "timezone", "day", "hash_id", "start", "end", "anchor", "fast"}
)


@dataclass(frozen=True, slots=True)
class Schedule:
    every_ms: int
    phase_ms: int
    fast: bool

    @property
    def kind(self) -> str:
        return "every"

    def next_ms(self, after: int) -> int | None:
        """The first slot strictly after an instant (UTC ms), or None when there is none."""
        return after + self.every_ms - (after - self.phase_ms) % self.every_ms

    def last_ms(self, until: int) -> int | None:
        """The last slot at or before an instant (UTC ms), or None when there is none."""
        return until - (until - self.phase_ms) % self.every_ms

    def count_ms(self, after: int, until: int, at_most: int) -> int:
        """How many slots lie in (after, until], counted no further than at_most."""
        first, last = self.next_ms(after), self.last_ms(until)
        return 0 if first is None or last is None or first > last else min(at_most, (last - first) // self.every_ms + 1)

    def to_spec(self) -> dict[str, Any]:
        return {"every": format_duration(self.every_ms), **({"fast": True} if self.fast else {})}


def parse_schedule(spec: Mapping[str, Any], *, name: str | None = None) -> Schedule:
    if "every" not in spec:
        raise ScheduleInvalid("only every")
    every = parse_duration(spec["every"])
    return Schedule(every, name_hash(name or "") % every, bool(spec.get("fast")))
