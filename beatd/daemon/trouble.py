"""What a service does while Redis is away: it tells once for each change of state, and tries again ever more rarely."""

import random
from collections.abc import Callable
from typing import Final, NamedTuple

from beatd.daemon.ports import EventSink
from beatd.errors import BeatdError, Unreachable

BACKOFF_S: Final = (0.05, 0.5)
MOST_CHANGES: Final = 10  # told at once; a link that flaps for longer is told of as often as CHANGE_S allows
CHANGE_S: Final = 10.0
MOST_TEXTS: Final = 10  # of one outage, told at once; then after NEXT_TEXT_S, doubled each time
NEXT_TEXT_S: Final = (60.0, 3_600.0)


class Words(NamedTuple):
    """The events that tell of it: no answer, a refusal, and that it works again."""

    down: str = "redis_down"
    refused: str = "lease_refused"
    up: str = "redis_up"


REDIS: Final = Words()


class Trouble:
    """The failures of one service since it last worked. An outage of hours is a line or two in the log, not a flood,
    though its words change with each try, and so is a link that comes and goes. The last line always says how it is:
    what was held back is told as soon as it may be.
    """

    def __init__(
        self,
        events: EventSink,
        random_source: random.Random,
        monotonic: Callable[[], float],
        service: str | None = None,
        *,
        words: Words = REDIS,
        backoff: tuple[float, float] = BACKOFF_S,
    ) -> None:
        self._events = events
        self._random = random_source
        self._monotonic = monotonic
        self._service = {} if service is None else {"service": service}
        self._words = words
        self._backoff = backoff
        self._longest = backoff[0]
        self._said_down = False  # by the last line
        self._changes = float(MOST_CHANGES)  # that may be told at once
        self._changes_at = monotonic()
        self._told: set[tuple[type[BeatdError], str]] = set()  # of this outage
        self._next_text_at = 0.0
        self._text_s = NEXT_TEXT_S[0]
        self._untold: set[tuple[type[BeatdError], str]] = set()

    def met(self, error: BeatdError) -> float:
        """Takes a failure, tells of it if it is news; gives the seconds to wait before the next try."""
        news = type(error), error.message
        if news not in self._told:
            if self._may_tell():
                self._tell(error)
            elif len(self._untold) < MOST_CHANGES:
                self._untold.add(news)
        self._longest = min(self._backoff[1], self._longest * 2)
        return self._random.uniform(self._backoff[0], self._longest)

    def over(self) -> None:
        """It works again."""
        self._longest = self._backoff[0]
        if self._said_down and self._may_change():
            self._said_down = False
            self._events.emit(self._words.up, **self._service)
        self._told.clear()
        self._untold.clear()
        self._text_s = NEXT_TEXT_S[0]

    def _may_tell(self) -> bool:
        """Whether a failure may be told: as a change of state, or as another text of the same outage."""
        if not self._said_down or not self._told:
            return self._may_change()
        if len(self._told) < MOST_TEXTS:
            return True
        now = self._monotonic()
        if now < self._next_text_at:
            return False
        self._text_s = min(NEXT_TEXT_S[1], 2 * self._text_s)
        return True

    def _may_change(self) -> bool:
        now = self._monotonic()
        self._changes = min(float(MOST_CHANGES), self._changes + (now - self._changes_at) / CHANGE_S)
        self._changes_at = now
        if self._changes < 1:
            return False
        self._changes -= 1
        return True

    def _tell(self, error: BeatdError) -> None:
        self._untold.discard((type(error), error.message))
        kind = self._words.down if isinstance(error, Unreachable) else self._words.refused
        untold = len(self._untold) or None
        self._events.emit(kind, error=error.message, hint=error.hint, untold=untold, **self._service)
        self._said_down = True
        self._untold.clear()
        self._told.add((type(error), error.message))
        self._next_text_at = self._monotonic() + self._text_s
