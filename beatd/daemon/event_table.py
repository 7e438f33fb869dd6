"""Every event that the daemon tells of: its level, its fields with their JSON types, and what it means.

The one table: the log takes its levels from here, docs/events.md is printed from it, and tests hold the code to it.
A field that has no value is left out of the line.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TEXT: Final = "text"
NUMBER: Final = "number"  # whole, unless its name says otherwise
INSTANT: Final = "instant"  # RFC 3339, UTC, with Z
JSON_TYPES: Final[Mapping[str, type]] = {TEXT: str, NUMBER: int, INSTANT: str}


@dataclass(frozen=True, slots=True)
class Kind:
    """One event. ``fields``: name -> (type, meaning). ``summed``: what tells of those beyond 50 lines a second."""

    level: int
    meaning: str
    fields: Mapping[str, tuple[str, str]]
    summed: str = "lines_omitted"


_ERROR: Final = {"error": (TEXT, "what was found"), "hint": (TEXT, "what to do")}
_ENTRY: Final = {"entry": (TEXT, "name of the entry")}
_REQUEST: Final = {
    **_ENTRY,
    "cause": (TEXT, "`trigger` or `backfill`"),
    "id": (TEXT, "of the request; of a trigger also its task id"),
    "messages": (NUMBER, "how many were pushed for it, in all"),
}
_SERVICE: Final = {"service": (TEXT, "which part of the daemon met it: `leader`, `private server`; none: the elector")}
_DEBUG, _INFO, _WARNING = logging.DEBUG, logging.INFO, logging.WARNING

EVENTS: Final[Mapping[str, Kind]] = {
    "started": Kind(
        _INFO,
        "the daemon runs; it may still wait for Redis",
        {
            "version": (TEXT, "of beatd"),
            "instance": (TEXT, "`host:pid`, as `beatd status` shows it"),
            "namespace": (TEXT, "whose entries it fires"),
            "http": (TEXT, "where health and metrics are served"),
        },
    ),
    "redis_met": Kind(
        _INFO,
        "a server that was not met before since its last start",
        {
            "version": (TEXT, "program and version"),
            "run": (TEXT, "its run id"),
            "note": (TEXT, "what could not be checked"),
        },
    ),
    "risk_found": Kind(
        _WARNING,
        "that server may lose data or is set wrong",
        {"risk": (TEXT, "what was found"), "hint": _ERROR["hint"]},
    ),
    "redis_down": Kind(
        _WARNING,
        "Redis does not answer, or refuses; it is tried again until `redis_up`",
        {
            **_ERROR,
            **_SERVICE,
            "untold": (NUMBER, "failures since the line before that were others again, and not told"),
        },
    ),
    "redis_up": Kind(_INFO, "it works again", _SERVICE),
    "broker_down": Kind(
        _WARNING,
        "the broker of `broker:` takes no messages; it is tried again until `broker_up`, and what is due waits",
        {**_ERROR, "untold": (NUMBER, "as of `redis_down`")},
    ),
    "broker_up": Kind(_INFO, "it takes messages again", {}),
    "message_returned": Kind(
        _WARNING,
        "a queue of the broker takes no messages; told once a minute at most",
        {
            "queue": (TEXT, "the queue"),
            "result": (TEXT, "`returned` (there is no such queue, or nothing leads to it) or `refused`"),
            "error": (TEXT, "what the broker said"),
            "count": (NUMBER, "messages that wait for it; its entries are blocked at 100"),
        },
    ),
    "leader_acquired": Kind(
        _INFO,
        "this instance leads: it fires",
        {"epoch": (NUMBER, "number of this term, higher than all before"), "instance": (TEXT, "`host:pid`")},
    ),
    "leader_released": Kind(
        _INFO,
        "it gave the lease back; a standby takes over at once",
        {
            "epoch": (NUMBER, "of the term that ended"),
            "reason": (TEXT, "why, where it could not fire"),
            "error": (TEXT, "why Redis could not be told; then a standby waits for the lease's time to live"),
        },
    ),
    "lease_lost": Kind(
        _WARNING,
        "it leads no more, and goes on as a candidate",
        {"epoch": (NUMBER, "of the term that ended"), "reason": (TEXT, "how it learnt of that")},
    ),
    "lease_refused": Kind(
        _WARNING,
        "it may not lead, or can't use what is stored; it is tried again until `redis_up`",
        {**_ERROR, **_SERVICE, "untold": (NUMBER, "as of `redis_down`")},
    ),
    "entry_fired": Kind(
        _INFO,
        "the message of a slot is on its queue; with another broker: that broker has confirmed it",
        {
            **_ENTRY,
            "slot": (INSTANT, "the slot; of several, the last"),
            "slots": (NUMBER, "how many, where there were several"),
            "late_ms": (NUMBER, "from the moment of the first of them to the enqueueing, by the clock of Redis"),
            "id": (TEXT, "task id; of several, the first"),
        },
        summed="entries_fired",
    ),
    "entries_fired": Kind(
        _INFO,
        "fires of one second beyond the 50 that have a line",
        {"count": (NUMBER, "slots fired"), "late_ms": (NUMBER, "of the latest of them")},
    ),
    "entry_skipped": Kind(
        _INFO,
        "slots that were not fired, on purpose",
        {
            **_ENTRY,
            "reason": (
                TEXT,
                "a reason of the history (`missed`, `undeliverable` ...); or `blocked`: its queue refused it",
            ),
            "count": (NUMBER, "slots; exact to 10,000"),
            "queue": (TEXT, "the key, or the queue of another broker, that refused"),
            "error": (TEXT, "`undeliverable`: why"),
        },
        summed="entries_skipped",
    ),
    "entries_skipped": Kind(
        _INFO,
        "skips of one second beyond the 50 that have a line; a line a reason",
        {"reason": (TEXT, "as of `entry_skipped`"), "entries": (NUMBER, "entries"), "count": (NUMBER, "slots")},
    ),
    "request_served": Kind(
        _INFO,
        "a trigger or a backfill is on its queue, whole",
        {**_REQUEST, "note": (TEXT, "what of its range the timetable fires by itself")},
    ),
    "request_refused": Kind(
        _WARNING,
        "a trigger or a backfill came to an end before that; the timetable goes on as it was",
        {**_REQUEST, "error": _ERROR["error"]},
    ),
    "entry_invalid": Kind(
        _WARNING,
        "an entry can't be used, or lay where none should, and was mended; the others go on",
        {
            **_ENTRY,
            "error": (TEXT, "what was found, and what became of it"),
            "count": (NUMBER, "entries; `entry` is the first of them"),
        },
        summed="entries_invalid",
    ),
    "entries_invalid": Kind(
        _WARNING,
        "those of one second beyond the 50 that have a line; `beatd ls` names them all",
        {"count": (NUMBER, "entries"), "entry": (TEXT, "the first of them")},
    ),
    "config_reloaded": Kind(
        _INFO,
        "files are in effect",
        {
            "put": (NUMBER, "entries written"),
            "removed": (NUMBER, "entries removed"),
            "renamed": (NUMBER, "entries renamed"),
            "gone": (TEXT, "names of those removed, ten at most"),
            "entries": (NUMBER, "entries in the files"),
            "warnings": (NUMBER, "of `beatd check`"),
            "needs_restart": (TEXT, "settings whose change needs a restart"),
        },
    ),
    "config_refused": Kind(
        _WARNING,
        "files, or one entry of them, are not in effect; what was good before goes on",
        {**_ERROR, **_ENTRY, "problems": (NUMBER, "how many")},
    ),
    "file_replaced": Kind(
        _INFO, "another instance's files are in effect, not this one's", {"by": (TEXT, "that instance, `host:pid`")}
    ),
    "files_differ": Kind(
        _WARNING, "a standby's files are not the stored ones", {"by": (TEXT, "whose are, `host:pid`"), **_ERROR}
    ),
    "clock_stepped": Kind(
        _WARNING,
        "the clock of Redis was set",
        {"by_ms": (NUMBER, "by how much; negative: back"), "note": (TEXT, "what follows")},
    ),
    "backlog": Kind(
        _WARNING,
        "something is owed, or lost, or a part of the work has to wait",
        {
            "reason": (
                TEXT,
                (
                    "`rollback` (older data came back), `wipe` (Redis came back empty), `outbox` (messages of another "
                    "broker wait, or too many), `upkeep`, `change log`, `requests`"
                ),
            ),
            **_ERROR,
            "lost": (NUMBER, "`wipe`: entries that are gone"),
            "seq": (NUMBER, "`rollback`: the batch that Redis knows of"),
            "expected": (NUMBER, "`rollback`: the batch that was the last"),
        },
    ),
    "loop_lagged": Kind(
        _DEBUG, "something held the process for more than 100 ms", {"lag_ms": (NUMBER, "for how long")}
    ),
    "lines_omitted": Kind(
        _WARNING,
        "lines of an event beyond the 50 of one second",
        {"of": (TEXT, "which event"), "count": (NUMBER, "lines")},
    ),
    "lines_lost": Kind(
        _WARNING,
        "lines that could not be written: a pipe that nobody reads, a full disk",
        {"count": (NUMBER, "lines")},
    ),
    "watchdog_expired": Kind(
        logging.CRITICAL,
        "the process hangs, and ends with 70",
        {"missed": (NUMBER, "samples in a row, one a second, without a sign of life")},
    ),
    "stopped": Kind(
        _INFO,
        "the daemon ends, its lease handed over",
        {"signal": (TEXT, "what ended it"), "reason": (TEXT, "why, where no signal did")},
    ),
}


def faults_of(event: str, fields: Mapping[str, object]) -> list[str]:
    """What the table does not know of an event as it was told."""
    kind = EVENTS.get(event)
    if kind is None:
        return [f"{event} is no event"]
    return [fault for name, value in fields.items() if (fault := _fault(event, kind, name, value))]


def _fault(event: str, kind: Kind, name: str, value: object) -> str:
    if name not in kind.fields:
        return f"{event} has no field {name}"
    wanted = JSON_TYPES[kind.fields[name][0]]
    return "" if type(value) is wanted else f"{event}: {name} is {value!r}, and no {kind.fields[name][0]}"


def page() -> str:
    """The table of docs/events.md, in Markdown."""
    return "\n".join(["| event | level | means | fields |", "|---|---|---|---|", *(_row(name) for name in EVENTS)])


def _row(event: str) -> str:
    kind = EVENTS[event]
    fields = "<br>".join(
        f"`{name}` ({what}): {meaning}" if what != TEXT else f"`{name}`: {meaning}"
        for name, (what, meaning) in kind.fields.items()
    )
    return f"| `{event}` | {logging.getLevelName(kind.level).lower()} | {kind.meaning} | {fields} |"
