"""One stored entry as a row: its fields in JSON, and its cells in a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from beatd.cli.show import distance, instant
from beatd.cli.stored import entry_of, pause_of
from beatd.cli.table import Column, Style
from beatd.client.state import next_moment, owner_of
from beatd.core.entry import ENTRY_KEYS, Entry
from beatd.core.instant import FIRST_MS, LAST_MS
from beatd.core.last_run import last_run
from beatd.core.listing import LATE_MS
from beatd.core.preview import local_text
from beatd.core.zone import Zone
from beatd.store.entries import Row
from beatd.store.spoilt import object_of

NEVER: Final = "never"
FIELDS: Final = (
    *(
        "name",
        "state",
        "why",
        "schedule",
        "words",
        "timezone",
        "next",
        "left_s",
        "last",
        "fired_at",
        "result",
        "reason",
    ),
    *("paused", "owner", "revision", "tags", "task", "queue", "unknown"),
)
# What goes first on a narrow terminal has the lowest rank.
COLUMNS: Final = (
    Column("NAME", least=24, wish=40),
    Column("SCHEDULE", least=20, rank=5, wish=40),
    Column("NEXT", rank=4),
    Column("LEFT"),
    Column("LAST", rank=1, spare=True),
    Column("AGO", rank=3, spare=True),
    Column("RESULT", least=7, rank=2, spare=True),
    Column("STATE", least=18, wish=40),
)
WIDE: Final = (
    *COLUMNS,
    *map(Column, ("TASK", "QUEUE", "OWNER", "TAGS", "TIMEZONE", "WORDS", "REVISION")),
)
COLOURS: Final[Mapping[str, dict[str, Any]]] = {
    "paused": {"fg": "yellow"},
    "blocked": {"fg": "red"},
    "invalid": {"fg": "red"},
    "disabled": {"dim": True},
    "finished": {"dim": True},
    NEVER: {"dim": True},
    "late": {"fg": "red"},
    "skipped": {"fg": "yellow"},
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A row that was read at an instant of Redis (UTC ms), with what its definition says."""

    row: Row
    now: int
    spec: Mapping[str, Any]
    entry: Entry | None

    @property
    def next(self) -> int | None:
        """Its next moment, UTC ms: by the timetable, or by its schedule where that is still to be planned."""
        return next_moment(self.row, self.entry, None)

    @property
    def is_late(self) -> bool:
        """Whether its moment has come, and nothing was sent."""
        moment = self.row.moment
        scheduled = self.row.state_at(self.now) == "scheduled"
        return scheduled and moment is not None and 0 <= moment < self.now - LATE_MS


def shown(row: Row, now: int) -> Shown:
    """A row, read."""
    return Shown(row, now, object_of(row.definition), entry_of(row))


def fields(it: Shown) -> dict[str, Any]:
    """The fields of JSON, which are a promise."""
    row, entry, spec = it.row, it.entry, it.spec
    ran, moment = last_run(row.last), it.next
    return {
        "name": row.name,
        "state": row.state_at(it.now),
        "why": row.why_invalid(),
        "schedule": None if entry is None else schedule_text(entry),
        "words": None if entry is None else entry.schedule.words(),
        "timezone": None if entry is None else entry.schedule.timezone,
        "next": instant(moment),
        "left_s": None if moment is None else (moment - it.now) / 1_000,
        "last": instant(ran.slot),
        "fired_at": instant(ran.at),
        "result": ran.result,
        "reason": ran.reason if ran.result == "skipped" else None,
        "paused": pause_of(row, it.now),
        "owner": owner_of(row),
        "revision": row.rev,
        "tags": _texts(spec.get("tags")),
        "task": _text(spec.get("task")),
        "queue": entry.queue if entry else _text(spec.get("queue")),
        "unknown": unknown_of(spec),
    }


def unknown_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that another version of beatd has written, and that this one does not know."""
    return {key: spec[key] for key in sorted(spec) if key not in ENTRY_KEYS}


def schedule_text(entry: Entry) -> str:
    """``cron: 0 9 * * *``."""
    spec = entry.schedule.to_spec()
    return f"{entry.schedule.kind}: {spec[entry.schedule.kind]}"


def state_text(found: Mapping[str, Any]) -> str:
    """`paused until 2026-12-01T00:00:00Z by ann@web-1: a deploy`; any other state is one word."""
    pause = found["paused"]
    if found["state"] != "paused" or pause is None:
        return str(found["state"])
    until = f" until {pause['until']}" if pause.get("until") else ""
    by = f" by {pause['who']}" if pause["who"] else ""
    return f"paused{until}{by}{': ' if pause['note'] else ''}{pause['note']}"


def cells(it: Shown, found: Mapping[str, Any], zone: Zone | None, *, to_ms: bool) -> list[str]:
    """The cells of WIDE, of which those of COLUMNS are the first. zone: in which instants are shown; None: UTC.

    to_ms: instants to the millisecond, else to the second that they lie in.
    """
    ran, moment = last_run(it.row.last), it.next
    unit = 1 if to_ms else 1_000
    never = "-" if ran.slot is not None else NEVER
    zone_text = "" if found["timezone"] in (None, "UTC") else f" ({found['timezone']})"
    return [
        it.row.name,
        f"{found['schedule'] or '-'}{zone_text}",
        clock(moment, zone, unit) or "-",
        "-" if moment is None else distance(moment - it.now),
        clock(ran.slot, zone, unit) or never,
        never if ran.at is None else distance(ran.at - it.now),
        ran.result if ran.result != "skipped" else f"skipped: {ran.reason}",
        state_text(found),
        found["task"] or "-",
        found["queue"] or "-",
        found["owner"],
        " ".join(found["tags"]) or "-",
        found["timezone"] or "-",
        found["words"] or "-",
        found["revision"],
    ]


def styles(it: Shown, found: Mapping[str, Any], count: int) -> list[Style | None]:
    """How the cells of the first so many columns look."""
    late = _style("late") if it.is_late else None
    ran = _style(NEVER) if found["last"] is None else None
    result = _style(found["result"])
    looks = [None, None, late, late, ran, ran, result, _style(found["state"])]
    return [*looks, *[None] * (count - len(looks))]


def clock(ms: int | None, zone: Zone | None, unit: int = 1) -> str | None:
    """An instant as RFC 3339, in a zone or UTC. unit: ms down to whose multiple it is shown."""
    ms = None if ms is None else ms // unit * unit
    if ms is None or zone is None or not FIRST_MS <= ms <= LAST_MS:
        return instant(ms)
    return local_text(ms, zone)


def _style(name: str) -> Style | None:
    look = COLOURS.get(name)
    return None if look is None else _painter(look)


def _painter(look: dict[str, Any]) -> Callable[[str], str]:
    return lambda text: click.style(text, **look)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
