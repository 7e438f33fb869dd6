"""``rrule``: wall times of a zone, from a recurrence rule of RFC 5545; fixed-time where the clock shifts."""

from datetime import datetime
from typing import Any, ClassVar, Final

from beatd.core.instant import instant_text
from beatd.core.schedules.explanation import Explanation
from beatd.core.schedules.rrule_explain import explain_rrule
from beatd.core.schedules.rrule_text import RRuleText, parse_rrule
from beatd.core.schedules.rrule_times import RRuleTimes
from beatd.core.schedules.rrule_words import rrule_words
from beatd.core.schedules.rule import Kind, Request, Rule
from beatd.core.schedules.shifts import Shift, shift_effect, shift_remark, slot_remark
from beatd.core.shown import shown
from beatd.core.wallclock import last_reached, next_reached
from beatd.core.zone import Zone, wall_of
from beatd.errors import ScheduleInvalid

DEFAULT_START: Final = wall_of(datetime.fromisoformat("2000-01-01"))


class RRule(Rule):
    """A recurrence rule in a zone, from its start on."""

    __slots__ = ("_rule", "_times", "_until", "_zone")

    kind: ClassVar[str] = "rrule"

    def __init__(self, rule: RRuleText, zone: Zone, start: int) -> None:
        """``start``: wall seconds of the first possible slot."""
        self._rule, self._zone = rule, zone
        self._times = RRuleTimes(rule, start)
        self._until = None if rule.until is None else _instant(rule.until, zone)
        if self.next_ms((zone.reached(start) - 1) * 1_000) is None:
            raise ScheduleInvalid(f"rrule: {shown(rule.text)} never fires")

    def next_ms(self, after: int) -> int | None:
        slot = next_reached(self._zone, self._times, after // 1_000)
        return None if slot is None or (self._until is not None and slot > self._until) else slot * 1_000

    def last_ms(self, until: int) -> int | None:
        last = until // 1_000 if self._until is None else min(until // 1_000, self._until)
        slot = last_reached(self._zone, self._times, last)
        return None if slot is None else slot * 1_000

    def spec(self) -> dict[str, Any]:
        return {"rrule": self._rule.text}

    def words(self) -> str:
        until = None if self._until is None else instant_text(self._until * 1_000)
        return rrule_words(self._rule, self._times.start, until)

    def warnings(self) -> tuple[str, ...]:
        remark = shift_remark(self._zone, self._times, interval_like=False)
        return (remark,) if remark else ()

    def slot_remark(self, slot: int) -> str | None:
        return slot_remark(self._zone, self._times, False, slot // 1_000)

    def shift_effect(self, shift: Shift) -> str | None:
        over = self._until is not None and shift.instant > self._until
        return None if over else shift_effect(shift, self._times, interval_like=False)

    def explain(self) -> Explanation:
        return explain_rrule(self._rule, self._times.start)

    def _value(self) -> tuple[object, ...]:
        return (self._rule, self._zone, self._times.start)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RRule) and other._value() == self._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        return f"RRule({self._rule.text!r}, {self._zone.name!r})"


def _instant(text: str, zone: Zone) -> int:
    """UTC seconds of a moment such as 20261201T090000, wall time in the zone unless it ends with Z."""
    wall = wall_of(datetime.fromisoformat(text.removesuffix("Z")))
    return wall if text.endswith("Z") else zone.reached(wall)


def _read(request: Request) -> Rule:
    text, zone = request.spec["rrule"], request.zone
    if not isinstance(text, str):
        raise ScheduleInvalid(f"rrule: found {shown(text)}; a text such as 'FREQ=WEEKLY;BYDAY=MO' is accepted")
    rule = parse_rrule(text, zone.name)
    if rule.start is not None:
        instant = _instant(rule.start, zone)
        return RRule(rule, zone, instant + zone.offset(instant))
    if request.start is not None:
        instant = -(-request.start.ms // 1_000)
        return RRule(rule, zone, instant + zone.offset(instant))
    if rule.interval > 1 or rule.count is not None:
        key = "COUNT" if rule.count is not None else "INTERVAL"
        raise ScheduleInvalid(
            f"rrule: {key} counts from a start, and none is given", hint="give start, or a DTSTART line"
        )
    return RRule(rule, zone, DEFAULT_START)


KIND: Final = Kind("rrule", frozenset(), _read)
