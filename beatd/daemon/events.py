"""Events as log lines: one a line, named in the past tense, with fields. Storms are summed up."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from beatd.core.fire import FireItem
from beatd.core.instant import instant_text
from beatd.daemon.event_table import EVENTS
from beatd.daemon.log_lines import EventText

MOST_LINES_A_SECOND: Final = 50  # of each event
SECOND_S: Final = 1.0
LOG: Final = logging.getLogger("beatd")


class LogEvents:
    """Fits ports.EventSink. ``later`` calls a function after some seconds: so a sum is told when its second is over,
    though nothing follows it.
    """

    def __init__(
        self, monotonic: Callable[[], float], later: Callable[[float, Callable[[], None]], object] | None = None
    ) -> None:
        self._monotonic = monotonic
        self._later = later
        self._second = 0
        self._lines: Counter[str] = Counter()
        self._fires = 0  # beyond the lines of this second
        self._latest_ms = 0
        self._sums: dict[tuple[str, str], _Sum] = {}

    def emit(self, event: str, **fields: object) -> None:
        """Logs one event, or adds it to the sum of this second."""
        self._new_second()
        self._tell(event, fields)

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        """A line a fire, up to 50 a second; beyond, one sum a second."""
        self._new_second()
        for item in items:
            for skip in item.skips:
                self._tell("entry_skipped", {"entry": item.name, "reason": skip.reason, "count": skip.count})
            if not item.slots:
                continue
            late = at - item.expected
            if self._lines["entry_fired"] < MOST_LINES_A_SECOND:
                self._tell("entry_fired", _fields_of(item, late))
                continue
            if not self._fires:
                self._wake_later()
            self._fires += len(item.slots)
            self._latest_ms = max(self._latest_ms, late)

    def flush(self) -> None:
        """Logs what was summed up and not yet told."""
        sums, self._sums = self._sums, {}
        if self._fires:
            _log("entries_fired", {"count": self._fires, "late_ms": self._latest_ms})
            self._fires = self._latest_ms = 0
        for (event, _), summed in sums.items():
            _log(*summed.told(event))

    def _tell(self, event: str, fields: Mapping[str, object]) -> None:
        self._lines[event] += 1
        if self._lines[event] <= MOST_LINES_A_SECOND:
            _log(event, fields)
            return
        if not self._sums:
            self._wake_later()
        reason = str(fields.get("reason", "")) if event == "entry_skipped" else ""
        self._sums.setdefault((event, reason), _Sum(fields)).add(fields)

    def _new_second(self) -> None:
        second = int(self._monotonic())
        if second != self._second:
            self.flush()
            self._second = second
            self._lines.clear()

    def _wake_later(self) -> None:
        if self._later is not None:
            self._later(SECOND_S, self._new_second)


class _Sum:
    """Events of one kind beyond the lines of a second."""

    def __init__(self, first: Mapping[str, object]) -> None:
        self._first = first
        self._events = 0
        self._count = 0

    def add(self, fields: Mapping[str, object]) -> None:
        count = fields.get("count")
        self._events += 1
        self._count += count if isinstance(count, int) else 1

    def told(self, event: str) -> tuple[str, Mapping[str, object]]:
        """The event that tells of them, with its fields."""
        match EVENTS[event].summed if event in EVENTS else "":
            case "entries_skipped":
                reason = self._first.get("reason")
                return "entries_skipped", {"reason": reason, "entries": self._events, "count": self._count}
            case "entries_invalid":
                return "entries_invalid", {"count": self._count, "entry": self._first.get("entry")}
        return "lines_omitted", {"of": event, "count": self._events}


def _fields_of(item: FireItem, late_ms: int) -> Mapping[str, object]:
    several = len(item.slots) if len(item.slots) > 1 else None
    slot = instant_text(item.slots[-1])
    return {"entry": item.name, "slot": slot, "slots": several, "late_ms": late_ms, "id": item.task_id}


def _log(event: str, fields: Mapping[str, object]) -> None:
    level = EVENTS[event].level if event in EVENTS else logging.INFO
    if LOG.isEnabledFor(level):
        LOG.log(level, EventText(event, fields), extra={"event": event, "fields": fields})
