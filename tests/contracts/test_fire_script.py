"""Fire: messages and moves in one step, and what it leaves for people."""

import json

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.store.timetable import fire_call
from tests.support.store import Store, fire_item, put_item, skip_item

MISSED = Skip("missed", 3, 1_000, 1_200)


def test_a_fire_pushes_its_message_and_moves_its_entry(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    before = store.now()
    codes, now, seq = store.run(fire_call(store.keys, term, [fire_item()]))
    assert (codes, seq) == ("0", "1")
    assert before <= int(now) <= store.now()
    assert store.queue() == ["a@1000"]
    assert store.scores() == {"a": "2000"}
    assert store.fires() == [("a", [1_000])]
    assert store.rows("hist")[0]["epoch"] == str(term.epoch)
    assert store.rows("hist")[0]["at"] == now
    assert store.hash("last") == {"a": f"1000|{now}|id|"}
    assert store.do("EXISTS", store.key("skip")) == 0


def test_a_batch_is_one_row_of_history(store: Store, term: Term) -> None:
    for name in ("a", "b c", "Ünïcode|,;:"):
        store.plant(name, 1_000)
    assert store.fire(term, fire_item("a"), fire_item("b c"), fire_item("Ünïcode|,;:")) == "000"
    assert store.fires() == [("a", [1_000]), ("b c", [1_000]), ("Ünïcode|,;:", [1_000])]
    assert len(store.rows("hist")) == 1


def test_firing_twice_is_firing_once(store: Store, term: Term) -> None:
    for name in ("moves", "ends", "skips", "counts"):
        store.plant(name, 1_000)
    store.do("HSET", store.key("left"), "counts", 5)
    items = [fire_item("moves"), fire_item("ends", next_moment=None), skip_item("skips"), fire_item("counts", left=4)]
    assert store.fire(term, *items) == "0000"
    once = store.everything()
    assert store.fire(term, *items) == "1211"
    assert store.everything() == once


def test_an_accepted_batch_renews_the_lease_and_counts(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("lease"), "until", 1)
    store.fire(term, fire_item())
    lease = store.hash("lease")
    assert int(lease["until"]) >= term.now + 6_000
    assert (lease["rn"], lease["seq"]) == ("2", "1")


def test_an_expired_lease_that_nobody_took_still_fires(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("lease"), "until", 1)
    assert store.fire(term, fire_item()) == "0"


def test_messages_go_to_their_own_queues_in_their_order(store: Store, term: Term) -> None:
    for name in ("a", "b", "c"):
        store.plant(name, 1_000)
    items = [
        fire_item("a", slots=(1_000, 1_500), plain=False, messages=(b"a1", b"a2"), queue_key="one"),
        fire_item("b", messages=(b"b1",), queue_key="two"),
        fire_item("c", messages=(b"c1",), queue_key="one"),
    ]
    assert store.fire(term, *items) == "000"
    assert store.queue("one") == ["a1", "a2", "c1"]
    assert store.queue("two") == ["b1"]


def test_messages_of_refused_items_are_passed_over(store: Store, term: Term) -> None:
    store.plant("good", 1_000)
    store.plant("late", 1_000)
    store.plant("other", 1_500)
    batch = [
        fire_item("gone"),
        fire_item("other"),
        fire_item("good"),
        fire_item("good", messages=(b"doubled",)),
        fire_item("late", good_until=1_001),
        fire_item("late", next_moment=1_000),
    ]
    assert store.fire(term, *batch) == "210165"
    assert store.queue() == ["good@1000"]
    assert store.scores() == {"good": "2000", "late": "1000", "other": "1500"}
    assert store.fires() == [("good", [1_000])]


def test_the_slot_is_the_moment_less_the_jitter(store: Store, term: Term) -> None:
    store.plant("a", 1_030, jit=30)
    assert store.fire(term, fire_item("a", 1_030, 2_030)) == "0"
    assert store.fires() == [("a", [1_000])]
    assert store.hash("last")["a"].split("|")[0] == "1000"


def test_several_slots_of_a_jittered_entry_fire_in_one_move(store: Store, term: Term) -> None:
    store.plant("a", 1_030, jit=30)
    item = fire_item("a", 1_030, 4_030, slots=(1_000, 2_000, 3_999), plain=False, messages=(b"1", b"2", b"3"))
    assert store.fire(term, item) == "0"
    assert store.fires() == [("a", [1_000, 2_000, 3_999])]
    assert store.hash("last")["a"].split("|")[0] == "3999"
    assert store.queue() == ["1", "2", "3"]


def test_a_late_slot_may_fire_while_the_owed_one_is_skipped(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    item = fire_item(slots=(1_800,), plain=False, skips=(Skip("coalesced", 8, 1_000, 1_700),))
    assert store.fire(term, item) == "0"
    assert store.fires() == [("a", [1_800])]
    assert store.skips() == [("a", [Skip("coalesced", 8, 1_000, 1_700)])]


def test_a_skip_moves_the_entry_without_a_message(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    skips = (MISSED, Skip("expired", 10_000, 1_300, 1_900))
    assert store.fire(term, skip_item("a", skips=skips), skip_item("b", skips=(MISSED,))) == "00"
    assert store.scores() == {"a": "2000", "b": "2000"}
    assert store.do("EXISTS", "celery", store.key("hist")) == 0
    assert store.skips() == [("a", list(skips)), ("b", [MISSED])]
    assert store.hash("last") == {
        "a": "0|0||missed:3:1000:1200;expired:10000:1300:1900",
        "b": "0|0||missed:3:1000:1200",
    }


def test_a_skip_keeps_what_is_known_of_the_last_fire(store: Store, term: Term) -> None:
    store.plant("a", 1_000, last="900|905|old-id|missed:1:1:1")
    store.fire(term, skip_item("a", skips=(MISSED,)))
    assert store.hash("last") == {"a": "900|905|old-id|missed:3:1000:1200"}


def test_a_move_that_tells_nothing_leaves_no_row(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.fire(term, skip_item(skips=())) == "0"
    assert store.do("EXISTS", store.key("hist"), store.key("skip"), store.key("last")) == 0


def test_runs_left_go_down_with_every_message(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=5)
    item = fire_item(slots=(1_000, 1_100), plain=False, messages=(b"1", b"2"), left=3)
    assert store.fire(term, item) == "0"
    assert store.hash("left") == {"a": "3"}
    assert store.fire(term, skip_item("a", 2_000, 3_000, left=3)) == "0"
    assert store.hash("left") == {"a": "3"}


def test_the_last_run_finishes_the_entry(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=1)
    assert store.fire(term, fire_item(left=0)) == "5"
    assert store.fire(term, fire_item(next_moment=None, left=0)) == "0"
    assert store.hash("left") == {"a": "0"}
    assert store.scores() == {}
    assert list(store.hash("out")) == ["a"]


def test_a_finished_entry_moves_out_and_says_when(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    codes, now, _ = store.run(fire_call(store.keys, term, [fire_item(next_moment=None)]))
    assert codes == "0"
    assert store.queue() == ["a@1000"]
    assert store.scores() == {}
    assert json.loads(store.hash("out")["a"]) == {"finished": {"at": now}, "owed": f"-{now}"}


def test_an_entry_may_end_with_a_skip(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.fire(term, skip_item("a", next_moment=None, skips=(MISSED,))) == "0"
    assert (store.scores(), list(store.hash("out"))) == ({}, ["a"])


def test_a_queue_of_a_wrong_type_moves_its_entry_to_blocked_and_nothing_else(store: Store, term: Term) -> None:
    store.do("SET", "spoilt", "x")
    store.plant("a", 1_000, last="900|905|old-id|", left=3, jit=10)
    before = store.everything()
    assert store.fire(term, fire_item(queue_key="spoilt", left=2)) == "4"
    after = store.everything()
    due, blocked = store.key("due"), store.key("blocked")
    assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == {due, blocked}
    assert (store.scores("due"), store.scores("blocked")) == ({}, {"a": "1000"})


def test_a_queue_of_a_wrong_type_stops_nobody_else(store: Store, term: Term) -> None:
    store.do("SADD", "spoilt", "x")
    for name in ("a", "b", "c"):
        store.plant(name, 1_000)
    assert store.fire(term, fire_item("a"), fire_item("b", queue_key="spoilt"), fire_item("c")) == "040"
    assert store.queue() == ["a@1000", "c@1000"]
    assert store.scores("blocked") == {"b": "1000"}


def test_an_entry_whose_queue_is_spoilt_may_still_skip(store: Store, term: Term) -> None:
    store.do("SET", "celery", "x")
    store.plant("a", 1_000)
    assert store.fire(term, skip_item()) == "0"


@pytest.mark.parametrize("kind", ["left", "out", "hold", "blocked", "hist", "anything"])
def test_a_queue_named_like_one_of_our_keys_is_refused(store: Store, term: Term, kind: str) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000, left=2)
    spoiling = fire_item("a", queue_key=store.key(kind))
    assert store.fire(term, spoiling, fire_item("b", next_moment=None, left=1)) == "40"
    assert store.scores("blocked") == {"a": "1000"}
    assert store.queue() == ["b@1000"]


@pytest.mark.parametrize("kind", ["hist", "skip"])
def test_a_row_that_redis_refuses_does_not_fail_a_fire(store: Store, term: Term, kind: str) -> None:
    store.do("XADD", store.key(kind), f"{2**64 - 1}-{2**64 - 1}", "the", "end")  # no id can follow
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    assert store.fire(term, fire_item("a", skips=(MISSED,)), fire_item("b")) == "00"
    assert store.queue() == ["a@1000", "b@1000"]
    assert store.scores() == {"a": "2000", "b": "2000"}
    assert store.hash("lease")["seq"] == "1"


@pytest.mark.parametrize("junk", ["x", "nan", "inf", "-5", "1.5", "", "1e3"])
def test_a_spoilt_jitter_counts_as_none(store: Store, term: Term, junk: str) -> None:
    store.plant("a", 1_000, jit=junk)
    store.plant("b", 1_000, jit=junk)
    several = fire_item("b", slots=(1_000, 1_999), plain=False, messages=(b"1", b"2"))
    assert store.fire(term, fire_item("a"), several) == "00"
    assert store.fires() == [("a", [1_000]), ("b", [1_000, 1_999])]


@pytest.mark.parametrize("junk", ["x", "nan", "inf", "-5", "1.5", ""])
def test_spoilt_runs_left_stop_their_entry_only(store: Store, term: Term, junk: str) -> None:
    store.plant("a", 1_000, left=junk)
    store.plant("b", 1_000, left=3)
    assert store.fire(term, fire_item("a", left=1), fire_item("b", left=2)) == "50"
    assert store.scores() == {"a": "1000", "b": "2000"}
    assert store.hash("left") == {"a": junk, "b": "2"}


@pytest.mark.parametrize("junk", ["", "x", "|||", "1e3|1|id|", "\xff"])
def test_a_spoilt_last_fire_is_written_anew(store: Store, term: Term, junk: str) -> None:
    store.plant("a", 1_000, last=junk)
    assert store.fire(term, skip_item("a", skips=(MISSED,))) == "0"
    assert store.hash("last") == {"a": "0|0||missed:3:1000:1200"}


@pytest.mark.parametrize("score", ["inf", "-inf", "1000.5", "-1000", "-0.5"])
def test_a_score_by_hand_is_no_moment_of_ours(store: Store, term: Term, score: str) -> None:
    store.plant("a", score)
    with store.unchanged():
        assert store.fire(term, fire_item("a", 1_000), fire_item("b", 0)) == "12"


def test_a_full_batch_fits_one_call(store: Store, term: Term) -> None:
    names = [f"n{i}" for i in range(100)]
    for name in names:
        store.plant(name, 1_000)
    slots = range(1_000, 1_010)
    items = [
        fire_item(name, slots=tuple(slots), plain=False, messages=tuple(b"%s-%d" % (name.encode(), s) for s in slots))
        for name in names
    ]
    assert store.fire(term, *items) == "0" * 100
    assert store.queue() == [f"{name}-{slot}" for name in names for slot in slots]


def test_a_definition_changed_without_its_schedule_fires_the_slot_that_was_pending(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.put(put_item("a", "n2.f1"))
    assert store.fire(term, fire_item()) == "2"
    assert store.fire(term, fire_item(rev="n2.f1")) == "0"
