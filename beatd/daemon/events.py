"""Events as log lines: one a line, named in the past tense, with fields. Storms are summed up."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Final

from beatd.core.fire import FireItem
from beatd.core.instant import instant_text

MOST_LINES_A_SECOND: Final = 50
WARNINGS: Final = frozenset(
    {
        *("lease_lost", "lease_refused", "redis_down", "entry_invalid", "config_refused", "clock_stepped", "backlog"),
        "risk_found",
        "watchdog_expired",
    }
)
DETAILS: Final = frozenset({"loop_lagged"})
LOG: Final = logging.getLogger("beatd")


class LogEvents:
    """Fits ports.EventSink."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._second = 0
        self._lines = 0
        self._summed = 0

    def emit(self, event: str, **fields: object) -> None:
        """Logs one event."""
        level = logging.WARNING if event in WARNINGS else logging.DEBUG if event in DETAILS else logging.INFO
        shown = " ".join(f"{key}={_shown(value)}" for key, value in fields.items() if value is not None)
        LOG.log(level, "%s %s", event, shown, extra={"event": event, "fields": fields})

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        """One line a fire, up to 50 lines a second; beyond, one summary a second."""
        self._new_second()
        for item in items:
            for skip in item.skips:
                self.emit("entry_skipped", entry=item.name, reason=skip.reason, count=skip.count)
            if not item.slots:
                continue
            if self._lines >= MOST_LINES_A_SECOND:
                self._summed += len(item.slots)
                continue
            self._lines += 1
            late = at - item.expected
            self.emit("entry_fired", entry=item.name, slot=instant_text(item.slots[-1]), late_ms=late, id=item.task_id)

    def flush(self) -> None:
        """Logs what was summed up and not yet told."""
        if self._summed:
            self.emit("entries_fired", count=self._summed)
            self._summed = 0

    def _new_second(self) -> None:
        second = int(self._monotonic())
        if second != self._second:
            self.flush()
            self._second, self._lines = second, 0


def _shown(value: object) -> str:
    """A value on one line: quoted, with line ends and quotes escaped, unless it is a plain word."""
    text = str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())
