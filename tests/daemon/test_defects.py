"""A defect of ours that one entry brings to light: that entry becomes invalid, the daemon and the others go on."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from beatd.core.entry import entry_from_spec
from beatd.core.fire import FireItem, Template
from beatd.core.requests import Request, Serving, Standing, Wanted
from beatd.core.term import Term
from beatd.core.timetable import Stored
from beatd.daemon.clock import ServerClock
from beatd.daemon.complaints import Complaints
from beatd.daemon.definitions import Definitions
from beatd.daemon.ports import TimetablePort
from beatd.daemon.requests import Requests
from beatd.daemon.session import Session
from beatd.daemon.ticker import Ticker
from beatd.errors import EntryInvalid

NOW = 1_795_165_200_000


class Silent:
    def emit(self, event: str, **fields: object) -> None: ...

    def fired(self, items: Sequence[FireItem], at: int) -> None: ...


@dataclass
class Sturdy:
    queue_key: str = "celery"
    queue: str = "celery"
    attempts: int | None = None
    expires_ms: int | None = None
    expires_on: int | None = None

    def own(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        return ""

    def longest(self, own: str) -> int:
        return 100

    def render(self, own: str, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        return task_id.encode()


class Brittle(Sturdy):
    def render(self, own: str, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        raise OverflowError("year 10000 is out of range")


def compiled(task: str, queue: str, options: Mapping[str, Any]) -> Template:
    if task == "hopeless":
        raise RuntimeError("no template")
    return Brittle() if task == "brittle" else Sturdy()


def stored(name: str) -> Stored:
    definition = entry_from_spec(name, {"task": name, "every": "1s", "anchor": "2026-01-01T00:00:00Z"}).to_definition()
    return Stored(name, str(NOW), f"{random.random()}.f", definition.encode(), 0, 0, None)


@pytest.fixture
def session() -> Session:
    clock = ServerClock(lambda: 0.0)
    clock.observe(0.0, NOW)
    nothing = cast(TimetablePort, None)  # none of this asks Redis
    term, complaints = Term(1, "o", 0, NOW, 0, "i"), Complaints(clock.monotonic)
    return Session(term, nothing, clock, Definitions("default", compiled), Silent(), complaints)


def test_a_definition_on_which_compiling_breaks_is_invalid(session: Session) -> None:
    with pytest.raises(EntryInvalid, match="RuntimeError: no template"):
        session.stage(stored("hopeless"), NOW)


@pytest.mark.parametrize("name, said", [("hopeless", "RuntimeError"), ("brittle", "OverflowError")])
def test_a_request_on_which_something_breaks_is_refused_and_nothing_else_stops(
    session: Session, name: str, said: str
) -> None:
    service = Requests(session, cast(Any, None), lambda: "tag")
    request = Request("q", "open", 0, 0, NOW, "", Wanted("trigger", name))
    serving = service._make(name, request, Standing("r.f", stored(name).definition, 0, NOW))
    assert isinstance(serving, Serving)
    assert (serving.part.outcome, serving.messages, said in serving.part.why) == ("refused", (), True)


def test_an_entry_on_which_rendering_breaks_is_condemned_and_the_others_are_fired(session: Session) -> None:
    for name in ("a", "brittle", "b"):
        session.stage(stored(name), NOW)
    ticker = Ticker(session, new_tag=lambda: "tag", prolonged=lambda term, sent: None)

    batch = ticker._make_batch(session.window.take_due(NOW, 100))

    assert sorted(item.name for item in batch.items) == ["a", "b"]
    assert session.next_suspects(10) == ["brittle"]
    with pytest.raises(EntryInvalid, match="year 10000"):
        session.stage(stored("brittle"), NOW)
    session.stage(stored("brittle"), NOW)  # a later revision has its own chance
