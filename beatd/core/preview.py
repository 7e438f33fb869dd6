"""The coming slots of a schedule, for people: how they look on the zone's clock, and why there are none."""

from collections.abc import Iterator

from beatd.core.instant import FIRST_MS, LAST_MS, instant_text
from beatd.core.schedules import Schedule
from beatd.core.tzif import DAY
from beatd.core.zone import Zone, naive_of

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def coming_slots(schedule: Schedule, after: int, until: int | None, most: int) -> Iterator[int]:
    """The first slots strictly after one instant and at or before another, at most so many. UTC milliseconds."""
    slot = after
    for _ in range(most):
        found = schedule.next_ms(slot)
        if found is None or (until is not None and found > until):
            return
        yield found
        slot = found


def local_text(ms: int, zone: Zone) -> str:
    """RFC 3339 with the zone's offset, milliseconds only when not zero: ``2026-03-08T03:00:00-04:00``.

    In UTC with Z where the zone's clock shows a year before 1 or after 9999.
    """
    offset = zone.offset(ms // 1_000)
    wall = ms + offset * 1_000
    if not FIRST_MS <= wall <= LAST_MS:
        return instant_text(ms)
    return instant_text(wall)[:-1] + offset_text(offset)


def offset_text(offset: int) -> str:
    """``+01:00``, ``-03:30``; with seconds for the mean solar times of old."""
    minutes, seconds = divmod(abs(offset), 60)
    text = f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


def weekday_text(ms: int, zone: Zone) -> str:
    """``Mon`` to ``Sun``, of the zone's date at an instant."""
    days = (ms // 1_000 + zone.offset(ms // 1_000)) // DAY
    return WEEKDAYS[(days + 3) % 7]


def why_none(schedule: Schedule, after: int, until: int | None) -> str:
    """Why no slot lies in (after, until], in a sentence."""
    found = schedule.next_ms(after)
    if found is not None:
        bound = "" if until is None else f", after {instant_text(until)}"
        return f"the next slot is {instant_text(found)}{bound}"
    last = schedule.last_ms(LAST_MS)
    if last is None:
        return "no slot lies between start and end"
    if schedule.end is not None and schedule.rule.next_ms(after) is not None:
        return f"the schedule ends {schedule.end.text}; its last slot was {instant_text(last)}"
    if schedule.kind == "at":
        return f"its only slot, {instant_text(last)}, is not after {instant_text(after)}"
    return f"its last slot was {instant_text(last)}"


def clock_text(wall: int) -> str:
    """Wall seconds as ``Sun 2026-03-08 02:00``."""
    shown = naive_of(wall)
    return f"{WEEKDAYS[shown.weekday()]} {shown:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
