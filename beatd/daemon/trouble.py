"""What a service does while Redis is away: it tells once for each change of state, and tries again ever more rarely."""

import random
from typing import Final

from beatd.daemon.ports import EventSink
from beatd.errors import BeatdError, Unreachable

BACKOFF_S: Final = (0.05, 0.5)


class Trouble:
    """The failures of one service since it last worked. An outage of hours is a line or two in the log, not a flood."""

    def __init__(self, events: EventSink, random_source: random.Random, service: str | None = None) -> None:
        self._events = events
        self._random = random_source
        self._service = service
        self._told: set[tuple[type[BeatdError], str]] = set()
        self._longest = BACKOFF_S[0]

    @property
    def present(self) -> bool:
        """Whether it failed since it last worked."""
        return bool(self._told)

    def met(self, error: BeatdError) -> float:
        """Takes a failure, tells of it if it is news; gives the seconds to wait before the next try."""
        if (news := (type(error), error.message)) not in self._told:
            self._told.add(news)
            kind = "redis_down" if isinstance(error, Unreachable) else "lease_refused"
            self._events.emit(kind, error=error.message, hint=error.hint, service=self._service)
        self._longest = min(BACKOFF_S[1], self._longest * 2)
        return self._random.uniform(BACKOFF_S[0], self._longest)

    def over(self) -> None:
        """It works again."""
        self._longest = BACKOFF_S[0]
        if self._told:
            self._told.clear()
            self._events.emit("redis_up", service=self._service)
