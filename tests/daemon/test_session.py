"""What planner and ticker share: suspects, strikes and rests."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import pytest

from beatd.core.entry import entry_from_spec
from beatd.core.fire import FireItem
from beatd.core.term import Term
from beatd.core.timetable import Stored
from beatd.daemon.clock import ServerClock
from beatd.daemon.complaints import AGAIN_S, Complaints
from beatd.daemon.definitions import Definitions
from beatd.daemon.ports import TimetablePort
from beatd.daemon.session import MOST_STRIKES, REST_S, Session
from beatd.errors import EntryInvalid
from beatd.formats.celery import compile_template


class Told:
    """Events as a list."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        self.events.append(("fired", {"items": items, "at": at}))


class House:
    """A session on a clock that the test moves; it never talks to its timetable here."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told = Told()
        clock = ServerClock(lambda: self.now)
        definitions = Definitions("default", partial(compile_template, origin="gen1@host"))
        term = Term(epoch=1, owner="o", until=0, now=0, seq=0, incarnation="i")
        complaints = Complaints(lambda: self.now)
        self.session = Session(term, cast(TimetablePort, None), clock, definitions, self.told, complaints)


@pytest.fixture
def house() -> House:
    return House()


def stored(name: str, definition: bytes | None = None) -> Stored:
    text = definition or entry_from_spec(name, {"task": "app.run", "every": "1m"}).to_definition().encode()
    return Stored(name, "5", f"rev-{name}", text, 0, 0, 7)


def test_suspects_are_looked_at_once_in_the_order_they_came(house: House) -> None:
    session = house.session
    session.suspect("b", "a")
    session.suspect("a", "c")
    assert session.planner_wakes.is_set()
    assert (session.next_suspects(2), session.next_suspects(2), session.next_suspects(2)) == (["b", "a"], ["c"], [])


def test_what_is_staged_of_a_suspect_is_dropped_when_it_is_looked_at(house: House) -> None:
    session = house.session
    session.stage(stored("a"), 5)
    session.suspect("a")
    assert len(session.window) == 1
    assert session.next_suspects(10) == ["a"]
    assert len(session.window) == 0


def test_a_refused_move_is_looked_at_again(house: House) -> None:
    house.session.refused("a")
    assert house.session.next_suspects(10) == ["a"]
    assert house.told.events == []


def test_five_refusals_in_a_row_are_told_and_the_entry_rests(house: House) -> None:
    session = house.session
    for _ in range(MOST_STRIKES):
        session.next_suspects(10)
        session.refused("a")
    assert [(event, fields["entry"]) for event, fields in house.told.events] == [("entry_invalid", "a")]
    assert session.next_suspects(10) == []
    house.now += REST_S - 0.01
    assert session.next_suspects(10) == []
    house.now += 0.01
    assert session.next_suspects(10) == ["a"]
    assert session.next_suspects(10) == []


def test_after_its_rest_an_entry_has_five_tries_again(house: House) -> None:
    session = house.session
    for _ in range(2 * MOST_STRIKES - 1):
        session.refused("a")
    session.next_suspects(10)
    house.now += REST_S
    assert session.next_suspects(10) == ["a"]
    assert not session.rests("a")
    session.refused("a")
    assert session.rests("a")


def test_an_entry_that_is_refused_for_ever_is_told_of_once_a_minute(house: House) -> None:
    session, began = house.session, house.now
    while house.now < began + 2 * AGAIN_S:
        for _ in range(MOST_STRIKES):
            session.refused("a")
        house.now += 1.0
    session.refused("b")
    assert [event for event, _ in house.told.events] == ["entry_invalid", "entry_invalid"]
    for _ in range(MOST_STRIKES - 1):
        session.refused("b")
    assert [fields["entry"] for _, fields in house.told.events] == ["a", "a", "b"]


def test_an_accepted_move_forgets_the_refusals_of_that_entry_alone(house: House) -> None:
    session = house.session
    for _ in range(MOST_STRIKES - 1):
        session.refused("a")
        session.refused("b")
    session.accepted("a")
    session.refused("a")
    session.refused("b")
    assert [fields["entry"] for _, fields in house.told.events] == ["b"]


def test_an_edit_of_a_resting_entry_is_looked_at_at_once(house: House) -> None:
    session = house.session
    for _ in range(MOST_STRIKES):
        session.refused("a")
    session.next_suspects(10)
    session.suspect("a")
    assert session.next_suspects(10) == ["a"]


def test_an_entry_is_staged_with_its_runs_left(house: House) -> None:
    house.session.stage(stored("a"), 5)
    (found,) = house.session.window.take_due(5, 10)
    assert (found.name, found.moment, found.left, found.compiled.rev) == ("a", 5, 7, "rev-a")


def test_what_cannot_be_read_is_not_staged(house: House) -> None:
    with pytest.raises(EntryInvalid):
        house.session.stage(stored("a", b"no json"), 5)
    assert len(house.session.window) == 0


def test_a_restart_forgets_what_is_staged_and_wakes_the_planner(house: House) -> None:
    session = house.session
    session.stage(stored("a"), 5)
    session.window.bound, generation = 10, session.window.generation
    session.restart()
    assert (len(session.window), session.window.bound, session.window.generation) == (0, -1, generation + 1)
    assert session.planner_wakes.is_set()
