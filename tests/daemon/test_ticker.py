"""Which of the overdue go first: a backlog makes nobody late who fell due after it."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import pytest

from beatd.core.entry import entry_from_spec
from beatd.core.fire import FireItem
from beatd.core.term import Term
from beatd.core.timetable import Stored
from beatd.core.window import Staged
from beatd.daemon.clock import ServerClock
from beatd.daemon.complaints import Complaints
from beatd.daemon.definitions import Definitions
from beatd.daemon.ports import TimetablePort
from beatd.daemon.session import MOST_STRIKES, REST_S, Session
from beatd.daemon.ticker import EARLY_MS, Ticker
from beatd.formats.celery import compile_template

NOW = 1_795_165_200_000
LONG = 5_000  # for so long nothing was fired: Redis stood still, or this process did


class Silent:
    def emit(self, event: str, **fields: object) -> None: ...

    def fired(self, items: Sequence[FireItem], at: int) -> None: ...


class Timetable:
    """What lies beyond the window, by name."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}

    async def newest(self, after: int, until: int, at_most: int) -> list[tuple[str, int]]:
        inside = [(name, moment) for name, moment in self.due.items() if after < moment <= until]
        return sorted(inside, key=lambda row: -row[1])[:at_most]

    async def revisions(self, names: Sequence[str]) -> list[str | None]:
        return ["rev" for _ in names]

    async def look(self, names: Sequence[str]) -> list[Stored]:
        return [stored(name, self.due[name]) for name in names]


def stored(name: str, moment: int) -> Stored:
    definition = entry_from_spec(name, {"task": "t.t", "every": "1s"}).to_definition().encode()
    return Stored(name, str(moment), "rev", definition, 0, 0, None)


class House:
    """A ticker on a clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.timetable = Timetable()
        self.clock = ServerClock(lambda: self.seconds)
        self.clock.observe(0.0, NOW + EARLY_MS)
        definitions = Definitions("default", partial(compile_template, origin="gen1@host"))
        port = cast(TimetablePort, self.timetable)
        self.session = Session(
            Term(1, "o", 0, NOW, 0, "i"), port, self.clock, definitions, Silent(), Complaints(self.clock.monotonic)
        )
        self.session.window.bound = NOW + 15_000
        self.session.trust_slots = True  # moments here are chosen for their order, not by the schedule
        self.ticker = Ticker(self.session, new_tag=lambda: "tag", prolonged=lambda term, sent: None)

    def stage(self, name: str, moment: int) -> None:
        self.session.window.stage(Staged(self.session.make_ready(stored(name, moment)), moment, None))

    async def take(self) -> list[str]:
        return [staged.name for staged in await self.ticker._take()]


@pytest.fixture
def house() -> House:
    return House()


async def test_what_fell_due_while_all_stood_still_need_not_wait_for_a_storm(house: House) -> None:
    for n in range(1_000):
        house.stage(f"storm-{n}", NOW - LONG)
    house.stage("heartbeat", NOW - LONG + 500)
    assert "heartbeat" in [*await house.take(), *await house.take()]


async def test_the_storm_itself_goes_on_with_full_batches(house: House) -> None:
    for n in range(1_000):
        house.stage(f"storm-{n}", NOW - LONG)
    assert [len(await house.take()) for _ in range(11)] == [100] * 10 + [0]


async def test_by_turns_what_fell_due_first_is_served_too(house: House) -> None:
    house.stage("oldest", NOW - 2 * LONG)
    for n in range(1_000):
        house.stage(f"storm-{n}", NOW - LONG)
    assert "oldest" in [*await house.take(), *await house.take()]


async def test_beyond_a_full_window_the_newest_are_read_first(house: House) -> None:
    house.session.window.bound = NOW - LONG  # it ends within the storm
    for n in range(300):
        house.stage(f"storm-{n}", NOW - LONG)
        house.timetable.due[f"second-{n}"] = NOW - LONG + 100
    house.timetable.due["heartbeat"] = NOW - LONG + 500
    assert (await house.take())[0] == "heartbeat"
    house.stage("heartbeat", NOW - LONG + 500)
    house.session.in_flight["heartbeat"] = house.session.window.take_fresh(NOW - LONG + 499, NOW - LONG + 500, 1)[0]
    assert "heartbeat" not in [*await house.take(), *await house.take()]


async def test_an_entry_whose_moves_are_refused_again_and_again_is_not_tried_without_end(house: House) -> None:
    house.session.window.bound = NOW - LONG
    house.timetable.due["stubborn"] = NOW - 500
    for _ in range(MOST_STRIKES):
        assert "stubborn" in [*await house.take(), *await house.take()]
        house.session.refused("stubborn")
    assert [await house.take() for _ in range(4)] == [[]] * 4
    house.seconds = REST_S
    house.session.next_suspects(10)
    assert "stubborn" in [*await house.take(), *await house.take()]


async def test_nothing_is_taken_before_its_moment(house: House) -> None:
    house.stage("soon", NOW + 1)
    assert await house.take() == []
    house.seconds = 0.001
    assert await house.take() == ["soon"]


async def test_a_moment_that_is_no_slot_is_left_to_the_planner(house: House) -> None:
    house.session.trust_slots = False
    house.session.window.bound = NOW - LONG
    house.timetable.due["stray"] = NOW - 501
    assert await house.take() == []
    assert house.session.next_suspects(10) == ["stray"]
