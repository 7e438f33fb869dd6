"""Reset: runs anew, and an entry whose runs were used up comes back."""

import json

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.core.timetable import PlanItem
from beatd.store.entries import reset_call
from beatd.store.scripts import call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, with_args

HOUR = 3_600_000
LOG_ROWS, SKIP_ROWS, ITEMS, NONCE, LEFT = 2, 3, 4, 6, 7
KINDS = ("lease", "rev", "due", "out", "hold", "last", "jit", "left", "skip", "log")


def reset_at(store: Store, nonce: str = "s1", **runs: int) -> int:
    """Resets, all accepted, and returns the server's clock in that call."""
    codes, now = store.run(reset_call(store.keys, runs, nonce, WHO))
    assert set(codes) == {"0"}
    return int(now)


def test_runs_are_given_anew_and_the_next_moment_stays(store: Store) -> None:
    store.plant("a", 1_000, left=1)
    now = reset_at(store, a=5)
    assert (store.hash("left"), store.scores(), store.hash("rev")) == ({"a": "5"}, {"a": "1000"}, {"a": "s1.f1"})
    row = {"op": "reset", "name": "a", "rev": "s1.f1", "was": REV, "at": str(now), "left": "5", "who": WHO}
    assert (store.rows("log"), store.skips()) == ([row], [])


def test_what_was_staged_with_the_runs_of_before_does_not_fire(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=1)
    store.plant("new", -500, left=0)
    reset_at(store, a=5, new=5)
    with store.unchanged():
        assert store.fire(term, fire_item(left=0, next_moment=None)) == "2"
        assert store.plan(term, PlanItem("new", REV, "-500", "F")) == "2"


def test_used_up_runs_bring_an_entry_back_from_now_with_a_row(store: Store, term: Term) -> None:
    store.plant("a", 1_030, jit=30, left=1)
    store.fire(term, fire_item(expected=1_030, next_moment=None, left=0))
    now = reset_at(store, a=2)
    assert (store.scores(), store.hash("out")) == ({"a": f"-{now}"}, {})
    # From its last slot on: others that were due with it ended with it.
    assert store.skips() == [("a", [Skip("past", 0, 1_001, now)])]


def test_nothing_is_planned_before_the_last_fire(store: Store) -> None:
    ahead = store.now() + HOUR
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("left"), "a", 0)
    store.do("HSET", store.key("last"), "a", f"{ahead}|{ahead}|id|")
    store.do("HSET", store.key("out"), "a", '{"finished":{"at":"7"},"owed":"-7"}')
    reset_at(store, a=2)
    assert store.scores() == {"a": f"-{ahead}"}


@pytest.mark.parametrize("left", ["3", "x"])
def test_what_ended_for_another_reason_stays_finished(store: Store, left: str) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("left"), "a", left)
    store.do("HSET", store.key("out"), "a", '{"finished":{"at":"7"},"owed":"-7"}')
    reset_at(store, a=2)
    assert (store.scores(), list(json.loads(store.hash("out")["a"]))) == ({}, ["finished", "owed"])
    assert store.hash("left") == {"a": "2"}


@pytest.mark.parametrize("reason", ["disabled", "paused", "invalid"])
def test_another_reason_keeps_it_out(store: Store, reason: str) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("left"), "a", 0)
    out = {reason: {"at": "7"}, "finished": {"at": "8"}, "owed": "-8"}
    store.do("HSET", store.key("out"), "a", json.dumps(out))
    now = reset_at(store, a=2)
    assert store.scores() == {}
    assert json.loads(store.hash("out")["a"]) == {reason: {"at": "7"}, "owed": f"-{now}"}


def test_inside_a_pause_with_an_end_it_is_planned_from_that_end(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=1)
    store.fire(term, fire_item(next_moment=None, left=0))
    until = store.now() + HOUR
    store.pause("a", until=until)
    now = reset_at(store, a=2)
    assert store.scores() == {"a": f"-{until - 1}"}
    assert json.loads(store.hash("hold")["a"])["since"] == str(now)
    assert store.skips()[-1] == ("a", [Skip("paused", 0, now + 1, until - 1)])


def test_resetting_twice_is_resetting_once(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=1)
    store.plant("b", 1_000, left=1)
    store.fire(term, fire_item(next_moment=None, left=0))
    assert store.reset(a=3, b=4) == "00"
    with store.unchanged():
        assert store.reset(a=3, b=4) == "11"


def test_an_entry_whose_runs_are_not_counted_refuses_the_whole_call(store: Store) -> None:
    store.plant("a", 1_000, left=1)
    store.plant("b", 1_000)
    with store.unchanged():
        assert store.reset(a=3, b=4) == "03"


def test_a_name_that_does_not_exist_refuses_the_whole_call(store: Store) -> None:
    store.plant("a", 1_000, left=1)
    with store.unchanged():
        assert store.reset(a=3, no=4) == "02"


@pytest.mark.parametrize(
    "changes", [*({NONCE: j} for j in ("", "a.b", "a\x1fb")), *({LEFT: j} for j in (*NO_NUMBERS, 0))]
)
def test_a_malformed_item_refuses_the_call(store: Store, changes: dict[int, int | str]) -> None:
    store.plant("a", 1_000, left=1)
    with store.unchanged():
        assert store.run(with_args(reset_call(store.keys, {"a": 2}, "s1", WHO), changes))[0] == "5"


@pytest.mark.parametrize("changes", [{i: j} for i in (LOG_ROWS, SKIP_ROWS, ITEMS) for j in (*NO_NUMBERS, 2**60)])
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, changes: dict[int, int | str]) -> None:
    store.plant("a", 1_000, left=1)
    assert store.refusal(with_args(reset_call(store.keys, {"a": 2}, "s1", WHO), changes)).startswith("MALFORMED ")
    assert store.refusal(call("reset", store.keys, [])).startswith("MALFORMED ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    wanted = reset_call(store.keys, {"a": 2}, "s1", WHO)
    assert store.refusal(wanted).startswith(f"BADTYPE {store.key(kind)} holds a string")


def test_a_writer_of_another_format_is_refused(store: Store, term: Term) -> None:
    store.put(put_item(left="3"))
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(reset_call(store.keys, {"a": 2}, "s1", WHO)).startswith("FORMAT ")
