"""Resume: it lifts a pause and nothing else, and says what the pause swallowed."""

import json
from typing import Any

import pytest

from beatd.core.entry import entry_from_spec
from beatd.core.fire import Skip
from beatd.core.instant import instant_text
from beatd.core.planning import plan_item
from beatd.core.term import Term
from beatd.core.timetable import PlanItem, Stored
from beatd.store.entries import resume_call
from beatd.store.scripts import call
from beatd.store.spoilt import held_to
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, with_args

HOUR = 3_600_000
LOG_ROWS, SKIP_ROWS, CATCHUP, ITEMS, SECOND_NONCE = 2, 3, 4, 5, 9
KINDS = ("lease", "rev", "due", "out", "hold", "blocked", "last", "jit", "skip", "log")


def resume_at(store: Store, *names: str, nonce: str = "r1", catchup: bool = False) -> int:
    """Resumes, all accepted, and returns the server's clock in that call."""
    codes, now = store.run(resume_call(store.keys, names or ("a",), nonce, WHO, catchup=catchup))
    assert set(codes) == {"0"}
    return int(now)


def out_of(store: Store, name: str = "a") -> dict[str, Any]:
    value = json.loads(store.hash("out")[name])
    assert isinstance(value, dict)
    return value


def test_a_resumed_entry_is_planned_from_now_and_a_row_names_what_the_pause_swallowed(store: Store) -> None:
    store.plant("a", 1_030, jit=30)
    store.pause("a")
    now = resume_at(store)
    assert (store.scores(), store.hash("out")) == ({"a": f"-{now}"}, {})
    assert store.skips() == [("a", [Skip("paused", 0, 1_000, now)])]
    assert store.hash("rev") == {"a": "r1.f1"}
    row = {"op": "resume", "name": "a", "rev": "r1.f1", "was": "p1.f1", "at": str(now), "catchup": "0", "who": WHO}
    assert store.rows("log")[-1] == row


def test_a_row_begins_after_the_instant_from_which_an_unplanned_entry_counts(store: Store) -> None:
    store.plant("a", -500)
    store.pause("a")
    now = resume_at(store)
    assert store.skips() == [("a", [Skip("paused", 0, 501, now)])]


def test_a_pause_that_swallowed_nothing_leaves_no_row(store: Store) -> None:
    store.plant("a", store.now() + HOUR)
    store.pause("a")
    now = resume_at(store)
    assert (store.scores(), store.skips()) == ({"a": f"-{now}"}, [])


@pytest.mark.parametrize("score, mark", [(1_030, "-999"), (-500, "-500")])
def test_with_catch_up_it_goes_on_from_the_slot_owed(store: Store, score: int, mark: str) -> None:
    store.plant("a", score, jit=30)
    store.pause("a")
    resume_at(store, catchup=True)
    assert (store.scores(), store.skips(), store.hash("hold")) == ({"a": mark}, [], {})


@pytest.mark.parametrize("catchup", [False, True])
def test_nothing_is_planned_before_the_last_fire(store: Store, catchup: bool) -> None:
    ahead = store.now() + HOUR
    store.plant("a", 1_000, last=f"{ahead}|{ahead}|id|")
    store.pause("a")
    resume_at(store, catchup=catchup)
    assert store.scores() == {"a": f"-{ahead}"}


def test_the_schedule_it_was_given_meanwhile_is_the_one_that_is_caught_up_with(store: Store) -> None:
    store.plant("a", 1_030, jit=30)
    store.pause("a")
    store.put(put_item(rev="n2.f2", jitter=7))
    resume_at(store, catchup=True)
    assert store.scores() == {"a": "-999"}


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize("reason", ["disabled", "invalid", "finished"])
def test_another_reason_keeps_it_out(store: Store, reason: str, catchup: bool) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("out"), "a", json.dumps({reason: {"at": "7"}, "owed": "1000"}))
    store.pause("a")
    resume_at(store, catchup=catchup)
    assert store.scores() == {}
    assert out_of(store) == {reason: {"at": "7"}, "owed": "1000"}
    assert store.skips() == []  # the edit that ends the other reason will name it


def test_what_the_other_reason_kept_out_is_named_when_that_ends(store: Store) -> None:
    store.plant("a", 1_000)
    store.pause("a")
    store.put(put_item(rev="n2.f1", enabled=False))
    resume_at(store)
    store.put(put_item(rev="n3.f1"))
    (_, [skip]) = store.skips()[-1]
    assert (skip.reason, skip.first) == ("disabled", 1_000)


# A pause with an end


def test_a_pause_is_lifted_before_its_end(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    until = store.now() + HOUR
    store.pause("a", until=until)
    store.plan(term, PlanItem("a", "p1.f1", f"-{until - 1}", str(until + 5)))
    now = resume_at(store)
    assert store.scores() == {"a": f"-{now}"}
    assert json.loads(store.hash("hold")["a"]) == {"after": str(now)}
    assert store.skips()[-1] == ("a", [Skip("paused", 0, 1_000, now)])
    with store.unchanged():
        assert store.fire(term, fire_item(rev="p1.f1", expected=until + 5, next_moment=until + 6)) == "2"


def test_lifted_with_catch_up_it_goes_on_from_the_slot_owed(store: Store) -> None:
    store.plant("a", 1_000)
    store.pause("a", until=store.now() + HOUR)
    resume_at(store, catchup=True)
    assert (store.scores(), store.hash("hold")) == ({"a": "-999"}, {})


def test_what_ended_inside_the_pause_may_not_have_ended_yet(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    until = store.now() + HOUR
    store.pause("a", until=until)
    assert store.plan(term, PlanItem("a", "p1.f1", f"-{until - 1}", "F")) == "0"
    now = resume_at(store)
    assert (store.scores(), store.hash("out")) == ({"a": f"-{now}"}, {})


def test_what_had_ended_before_the_pause_stays_finished(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.fire(term, fire_item(next_moment=None))
    store.pause("a", until=store.now() + HOUR)
    resume_at(store)
    assert set(out_of(store)) == {"finished", "owed"}
    assert store.scores() == {}


def test_a_pause_that_has_ended_is_not_lifted_again(store: Store) -> None:
    store.plant("a", 1_000, hold='{"until":"900","since":"5"}')
    with store.unchanged():
        assert store.resume("a") == "1"


def test_enabled_inside_a_pause_nothing_older_is_caught_up_with(store: Store) -> None:
    store.plant("a", 1_000)
    store.pause("a", until=store.now() + HOUR)
    store.put(put_item(rev="n2.f1", enabled=False))
    before = store.now()
    store.put(put_item(rev="n3.f1"))
    resume_at(store, catchup=True)
    assert int(store.scores()["a"]) <= -before


# An entry that runs once


def planned(store: Store, at: int, grace: str = "1h") -> PlanItem:
    """What the leader says of an entry that runs once, as it is stored now."""
    entry = entry_from_spec("a", {"task": "t", "at": instant_text(at), "grace": grace})
    hold = store.hash("hold").get("a")
    held = held_to(None if hold is None else hold.encode())
    stored = Stored("a", store.scores()["a"], store.hash("rev")["a"], b"", 0, 0, None, held)
    return plan_item(entry, stored, store.now())


@pytest.mark.parametrize("until", [None, HOUR])
def test_an_instant_inside_its_grace_that_the_pause_swallowed_does_not_fire(store: Store, until: int | None) -> None:
    at = store.now() - 60_000
    store.plant("a", at)
    store.pause("a", until=None if until is None else store.now() + until)
    resume_at(store)
    assert planned(store, at).verdict == "F"
    assert planned(store, at).skips == (Skip("past", 1, at, at),)


def test_an_instant_inside_its_grace_is_caught_up_with(store: Store) -> None:
    at = store.now() - 60_000
    store.plant("a", at)
    store.pause("a")
    resume_at(store, catchup=True)
    assert planned(store, at).verdict == str(at)


def test_a_later_catch_up_does_not_bring_back_what_an_earlier_pause_swallowed(store: Store) -> None:
    at = store.now() - 60_000
    store.plant("a", at)
    store.pause("a")
    resume_at(store)
    for nonce, until in (("p2", None), ("p3", store.now() + HOUR)):
        store.pause("a", nonce=nonce, until=until)
        resume_at(store, nonce=f"r{nonce}", catchup=True)
        assert planned(store, at).verdict == "F"


def test_an_instant_inside_a_pause_with_an_end_does_not_fire(store: Store) -> None:
    until = store.now() + HOUR
    store.plant("a", until - 1)
    store.pause("a", until=until)
    assert planned(store, until - 1).verdict == "F"
    assert planned(store, until).verdict == str(until)


def test_a_score_by_hand_is_not_planned_inside_a_pause(store: Store) -> None:
    until = store.now() + HOUR
    store.plant("a", 1_000)
    store.pause("a", until=until)
    store.do("ZADD", store.key("due"), "1.5", "a")
    assert planned(store, until - 1).verdict == "F"


# All or nothing


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize("until", [None, HOUR])
def test_resuming_twice_is_resuming_once(store: Store, until: int | None, catchup: bool) -> None:
    store.plant("a", 1_000)
    store.plant("b", -500)
    store.pause("a", "b", until=None if until is None else store.now() + until)
    assert store.resume("a", "b", catchup=catchup) == "00"
    with store.unchanged():
        assert store.resume("a", "b", catchup=catchup) == "11"


def test_a_retry_does_not_lift_the_next_pause_of_an_entry_that_it_has_resumed(store: Store) -> None:
    store.plant("a", 1_000)
    store.pause("a")
    store.resume("a")
    store.do("HSET", store.key("hold"), "a", json.dumps({"until": store.now() + HOUR}))
    with store.unchanged():
        assert store.resume("a") == "1"


def test_what_is_not_paused_is_left_alone(store: Store) -> None:
    store.plant("a", 1_000)
    store.put(put_item("off", enabled=False))
    with store.unchanged():
        assert store.resume("a", "off") == "11"


def test_a_name_that_does_not_exist_refuses_the_whole_call(store: Store) -> None:
    store.plant("a", 1_000)
    store.pause("a")
    with store.unchanged():
        assert store.resume("a", "no") == "02"


@pytest.mark.parametrize("nonce", ["", "a.b", "a\x1fb", "n" * 101])
def test_a_nonce_that_is_none_refuses_the_whole_call(store: Store, nonce: str) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    store.pause("a", "b")
    wanted = resume_call(store.keys, ["a", "b"], "r1", WHO, catchup=False)
    with store.unchanged():
        assert store.run(with_args(wanted, {SECOND_NONCE: nonce}))[0] == "05"


@pytest.mark.parametrize(
    "changes",
    [
        *({i: j} for i in (LOG_ROWS, SKIP_ROWS, ITEMS) for j in (*NO_NUMBERS, 2**60)),
        *({CATCHUP: j} for j in ("", "2", "true")),
    ],
)
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, changes: dict[int, int | str]) -> None:
    store.plant("a", 1_000)
    store.pause("a")
    wanted = resume_call(store.keys, ["a"], "r1", WHO, catchup=False)
    assert store.refusal(with_args(wanted, changes)).startswith("MALFORMED ")
    assert store.refusal(call("resume", store.keys, [])).startswith("MALFORMED ")


def test_a_name_twice_in_a_call_is_refused(store: Store) -> None:
    wanted = resume_call(store.keys, ["a", "a"], "r1", WHO, catchup=False)
    assert store.refusal(wanted) == "MALFORMED the name a stands twice in one call"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    wanted = resume_call(store.keys, ["a"], "r1", WHO, catchup=False)
    assert store.refusal(wanted).startswith(f"BADTYPE {store.key(kind)} holds a string")


def test_a_writer_of_another_format_is_refused(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.pause("a")
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(resume_call(store.keys, ["a"], "r1", WHO, catchup=False)).startswith("FORMAT ")
