"""Repair and trim: what nobody of ours leaves behind is mended, what is over is forgotten, and nothing else changes."""

import json

import pytest

from beatd.core.term import Term
from beatd.store.keys import FORMAT
from beatd.store.scripts import Call, call
from tests.support.store import Store

HOUR, WEEK = 3_600_000, 7 * 86_400_000


def repair_call(store: Store, term: Term, *names: str) -> Call:
    return call("repair", store.keys, [term.epoch, term.owner, FORMAT, len(names), *names])


def trim_call(store: Store, term: Term, *names: str) -> Call:
    return call("trim", store.keys, [term.epoch, term.owner, FORMAT, WEEK, HOUR, len(names), *names])


def repair(store: Store, term: Term, *names: str) -> str:
    return str(store.run(repair_call(store, term, *names))[0])


def places(store: Store, name: str) -> list[str]:
    found = [kind for kind in ("due", "blocked") if name in store.scores(kind)]
    return found + ["out"] * (name in store.hash("out"))


def test_an_entry_in_one_place_is_left_alone(store: Store, term: Term) -> None:
    store.plant("due", 1000)
    store.plant("blocked", 1000, kind="blocked")
    store.plant("out", 1000, out='{"paused":{}}')
    store.do("ZREM", store.key("due"), "out")
    with store.unchanged():
        assert repair(store, term, "due", "blocked", "out", "nobody") == "0000"


def test_an_entry_in_no_place_is_planned_from_its_last_fire(store: Store, term: Term) -> None:
    for name in ("fired", "never"):
        store.plant(name, 1000)
        store.do("ZREM", store.key("due"), name)
    store.do("HSET", store.key("last"), "fired", "4711|4712|id|")
    before = store.now()
    assert repair(store, term, "fired", "never") == "22"
    assert store.scores()["fired"] == "-4711"
    assert before <= -int(store.scores()["never"]) <= store.now()


@pytest.mark.parametrize("reason", ["paused", "disabled", "finished", "invalid"])
def test_of_several_places_the_one_that_keeps_an_entry_from_firing_counts(
    store: Store, term: Term, reason: str
) -> None:
    store.plant("a", 1000, out=json.dumps({reason: {"at": "1"}}))
    store.do("ZADD", store.key("blocked"), 1000, "a")
    assert repair(store, term, "a") == "3"
    assert places(store, "a") == ["out"]


@pytest.mark.parametrize("spoilt", ["{}", "x", '{"owed":"5"}'])
def test_a_reason_that_is_none_keeps_nobody_from_firing(store: Store, term: Term, spoilt: str) -> None:
    store.plant("a", 1000, out=spoilt)
    store.do("ZADD", store.key("blocked"), 1000, "a")
    assert repair(store, term, "a") == "3"
    assert places(store, "a") == ["due"]


def test_a_name_that_is_no_entry_leaves_every_place(store: Store, term: Term) -> None:
    store.plant("a", 1000, out='{"paused":{}}', hold="{}", jit="5", left="3")
    store.do("HDEL", store.key("rev"), "a")
    assert repair(store, term, "a") == "1"
    assert places(store, "a") == []
    assert store.hash("def") == {"a": "{}"}
    assert repair(store, term, "a") == "4"


def test_a_definition_without_a_revision_is_told_and_left(store: Store, term: Term) -> None:
    store.do("HSET", store.key("def"), "a", "{}")
    with store.unchanged():
        assert repair(store, term, "a") == "4"


def test_repairing_twice_is_repairing_once(store: Store, term: Term) -> None:
    store.plant("nowhere", 1)
    store.do("ZREM", store.key("due"), "nowhere")
    store.do("ZADD", store.key("due"), 1, "stray")
    assert repair(store, term, "nowhere", "stray") == "21"
    with store.unchanged():
        assert repair(store, term, "nowhere", "stray") == "00"


def removed(store: Store, name: str, ago: int, *, file: bool = False, last: str = "5|6|id|") -> None:
    store.do("HSET", store.key("gone"), name, json.dumps({"at": str(store.now() - ago), "file": file}))
    store.do("HSET", store.key("last"), name, last)


def test_a_removed_entry_is_remembered_an_hour_and_one_of_a_file_a_week(store: Store, term: Term) -> None:
    removed(store, "fresh", HOUR - 60_000)
    removed(store, "old", HOUR + 1)
    removed(store, "file", WEEK - 60_000, file=True)
    removed(store, "old file", WEEK + 1, file=True)
    assert store.run(trim_call(store, term, "fresh", "old", "file", "old file"))[0] == "0101"
    assert set(store.hash("gone")) == set(store.hash("last")) == {"fresh", "file"}


def test_the_last_fire_of_an_entry_that_came_back_stays(store: Store, term: Term) -> None:
    removed(store, "a", HOUR + 1)
    store.plant("a", 1000)
    assert store.run(trim_call(store, term, "a"))[0] == "1"
    assert "a" in store.hash("last")
    assert store.hash("gone") == {}


@pytest.mark.parametrize("spoilt", ["", "x", "[]", "{}", '{"at":"soon"}', '{"at":1e999}'])
def test_a_note_that_tells_no_time_goes(store: Store, term: Term, spoilt: str) -> None:
    store.do("HSET", store.key("gone"), "a", spoilt)
    assert store.run(trim_call(store, term, "a", "nobody"))[0] == "10"


def test_only_the_leader_repairs_and_trims(store: Store, term: Term) -> None:
    stranger = Term(term.epoch, "another", 0, 0, 0, "")
    assert store.refusal(repair_call(store, stranger, "a")).startswith("FENCED ")
    assert store.refusal(trim_call(store, stranger, "a")).startswith("FENCED ")


def test_without_names_nothing_is_asked(store: Store, term: Term) -> None:
    assert store.refusal(repair_call(store, term)).startswith("MALFORMED ")
    assert store.refusal(trim_call(store, term)).startswith("MALFORMED ")


# Zone data in the lease


def announce(store: Store, version: object, ago: int) -> None:
    store.do("HSET", store.key("inst"), "other", json.dumps({"tzdata": version, "seen": store.now() - ago}))


@pytest.mark.parametrize("version, ago, granted", [
    ("2026b", 0, 0), ("2026b", 17_000, 0), ("2026b", 19_000, 1), ("2026a", 0, 1), ("2025z", 0, 1), (7, 0, 1),
])  # fmt: skip
def test_older_zone_data_wait_while_an_instance_with_newer_ones_is_alive(
    store: Store, version: object, ago: int, granted: int
) -> None:
    announce(store, version, ago)
    reply = store.acquire("me", zone_data="2026a")
    assert reply[0] == granted
    assert reply[9] == ("" if granted else "2026b")
    assert bool(store.hash("lease")) == bool(granted)


def test_zone_data_that_nobody_knows_wait_for_nobody(store: Store) -> None:
    announce(store, "2026b", 0)
    assert store.acquire("me", zone_data="")[0] == 1


def test_who_leads_already_goes_on_whatever_others_have(store: Store) -> None:
    assert store.acquire("me", zone_data="2026a")[0] == 1
    announce(store, "2026b", 0)
    assert store.acquire("me", zone_data="2026a")[0] == 1


@pytest.mark.parametrize("spoilt", ["", "x", "[]", '{"tzdata":["2030a"],"seen":1e999}'])
def test_records_that_can_not_be_read_keep_nobody_waiting(store: Store, spoilt: str) -> None:
    store.do("HSET", store.key("inst"), "other", spoilt)
    assert store.acquire("me", zone_data="2026a")[0] == 1
