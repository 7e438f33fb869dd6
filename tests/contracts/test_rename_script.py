"""A put with the names it replaces: both halves of a rename happen in one step, or neither does."""

import json

import pytest

from beatd.core.edit import PutItem
from beatd.core.term import Term
from beatd.store.entries import check_put, put_call, put_steps
from beatd.store.scripts import Call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, with_args

COUNT, OLD, OLD_EXPECTED = 13, 14, 15  # of a call with one item


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
