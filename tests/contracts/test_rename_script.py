"""A put with the names it replaces: both halves of a rename happen in one step, or neither does."""

import json

import pytest

from beatd.core.edit import PutItem
from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.store.entries import check_put, put_call, put_steps
from beatd.store.scripts import Call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, with_args

COUNT, OLD, OLD_EXPECTED, HEIR = 13, 14, 15, 16  # of a call with one item


def renaming(store: Store, old_is: str = "*", **changes: str) -> Call:
    wanted = put_call(store.keys, [put_item("new", "n2.f1", replaces="old", **changes)], WHO)
    return with_args(wanted, {OLD_EXPECTED: old_is})


def test_the_old_name_goes_in_the_step_in_which_the_new_one_comes(store: Store, term: Term) -> None:
    store.plant("old", 1_000, jit=5, left=3, last="900|901|id|", file="h")
    codes, now = store.run(renaming(store, file_hash="h"))
    assert codes == "00"
    assert (store.scores(), store.hash("rev")) == ({"new": f"-{now}"}, {"new": "n2.f1"})
    assert [kind for kind in ("def", "jit", "left", "file", "out") if "old" in store.hash(kind)] == []
    assert store.hash("last") == {"old": "900|901|id|"}
    assert json.loads(store.hash("gone")["old"]) == {"at": now, "file": True}
    assert [(row["op"], row["name"]) for row in store.rows("log")] == [("put", "new"), ("remove", "old")]
    with store.unchanged():
        assert store.fire(term, fire_item("old")) == "2"


def test_renaming_twice_is_renaming_once(store: Store) -> None:
    store.plant("old", 1_000)
    assert store.run(renaming(store))[0] == "00"
    with store.unchanged():
        assert store.run(renaming(store))[0] == "11"


def test_a_retry_leaves_alone_who_came_under_the_old_name_since(store: Store) -> None:
    store.plant("old", 1_000)
    store.run(renaming(store))
    store.put(put_item("old", "n9.f9"))
    for expected in ("*", REV):
        with store.unchanged():
            assert store.run(renaming(store, expected))[0] == "11"


def test_a_conflict_on_the_old_name_refuses_the_new_one(store: Store) -> None:
    store.plant("old", 1_000)
    with store.unchanged():
        assert store.run(renaming(store, "n0.f0"))[0] == "02"
    assert store.run(renaming(store, REV))[0] == "00"


def test_a_conflict_on_the_new_name_keeps_the_old_one(store: Store) -> None:
    store.plant("old", 1_000)
    store.plant("new", 1_000)
    with store.unchanged():
        assert store.run(renaming(store, REV, expected=""))[0] == "20"


def test_an_old_name_that_has_gone_already_stops_nothing(store: Store) -> None:
    assert store.run(renaming(store))[0] == "01"
    assert list(store.scores()) == ["new"]


def test_a_name_may_not_come_and_go_in_one_call(store: Store) -> None:
    store.plant("old", 1_000)
    wanted = put_call(store.keys, [put_item("old", "n2.f1", replaces="old")], WHO)
    assert store.refusal(wanted) == "MALFORMED the name old stands twice in one call"


def paused(store: Store, name: str, until: int | None = None, file: str = "") -> dict[str, str]:
    """The pause of an entry, as stored."""
    store.plant(name, 1_000, **({"file": file} if file else {}))
    store.pause(name, until=until)
    kind = "out" if until is None else "hold"
    found = json.loads(store.hash(kind)[name])
    pause = found["paused"] if until is None else {key: found[key] for key in ("until", "who", "note")}
    assert isinstance(pause, dict)
    return pause


@pytest.mark.parametrize("file", ["", "h"])
def test_a_renamed_entry_goes_on_under_its_pause(store: Store, file: str) -> None:
    pause = paused(store, "old", file=file)
    now = store.run(renaming(store, file_hash=file))[1]
    assert json.loads(store.hash("out")["new"]) == {"paused": pause, "owed": f"-{now}"}
    assert (store.scores(), store.skips()) == ({}, [("old", [Skip("removed", 0, 1_000, int(now))])])
    put, remove = store.rows("log")[-2:]
    assert (put["op"], put["replaces"], json.loads(put["pause"])) == ("put", "old", pause)
    assert (remove["op"], remove["heir"]) == ("remove", "new")


def test_a_renamed_entry_is_held_up_to_the_end_of_its_pause(store: Store) -> None:
    until = store.now() + 60_000
    pause = paused(store, "old", until)
    now = store.run(renaming(store))[1]
    assert store.scores() == {"new": f"-{until - 1}"}
    assert json.loads(store.hash("hold")["new"]) == {**pause, "since": now}
    assert store.skips()[-1] == ("new", [Skip("paused", 0, int(now) + 1, until - 1)])


def test_a_pause_that_went_along_is_not_left_behind_too(store: Store) -> None:
    paused(store, "old", file="h")
    store.run(renaming(store, file_hash="h"))
    assert "paused" not in json.loads(store.hash("gone")["old"])
    store.resume("new")
    back = put_item("old", "n3.f1", file_hash="h", replaces="new")
    assert store.run(put_call(store.keys, [back], WHO))[0] == "00"
    assert store.hash("out") == {}


def test_a_name_that_somebody_comes_to_does_not_bring_back_an_older_pause(store: Store) -> None:
    paused(store, "new", file="h")
    store.remove("new")
    store.plant("old", 1_000, file="h")
    store.run(renaming(store, file_hash="h"))
    assert (store.hash("out"), list(store.scores())) == ({}, ["new"])


def test_an_entry_that_exists_already_keeps_its_own_state(store: Store) -> None:
    store.plant("new", 1_000)
    pause = paused(store, "old", file="h")
    store.run(renaming(store))
    assert (store.hash("out"), store.scores()) == ({}, {"new": "1000"})
    assert json.loads(store.hash("gone")["old"])["paused"] == pause


def test_an_entry_takes_the_pause_of_nobody_else_in_the_call(store: Store) -> None:
    paused(store, "old")
    unpaired = with_args(renaming(store), {HEIR: 0})
    assert store.run(unpaired)[0] == "00"
    assert store.hash("out") == {}


@pytest.mark.parametrize("heir", [*NO_NUMBERS, "2", str(2**60)])
def test_a_place_that_goes_to_nobody_is_refused(store: Store, heir: str) -> None:
    store.plant("old", 1_000)
    assert store.refusal(with_args(renaming(store), {HEIR: heir})).startswith("MALFORMED ")


@pytest.mark.parametrize("junk", ["", "x", "[]", '{"paused":1e999}', '{"until":1e999}', '{"until":"9"}'])
def test_a_spoilt_pause_does_not_stop_a_rename(store: Store, junk: str) -> None:
    store.plant("old", 1_000, out=junk, hold=junk)
    store.do("ZREM", store.key("due"), "old")
    assert store.run(renaming(store))[0] == "00"
    assert list(store.scores()) == ["new"]


@pytest.mark.parametrize("count", [*NO_NUMBERS, "0", "2", "500", str(2**60)])
def test_a_call_that_names_another_number_than_it_carries_is_refused(store: Store, count: str) -> None:
    store.plant("old", 1_000)
    assert store.refusal(with_args(renaming(store), {COUNT: count})).startswith("MALFORMED ")


def test_250_renames_fit_one_call_and_251_do_not(store: Store) -> None:
    items = [put_item(f"new{i}", "n2.f1", replaces=f"old{i}") for i in range(251)]
    store.put(*(put_item(f"old{i}") for i in range(251)))
    assert store.refusal(put_call(store.keys, items, WHO)).startswith("MALFORMED ")
    assert [len(step) for step in put_steps(items)] == [250, 1]
    for step in put_steps(items):
        codes = store.run(put_call(store.keys, step, WHO))[0]
        check_put(step, codes.encode())
    assert set(store.hash("rev")) == {f"new{i}" for i in range(251)}


def test_a_key_of_a_wrong_type_refuses_both_halves(store: Store) -> None:
    store.plant("old", 1_000)
    store.do("SET", store.key("gone"), "x")
    assert store.refusal(renaming(store)).startswith("BADTYPE ")


@pytest.mark.parametrize("item", [put_item("new", "n2.f1", left="many", replaces="old")])
def test_a_malformed_half_refuses_the_other(store: Store, item: PutItem) -> None:
    store.plant("old", 1_000)
    with store.unchanged():
        assert store.run(put_call(store.keys, [item], WHO))[0] == "50"
