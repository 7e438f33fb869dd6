"""Things told of an entry again and again: once a minute is enough."""

from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 60.0


class Complaints:
    """Outlives sessions: what begins with each of them anew would be told with each of them anew."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._told_at: dict[str, float] = {}  # the oldest first

    def may_tell(self, name: str) -> bool:
        """Whether this name was not told of within the last minute; then it counts as told now."""
        now = self._monotonic()
        while self._told_at and next(iter(self._told_at.values())) <= now - AGAIN_S:
            del self._told_at[next(iter(self._told_at))]
        if name in self._told_at:
            return False
        self._told_at[name] = now
        return True
