"""A schedule explained: how often it runs, what the coming shifts of the clock do, and what else it could mean."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any, Final, NamedTuple

from beatd.core.instant import FIRST_MS, LAST_MS
from beatd.core.schedules import Schedule, parse_schedule
from beatd.core.schedules.explanation import Reading
from beatd.core.schedules.shifts import Shift, shifts
from beatd.core.tzif import DAY, EPOCH_ORDINAL
from beatd.core.zone import LAST_DAY
from beatd.errors import ScheduleInvalid

YEAR: Final = 365
HORIZON: Final = (
    3 * 366 * DAY
)  # a zone whose rule goes on shifts twice a year; others are done, or nothing is known yet
COUNTLESS: Final = 10**12  # more than every 10 ms for a year: all counts are exact


@dataclass(frozen=True, slots=True)
class Often:
    """Runs on whole local days from ``first`` on. ``usual`` is the commonest number on the days that have any."""

    first: date
    days: int
    runs: int
    active_days: int
    least: int
    usual: int
    most: int


class ShiftNote(NamedTuple):
    """A coming shift of the zone's clock; ``effect`` is None where the schedule is not touched."""

    shift: Shift
    effect: str | None


class Judged(NamedTuple):
    """A reading of an ambiguous rule with its words and its runs in a year, both empty when it never fires."""

    reading: Reading
    words: str | None
    runs: int


def how_often(schedule: Schedule, after: int) -> Often:
    """Counts the runs of the 365 local days that begin after an instant."""
    first = min((after // 1_000 + schedule.zone.offset(after // 1_000)) // DAY + 1, LAST_DAY - YEAR)
    counts = [_runs_of(schedule, day) for day in range(first, first + YEAR)]
    active = [count for count in counts if count]
    (usual, _), *_ = Counter(active).most_common(1) or [(0, 0)]
    return Often(
        first=date.fromordinal(first + EPOCH_ORDINAL),
        days=YEAR,
        runs=sum(counts),
        active_days=len(active),
        least=min(active, default=0),
        usual=usual,
        most=max(active, default=0),
    )


def _runs_of(schedule: Schedule, day: int) -> int:
    begin, end = schedule.zone.reached(day * DAY), schedule.zone.reached((day + 1) * DAY)
    return schedule.count_ms(begin * 1_000 - 1, end * 1_000 - 1, COUNTLESS)


def coming_shifts(schedule: Schedule, after: int, most: int) -> list[ShiftNote]:
    """The next shifts of the zone's clock while the schedule is in force, at most so many and three years ahead."""
    low, high = max(after, FIRST_MS) // 1_000 + 1, min(after // 1_000 + HORIZON, LAST_MS // 1_000)
    if schedule.start is not None:
        low = max(low, schedule.start.ms // 1_000)
        high = max(high, low + HORIZON)
    if schedule.end is not None:
        high = min(high, schedule.end.ms // 1_000)
    found = shifts(schedule.zone, low, high) if low <= high else iter(())
    return [
        ShiftNote(shift, schedule.rule.shift_effect(shift)) for shift in islice(found, most) if _lasts(schedule, shift)
    ]


def _lasts(schedule: Schedule, shift: Shift) -> bool:
    """Whether the schedule still has slots when a shift comes."""
    return schedule.next_ms((shift.instant - DAY) * 1_000) is not None


def judged_readings(schedule: Schedule, name: str | None, after: int) -> list[Judged]:
    """The readings of an ambiguous rule, the chosen one first, with their runs in the coming year."""
    return [_judged(schedule.to_spec(), reading, name, after) for reading in schedule.rule.explain().readings]


def _judged(spec: Mapping[str, Any], reading: Reading, name: str | None, after: int) -> Judged:
    try:
        schedule = parse_schedule({**spec, **reading.spec}, name=name)
    except ScheduleInvalid:  # no date has both: as true a reading as any other
        return Judged(reading, None, 0)
    return Judged(reading, schedule.words(), how_often(schedule, after).runs)


def often_words(often: Often) -> str:
    """``365 runs in the 365 days from 2026-11-21 on: 1 a day``."""
    span = f"the {often.days} days from {often.first.isoformat()} on"
    if not often.runs:
        return f"no run in {span}"
    if often.runs == 1:
        return f"1 run in {span}"
    total = f"{often.runs:,} runs in {span}"
    days = "a day" if often.active_days == often.days else f"on each of {often.active_days:,} days"
    if often.least == often.most:
        return f"{total}: {often.usual:,} {days}"
    return f"{total}: {often.least:,} to {often.most:,} {days}, mostly {often.usual:,}"
