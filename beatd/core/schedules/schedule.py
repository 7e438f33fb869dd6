"""A schedule: the rule of one kind within its bounds, and the reader that finds the kind."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from beatd.core.instant import FIRST_MS, LAST_MS, Moment, aware_ms, read_moment, utc_of
from beatd.core.schedules.registry import find_kinds
from beatd.core.schedules.rule import Kind, Request, Rule
from beatd.core.shown import shown
from beatd.core.zone import Zone, forget_with_zones, zone_named
from beatd.errors import ScheduleInvalid

KINDS: Final[Mapping[str, Kind]] = find_kinds(sys.modules[__package__])
COMMON_KEYS: Final = frozenset({"timezone", "start", "end"})
SCHEDULE_KEYS: Final = COMMON_KEYS.union(KINDS, *(kind.options for kind in KINDS.values()))
MOST_INTERNED: Final = 16_384


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots of an entry: pure, immutable, equal by value. Get it from ``parse_schedule``.

    Methods in ``_ms`` take and return UTC milliseconds; the others aware datetimes, and refuse naive ones with
    ScheduleInvalid. Slots lie in the years 1 to 9999, and in [start, end].
    """

    rule: Rule
    zone: Zone
    start: Moment | None = None
    end: Moment | None = None

    @property
    def kind(self) -> str:
        """The key of its kind: cron, every, at, rrule."""
        return self.rule.kind

    @property
    def timezone(self) -> str:
        """The IANA name of the zone."""
        return self.zone.name

    @property
    def named(self) -> bool:
        """Whether the entry's name has a say in the slots."""
        return self.rule.named

    def renamed(self, name: str) -> "Schedule":
        """The schedule that parse_schedule makes of the same keys for an entry of another name.

        Raises ScheduleInvalid: with H a date may never occur for one name and not for another.
        """
        return Schedule(self.rule.renamed(name), self.zone, self.start, self.end) if self.rule.named else self

    @property
    def anchor_assumed(self) -> bool:
        """Whether an interval counts from the epoch because neither a name nor an anchor nor a start was given."""
        return self.rule.anchor_assumed

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a careful reader would ask about, as short texts."""
        empty = self.next_ms(FIRST_MS - 1) is None
        return (*self.rule.warnings(), *(["no slot lies between start and end"] if empty else []))

    def next_ms(self, after: int) -> int | None:
        """The first slot strictly after an instant, or None when there is none."""
        if self.start is not None and after < self.start.ms:
            after = self.start.ms - 1
        slot = self.rule.next_ms(after)
        if slot is None or (self.end is not None and slot > self.end.ms):
            return None
        return slot

    def last_ms(self, until: int) -> int | None:
        """The last slot at or before an instant, or None when there is none. Does not walk."""
        if self.end is not None and until > self.end.ms:
            until = self.end.ms
        slot = self.rule.last_ms(until)
        if slot is None or (self.start is not None and slot < self.start.ms):
            return None
        return slot

    def count_ms(self, after: int, until: int, at_most: int) -> int:
        """How many slots lie in (after, until], counted no further than at_most."""
        low = after if self.start is None else max(after, self.start.ms - 1)
        high = until if self.end is None else min(until, self.end.ms)
        return self.rule.count_ms(low, high, at_most) if high > low and at_most > 0 else 0

    def next_after(self, moment: datetime) -> datetime | None:
        """The first slot strictly after an aware datetime, in UTC; None when there is none."""
        slot = self.next_ms(aware_ms(moment))
        return None if slot is None else utc_of(slot)

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The slots with first < slot <= last, in UTC, one by one."""
        return self._between(aware_ms(first), aware_ms(last))

    def _between(self, after: int, until: int) -> Iterator[datetime]:
        slot = self.next_ms(after)
        while slot is not None and slot <= until:
            yield utc_of(slot)
            slot = self.next_ms(slot)

    def words(self) -> str:
        """The rule in plain English, without zone and bounds: ``at 09:00 on Monday to Friday``."""
        return self.rule.words()

    def slot_remark(self, slot: int) -> str | None:
        """What the clock did at a slot: that its wall time was skipped, or comes twice. None on an ordinary day."""
        return self.rule.slot_remark(slot)

    def to_spec(self) -> dict[str, Any]:
        """The canonical keys: parse_schedule makes an equal schedule of them, given the same name."""
        spec = self.rule.spec()
        if self.zone.name != "UTC":
            spec["timezone"] = self.zone.name
        if self.start is not None:
            spec["start"] = self.start.text
        if self.end is not None:
            spec["end"] = self.end.text
        return spec


_interned: dict[tuple[tuple[str, str], ...], Schedule] = {}
forget_with_zones(_interned.clear)


def parse_schedule(spec: Mapping[str, Any], *, name: str | None = None) -> Schedule:
    """Reads the schedule keys of an entry. Raises ScheduleInvalid, and nothing else.

    ``name`` is the entry's: intervals without an anchor and H in cron take their place from it. Equal specs of texts
    give the same object where the name has no say.
    """
    if not isinstance(spec, Mapping):
        raise ScheduleInvalid(f"found {shown(spec)}; a mapping with one of {', '.join(KINDS)} is accepted")
    key = tuple(spec.items())
    if all(type(value) is str for _, value in key):
        known = _interned.get(key)
        if known is not None:
            return known
        schedule = _parse(spec, name)
        if not schedule.rule.named:
            if len(_interned) >= MOST_INTERNED:
                _interned.clear()
            _interned[key] = schedule
        return schedule
    return _parse(spec, name)


def _parse(spec: Mapping[str, Any], name: str | None) -> Schedule:
    kind = _kind(spec)
    if name is not None and not (isinstance(name, str) and _encodable(name)):
        raise ScheduleInvalid(f"name: found {shown(name)}; a text is accepted")
    zone = _zone(spec.get("timezone", "UTC"))
    start = read_moment("start", spec["start"], zone) if "start" in spec else None
    end = read_moment("end", spec["end"], zone) if "end" in spec else None
    if start is not None and end is not None and end.ms < start.ms:
        raise ScheduleInvalid(f"end: found {end.text}, which lies before start, {start.text}")
    return Schedule(kind.read(Request(spec, zone, name, start, end)), zone, start, end)


def _kind(spec: Mapping[str, Any]) -> Kind:
    for key in spec:
        if key not in SCHEDULE_KEYS:
            raise ScheduleInvalid(f"unknown key {shown(key)}; accepted are {_listed(SCHEDULE_KEYS)}", hint=_near(key))
    kinds = [key for key in KINDS if key in spec]
    if len(kinds) != 1:
        found = f"found {' and '.join(kinds)}" if kinds else "found none"
        raise ScheduleInvalid(f"a schedule has one of {', '.join(KINDS)}; {found}")
    kind = KINDS[kinds[0]]
    for key in spec:
        if key not in COMMON_KEYS and key not in kind.options and key != kind.key:
            users = [other.key for other in KINDS.values() if key in other.options]
            raise ScheduleInvalid(f"{key}: not a key of {kind.key}, but of {' and '.join(users)}")
    return kind


def _near(key: object) -> str | None:
    close = difflib.get_close_matches(key[:64], sorted(SCHEDULE_KEYS), n=1) if isinstance(key, str) else []
    return f"did you mean {close[0]}?" if close else None


def _listed(keys: frozenset[str]) -> str:
    return ", ".join(sorted(keys))


def _zone(name: object) -> Zone:
    if not isinstance(name, str):
        raise ScheduleInvalid(f"timezone: found {shown(name)}; an IANA zone name is accepted")
    return zone_named(name)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


__all__ = ["FIRST_MS", "KINDS", "LAST_MS", "SCHEDULE_KEYS", "Schedule", "parse_schedule"]
