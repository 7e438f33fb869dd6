"""Several sinks of events as one."""

from collections.abc import Sequence

from beatd.core.fire import FireItem
from beatd.daemon.ports import EventSink


class Sinks:
    """Fits ports.EventSink: each of them hears all."""

    def __init__(self, *sinks: EventSink) -> None:
        self._sinks = sinks

    def emit(self, event: str, **fields: object) -> None:
        """One event, for each."""
        for sink in self._sinks:
            sink.emit(event, **fields)

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        """One batch, for each."""
        for sink in self._sinks:
            sink.fired(items, at)
