"""The first words with a server: is it one that beatd can work with, and what should the operator know about it?"""

from beatd.core.server import ServerFacts, check_usable, risks_of, unknown_of
from beatd.daemon.ports import EventSink
from beatd.errors import ConfigInvalid


class Greeting:
    """Judges each server that is met, and tells of it once for each start of a server."""

    def __init__(self, events: EventSink, *, place: str, strict: bool) -> None:
        self._events = events
        self._place = place
        self._strict = strict
        self._met: set[str | None] = set()

    @property
    def over(self) -> bool:
        """Whether some server was met."""
        return bool(self._met)

    def met(self, facts: ServerFacts) -> None:
        """Raises AccessDenied for a server that can't be used, and ConfigInvalid for the first one when it is not
        safe and ``strict`` was asked for. A later one, after a failover, is warned of: to end then helps nobody.
        """
        check_usable(facts, self._place)
        if facts.identity in self._met:
            return
        risks = list(risks_of(facts))
        refused = [risk for risk in risks if risk.strict]
        if self._strict and not self._met and refused:
            raise ConfigInvalid(
                f"{self._place}: {'; '.join(risk.text for risk in refused)}",
                hint=f"{'; '.join(risk.hint for risk in refused)}; or start without --strict",
            )
        self._met.add(facts.identity)
        self._events.emit("redis_met", version=facts.product, run=facts.identity, note=unknown_of(facts))
        for risk in risks:
            self._events.emit("risk_found", risk=risk.text, hint=risk.hint)
