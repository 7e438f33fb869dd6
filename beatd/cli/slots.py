"""Slots as the commands show them: rows of JSON, and columns for people."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from beatd.cli.show import distance, styled, table
from beatd.core.instant import instant_text
from beatd.core.preview import local_text, weekday_text
from beatd.core.schedules import Schedule
from beatd.core.zone import Zone, zone_named
from beatd.errors import ConfigInvalid, ScheduleInvalid


def slot_row(schedule: Schedule, slot: int, origin: int) -> dict[str, Any]:
    """One slot as JSON. ``in_s``: seconds from the origin (UTC ms), with a fraction where there is one."""
    seconds, rest = divmod(slot - origin, 1_000)
    row = {
        "slot": instant_text(slot),
        "local": local_text(slot, schedule.zone),
        "zone": schedule.timezone,
        "in_s": seconds + rest / 1_000 if rest else seconds,
        "dst": schedule.slot_remark(slot),
        "words": schedule.words(),
    }
    return {**row, "anchor_assumed": True} if schedule.anchor_assumed else row


def slot_table(schedule: Schedule, slots: Sequence[int], origin: int, *, later: bool) -> str:
    """Slots on the zone's clock and in UTC, how far away they are, and what the clock did there.

    ``later``: they are counted from an instant that was asked for, not from now.
    """
    zones = _shown_zones(schedule, os.environ)
    remarks = [schedule.slot_remark(slot) for slot in slots]
    heads = [name for name, _ in zones] + ["LATER" if later else "FROM NOW"] + (["DST"] if any(remarks) else [])
    rows = []
    for slot, remark in zip(slots, remarks, strict=True):
        away = distance(slot - origin)
        row = [_cell(slot, zone) for _, zone in zones]
        row[0] = f"{weekday_text(slot, schedule.zone)} {row[0]}"
        row.append(f"{away.removeprefix('in ')} later" if later else away)
        rows.append([*row, *([remark or ""] if any(remarks) else [])])
    head, *lines = table(heads, rows).split("\n")
    marked = [styled(line, fg="yellow") if remark else line for line, remark in zip(lines, remarks, strict=True)]
    return "\n".join([styled(head, bold=True), *marked])


def _shown_zones(schedule: Schedule, env: Mapping[str, str]) -> list[tuple[str, Zone | None]]:
    """Columns of instants: the schedule's zone, UTC (None: with Z), and BEATD_TZ, each once."""
    zones: dict[str, Zone | None] = {}
    if not schedule.zone.is_utc:
        zones[schedule.timezone] = schedule.zone
    zones["UTC"] = None
    if name := env.get("BEATD_TZ"):
        zone = display_zone(name)
        if not zone.is_utc:
            zones.setdefault(name, zone)
    return list(zones.items())


def display_zone(name: str) -> Zone:
    """The zone of BEATD_TZ. Raises ConfigInvalid."""
    try:
        return zone_named(name)
    except ScheduleInvalid as error:
        raise ConfigInvalid(error.message.replace("timezone:", "BEATD_TZ:", 1), hint=error.hint) from error


def _cell(slot: int, zone: Zone | None) -> str:
    """``2026-03-08 03:00:00 -04:00``, in UTC ``2026-03-08T07:00:00Z``."""
    if zone is None:
        return instant_text(slot)
    text = local_text(slot, zone)
    return re.sub(r"(?<=[0-9])(?=[+-][0-9:]+$)", " ", text.replace("T", " "))
