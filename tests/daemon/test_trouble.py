"""What a service does while Redis is away: how long it waits between tries, and how often it says so."""

import random

from beatd.daemon.trouble import Trouble
from beatd.errors import Unreachable


class Sink:
    """Keeps the names of the events."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def emit(self, event: str, **fields: object) -> None:
        self.told.append(event)

    def fired(self, items: object, at: int) -> None:
        raise AssertionError


def test_pauses_between_tries_are_bounded_however_many_have_failed_and_all_is_told_once() -> None:
    """1,100 tries: as in an outage of some minutes."""
    sink = Sink()
    trouble = Trouble(sink, random.Random(1))
    pauses = [trouble.met(Unreachable("no answer")) for _ in range(1_100)]
    assert max(pauses) <= 0.5
    assert sink.told == ["redis_down"]
    trouble.over()
    assert sink.told == ["redis_down", "redis_up"]
    assert trouble.met(Unreachable("no answer")) <= 0.1
