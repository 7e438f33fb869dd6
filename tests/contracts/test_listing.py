"""A list of entries against a real server: its order, its filters, its pages, and others who move meanwhile."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from beatd.client.listing import PAGE, Listing
from beatd.client.steps import Ask, Steps, drive
from beatd.core.listing import ASKED_STATES, PLACES, Wanted
from beatd.store.blocking import BlockingLink
from beatd.store.entries import Row
from tests.support.servers import RedisServer
from tests.support.store import REV, Store

FAR = 4_000_000_000_000  # no clock of a test is there yet


class Reader:
    """Reads lists, and counts what it asked for."""

    def __init__(self, link: BlockingLink) -> None:
        self.link = link
        self.asked: list[Sequence[Any]] = []

    def run(self, steps: Steps[Any]) -> Any:
        return drive(steps, self._answer)

    def _answer(self, question: Ask) -> list[Any]:
        self.asked += [command for command in question.commands if not hasattr(command, "script")]
        return self.link.request(*question.commands)

    def begun(self, wanted: Wanted | None = None, **how: Any) -> Listing:
        listing = Listing(self.link.keys, wanted or Wanted(), **how)
        self.run(listing.begin())
        return listing

    def rows(self, wanted: Wanted | None = None, **how: Any) -> list[Row]:
        listing = self.begun(wanted, **how)
        found: list[Row] = []
        while chunk := self.run(listing.chunk()):
            found += chunk
        return found

    def names(self, wanted: Wanted | None = None, **how: Any) -> list[str]:
        found = [row.name for row in self.rows(wanted, **how)]
        listing = self.begun(wanted, **how)
        alone: list[str] = []
        while chunk := self.run(listing.names()):
            alone += chunk
        assert alone == found
        return found


@pytest.fixture
def reader(clean_redis: RedisServer) -> Any:
    with BlockingLink(clean_redis.url, "default") as link:
        yield Reader(link)


@pytest.fixture
def store(clean_redis: RedisServer) -> Store:
    return Store(clean_redis)


def plant_out(store: Store, name: str, definition: str = "{}", **reasons: Any) -> None:
    store.do("HSET", store.key("rev"), name, REV)
    store.do("HSET", store.key("def"), name, definition)
    store.do("HSET", store.key("out"), name, json.dumps(reasons))


def plant_all_kinds(store: Store) -> None:
    store.plant("second", FAR + 2)
    store.plant("first", FAR + 1, last=f"{FAR - 9}|{FAR - 8}|id|")
    store.plant("late", 1_000)
    store.plant("new", -5_000)
    store.plant("held", -FAR, hold=json.dumps({"until": str(FAR)}), last="7|8|id|")
    store.plant("stuck", FAR, kind="blocked")
    plant_out(store, "z-paused", paused={"who": "ann"})
    plant_out(store, "a-ended", finished={})
    plant_out(store, "off", disabled={})
    plant_out(store, "bad", invalid={"why": "x"})


def test_by_next_moment_what_is_planned_comes_first_and_the_others_behind_by_place_and_name(
    reader: Reader, store: Store
) -> None:
    plant_all_kinds(store)
    expected = ["late", "first", "second", "held", "new", "stuck", "a-ended", "bad", "off", "z-paused"]
    assert reader.names() == expected
    for page in range(4):
        assert reader.names(skip=3 * page, most=3)[:3] == expected[3 * page :][:3]
    assert not reader.names(skip=10)


def test_by_name_and_by_last_run(reader: Reader, store: Store) -> None:
    plant_all_kinds(store)
    names = reader.names(sort="name")
    assert names == sorted(names)
    assert len(names) == 10
    assert reader.names(sort="last") == ["first", "held", *(name for name in names if name not in ("first", "held"))]
    assert reader.names(sort="name", skip=8) == names[8:]
    assert reader.names(Wanted(states={"paused"}), sort="name") == ["held", "z-paused"]


@pytest.mark.parametrize(
    "state, names",
    [
        ("scheduled", ["late", "first", "second", "new"]),
        ("late", ["late"]),
        ("paused", ["held", "z-paused"]),
        ("blocked", ["stuck"]),
        ("finished", ["a-ended"]),
        ("disabled", ["off"]),
        ("invalid", ["bad"]),
        ("never", ["late", "second", "new", "stuck", "a-ended", "bad", "off", "z-paused"]),
    ],
)
def test_a_state_is_looked_for_where_it_can_be(reader: Reader, store: Store, state: str, names: list[str]) -> None:
    plant_all_kinds(store)
    assert reader.names(Wanted(states={state})) == names
    assert sorted(reader.names(Wanted(states={state}), sort="last")) == sorted(names)


def test_all_states_together_are_all_entries_once(reader: Reader, store: Store) -> None:
    plant_all_kinds(store)
    assert reader.names(Wanted(states=ASKED_STATES)) == reader.names()
    assert Wanted(states=ASKED_STATES).places == list(PLACES)


def test_filters_by_name_tag_task_and_owner(reader: Reader, store: Store) -> None:
    for number, (name, spec) in enumerate(
        {
            "mail-a": {"task": "app.mail.send", "tags": ["mail", "eu"], "owner": "api"},
            "mail-b": {"task": "app.mail.sweep", "tags": ["mail"], "owner": "apply:web"},
            "Mail-c": {"task": 5, "tags": "mail"},
            "r[1]": {"task": "app.report"},
        }.items()
    ):
        store.plant(name, FAR + number)
        store.do("HSET", store.key("def"), name, json.dumps(spec))
    store.plant("bad-def", FAR)
    store.do("HSET", store.key("def"), "bad-def", "no JSON")
    store.do("HSET", store.key("file"), "r[1]", "h")
    assert reader.names(Wanted(patterns=["mail-*"])) == ["mail-a", "mail-b"]
    assert reader.names(Wanted(patterns=["r[1]", "*-c"])) == ["Mail-c", "r[1]"]
    assert reader.names(Wanted(tags=["mail"])) == ["mail-a", "mail-b"]
    assert reader.names(Wanted(tags=["mail", "eu"])) == ["mail-a"]
    assert reader.names(Wanted(tasks=["app.mail.s?*", "app.rep*"])) == ["mail-a", "mail-b", "r[1]"]
    assert reader.names(Wanted(owners=["apply:*"])) == ["mail-b"]
    assert reader.names(Wanted(owners=["file"])) == ["r[1]"]
    assert reader.names(Wanted(owners=["api"], patterns=["*a*"])) == ["bad-def", "mail-a", "Mail-c"]
    assert reader.names(Wanted(tags=["mail"]), skip=1) == ["mail-b"]


def test_whole_names_are_read_alone_in_the_order_that_is_asked_for(reader: Reader, store: Store) -> None:
    plant_all_kinds(store)
    wanted = Wanted(patterns=["z-paused", "new", "first", "stuck", "gone", "first"])
    assert reader.names(wanted) == ["first", "new", "stuck", "z-paused"]
    assert reader.names(wanted, sort="name") == ["first", "new", "stuck", "z-paused"]
    assert reader.names(wanted, sort="last") == ["first", "new", "stuck", "z-paused"]
    assert not [command for command in reader.asked if command[0] in ("HSCAN", "ZRANGE")]


def test_the_first_page_reads_no_more_than_it_gives(reader: Reader, store: Store) -> None:
    for number in range(2_000):
        store.plant(f"e{number:04}", FAR + number)
    plant_out(store, "off", disabled={})
    listing = reader.begun(skip=1_000, most=50)
    rows = reader.run(listing.chunk())
    assert [row.name for row in rows] == [f"e{number:04}" for number in range(1_000, 1_050)]
    assert not [command for command in reader.asked if command[0] == "HSCAN"]
    (page,) = [command for command in reader.asked if command[0] == "ZRANGE"]
    assert page[2:4] == (1_000, 1_049)
    assert (listing.total, listing.astray) == (2_001, 0)


@pytest.mark.parametrize("apart", [0, 1])
def test_what_fires_meanwhile_is_listed_once_and_pushes_nobody_out(reader: Reader, store: Store, apart: int) -> None:
    count = 4 * PAGE
    for number in range(count):
        store.plant(f"e{number:04}", FAR + apart * number)
    listing, names = reader.begun(), []
    fired = 0
    while chunk := reader.run(listing.chunk()):
        names += [row.name for row in chunk]
        for number in range(fired, fired + PAGE // 2):  # they have their next moment far behind all others
            store.do("ZADD", store.key("due"), FAR + 10**6 + number, f"e{number % count:04}")
        fired += PAGE // 2
        if len(names) <= PAGE:  # the very last that was given moves, too
            store.do("ZADD", store.key("due"), FAR + 2 * 10**6, names[-1])
    assert sorted(names) == [f"e{number:04}" for number in range(count)]


def test_names_in_no_encoding_of_ours_and_broken_rows_are_listed(reader: Reader, store: Store) -> None:
    store.do("ZADD", store.key("due"), FAR, b"caf\xe9")
    store.do("HSET", store.key("rev"), b"caf\xe9", REV)
    store.plant("inf", "inf")
    assert reader.names() == ["caf\udce9", "inf"]
    assert reader.names(Wanted(patterns=["caf\udce9"])) == ["caf\udce9"]


def test_entries_in_no_place_are_counted(reader: Reader, store: Store) -> None:
    store.plant("here", FAR)
    store.do("HSET", store.key("rev"), "astray", REV)
    listing = reader.begun()
    assert (listing.total, listing.astray) == (2, 1)
    assert reader.names(sort="name") == ["astray", "here"]
