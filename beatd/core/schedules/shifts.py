"""What the shifts of a zone's clock do to a schedule of wall times, in words."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from beatd.core.tzif import DAY
from beatd.core.wallclock import WallTimes
from beatd.core.zone import EPOCH, Zone, naive_of, wall_of

# Far enough ahead that only lasting rules count, and 28 years long, so that dates and weekdays meet in every way.
SAMPLE_START: Final = wall_of(EPOCH.replace(year=2036))
SAMPLE_END: Final = wall_of(EPOCH.replace(year=2064))


class Shift(NamedTuple):
    """The clock goes from one wall time to another at an instant: forward over a gap, back over a fold."""

    instant: int
    before: int
    after: int


def shifts(zone: Zone, first: int, last: int) -> Iterator[Shift]:
    """The shifts of a zone's clock at instants in [first, last]."""
    index, end = zone.index(first), zone.index(last)
    starts, offsets, _, _ = zone.segments
    for i in range(max(index, 1), end + 1):
        if first <= starts[i] <= last:
            yield Shift(starts[i], starts[i] + offsets[i - 1], starts[i] + offsets[i])


def shift_remark(zone: Zone, times: WallTimes, interval_like: bool) -> str | None:
    """A sentence about the first shift, in a sample of coming years, that touches the schedule; None without one.

    Interval-like schedules that run around the clock are no surprise, and so get none.
    """
    for shift in shifts(zone, SAMPLE_START, SAMPLE_END):
        low, high = sorted((shift.before, shift.after))
        inside = times.at_or_after(low)
        if inside is None or inside >= high or (interval_like and _around(times, low, high)):
            continue
        return f"in {zone.name} {_sentence(shift, interval_like)} (so on {_date(shift.before)})"
    return None


def shift_effect(shift: Shift, times: WallTimes, interval_like: bool) -> str | None:
    """What one shift does to a schedule; None when it touches none of its times."""
    low, high = sorted((shift.before, shift.after))
    inside = times.at_or_after(low)
    if inside is None or inside >= high:
        return None
    if shift.after < shift.before:
        return "runs in both passes" if interval_like else "runs in the first pass only"
    if interval_like:
        return "does not run in what is skipped"
    later = times.at_or_after(inside + 1)
    more = later is not None and later < high
    what = f"{_clock(inside)} and what follows it run once," if more else f"{_clock(inside)} runs"
    return f"{what} at {_clock(shift.after)}"


def slot_remark(zone: Zone, times: WallTimes, interval_like: bool, slot: int) -> str | None:
    """What the clock did at one slot of the schedule."""
    for shift in shifts(zone, slot - DAY, slot + DAY):
        if shift.after > shift.before:
            skipped = times.at_or_after(shift.before)
            if not interval_like and slot == shift.instant and skipped is not None and skipped < shift.after:
                return f"{_clock(skipped)} is skipped by the clock: runs at {_clock(shift.after)}"
            continue
        wall = slot + zone.offset(slot)
        if shift.after <= wall < shift.before:
            order = "second" if slot >= shift.instant else "first"
            return f"{_clock(wall)} comes twice: {order} pass"
    return None


def _around(times: WallTimes, low: int, high: int) -> bool:
    """Whether the schedule also runs in the equally long stretches beside a shift, as one around the clock does."""
    length = high - low
    return all(_runs(times, low - length * n, high - length * n) for n in (-1, 1))


def _runs(times: WallTimes, low: int, high: int) -> bool:
    found = times.at_or_after(low)
    return found is not None and found < high


def _sentence(shift: Shift, interval_like: bool) -> str:
    if shift.after > shift.before:
        what = "does not run" if interval_like else f"runs once, at {_clock(shift.after)}"
        return f"the clock skips {_clock(shift.before)} to {_clock(shift.after)}: what lies between {what}"
    what = "runs in both passes" if interval_like else "runs in the first pass only"
    return f"the clock repeats {_clock(shift.after)} to {_clock(shift.before)}: what lies between {what}"


def _clock(wall: int) -> str:
    return naive_of(wall).strftime("%H:%M:%S").removesuffix(":00")


def _date(wall: int) -> str:
    return naive_of(wall).date().isoformat()
