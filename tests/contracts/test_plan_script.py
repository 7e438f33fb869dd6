"""Plan: first moments, only where the very score and revision still stand, never at or before the last fire."""

import json
from dataclasses import replace

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.core.timetable import PlanItem
from beatd.store.scripts import call
from beatd.store.timetable import plan_call
from tests.support.store import NO_NUMBERS, REV, Store, fire_item, put_item, with_args

PAST = (Skip("past", 1, 7, 7),)
SKIP_ROWS, ITEMS = 3, 4


def item(name: str = "a", score: str = "-500", verdict: str = "1000", **changes: object) -> PlanItem:
    return replace(PlanItem(name, REV, score, verdict), **changes)  # type: ignore[arg-type]


def test_a_mark_becomes_a_moment(store: Store, term: Term) -> None:
    store.plant("a", -500)
    before = store.now()
    codes, now = store.run(plan_call(store.keys, term, [item()]))
    assert codes == "0"
    assert before <= int(now) <= store.now()
    assert store.scores() == {"a": "1000"}
    assert store.do("EXISTS", *map(store.key, ("out", "blocked", "skip", "last", "hist"))) == 0


def test_planning_leaves_the_lease_alone(store: Store, term: Term) -> None:
    store.plant("a", -500)
    lease = store.hash("lease")
    store.plan(term, item())
    assert store.hash("lease") == lease


def test_planning_twice_is_planning_once(store: Store, term: Term) -> None:
    names = ("moment", "finished", "invalid", "blocked", "same")
    for name in names:
        store.plant(name, -500, kind="blocked" if name == "blocked" else "due")
    store.do("ZADD", store.key("due"), 1_000, "same")
    items = [
        item("moment", skips=PAST),
        item("finished", verdict="F", skips=PAST),
        item("invalid", verdict="I", detail='{"error":"no"}'),
        item("blocked"),
        item("same", score="1000", skips=PAST),
    ]
    assert store.plan(term, *items) == "00000"
    once = store.everything()
    assert store.plan(term, *items) == "12210"
    assert store.everything() == once


@pytest.mark.parametrize("read", ["-501", "-500.0", "500", "-5e2", "", "1000"])
def test_only_the_very_score_that_was_read_is_planned(store: Store, term: Term, read: str) -> None:
    store.plant("a", -500)
    with store.unchanged():
        for verdict in ("1000", "F"):
            assert store.plan(term, item(score=read, verdict=verdict)) == "1"
        assert store.plan(term, item(score=read, verdict="I", detail="{}")) == "1"


@pytest.mark.parametrize("rev", ["n2.f1", "n1.f2", ""])
def test_only_the_revision_that_was_read_is_planned(store: Store, term: Term, rev: str) -> None:
    store.plant("a", -500)
    with store.unchanged():
        for verdict in ("1000", "F"):
            assert store.plan(term, item(rev=rev, verdict=verdict)) == "2"


@pytest.mark.parametrize("moment", ["899", "929", "930", "0"])
def test_nothing_is_planned_at_or_before_the_last_fire(store: Store, term: Term, moment: str) -> None:
    store.plant("a", -500, jit=30, last="900|905|id|")
    with store.unchanged():
        assert store.plan(term, item(verdict=moment)) == "1"
    assert store.plan(term, item(verdict="931")) == "0"


@pytest.mark.parametrize("junk", ["", "x", "nan", "1e400", "-5"])
def test_spoilt_numbers_count_as_none(store: Store, term: Term, junk: str) -> None:
    store.plant("a", -500, jit=junk, last="900|905|id|")
    store.plant("b", -500, last=f"{junk}|905|id|")
    with store.unchanged():
        assert store.plan(term, item("a", verdict="900")) == "1"
    assert store.plan(term, item("a", verdict="901"), item("b", verdict="1")) == "00"


def test_what_is_not_in_the_timetable_is_not_planned_into_it(store: Store, term: Term) -> None:
    store.put(put_item("off", enabled=False))
    owed = json.loads(store.hash("out")["off"])["owed"]
    with store.unchanged():
        assert store.plan(term, item("off", owed), item("gone")) == "22"


def test_an_entry_that_will_never_run_is_finished_with_its_skip(store: Store, term: Term) -> None:
    store.plant("a", -500)
    codes, now = store.run(plan_call(store.keys, term, [item(verdict="F", skips=PAST)]))
    assert codes == "0"
    assert store.scores() == {}
    assert json.loads(store.hash("out")["a"]) == {"finished": {"at": now}, "owed": "-500"}
    assert store.skips() == [("a", list(PAST))]
    assert store.rows("skip")[0]["epoch"] == str(term.epoch)
    assert store.rows("skip")[0]["at"] == now


def test_an_entry_that_cannot_be_read_is_set_aside_with_its_reason(store: Store, term: Term) -> None:
    store.plant("a", 700)
    detail = '{"error":"cron: \\"x\\" }","version":"1.0"}'
    assert store.plan(term, item(score="700", verdict="I", detail=detail)) == "0"
    assert store.scores() == {}
    assert json.loads(store.hash("out")["a"]) == {"invalid": json.loads(detail), "owed": "700"}


@pytest.mark.parametrize("verdict", ["1000", "2000", "F", "I"])
def test_a_blocked_entry_comes_back_through_plan(store: Store, term: Term, verdict: str) -> None:
    store.plant("a", 1_000, kind="blocked")
    assert store.plan(term, item(score="1000", verdict=verdict, detail="{}" if verdict == "I" else "")) == "0"
    assert store.scores("blocked") == {}
    assert store.scores("due") == ({"a": verdict} if verdict.isdigit() else {})
    assert (store.do("HLEN", store.key("out"))) == (0 if verdict.isdigit() else 1)


def test_a_planned_moment_may_be_planned_anew(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.plan(term, item(score="1000", verdict="800")) == "0"
    assert store.scores() == {"a": "800"}


@pytest.mark.parametrize("score", ["inf", "-inf", "1.5", "-1.5"])
def test_a_score_by_hand_is_planned_by_its_own_text(store: Store, term: Term, score: str) -> None:
    store.plant("a", score)
    assert store.plan(term, item(score=score)) == "0"
    assert store.scores() == {"a": "1000"}


def test_rows_of_several_skips_can_be_told_apart(store: Store, term: Term) -> None:
    for name in ("a", "b", "c"):
        store.plant(name, -500)
    assert store.plan(term, item("a", skips=PAST), item("b"), item("c", skips=PAST * 2)) == "000"
    assert store.skips() == [("a", list(PAST)), ("c", list(PAST * 2))]


@pytest.mark.parametrize("verdict", [*NO_NUMBERS, "f", "finished"])
def test_a_malformed_verdict_refuses_its_item(store: Store, term: Term, verdict: str) -> None:
    store.plant("a", -500)
    store.plant("b", -500)
    assert store.plan(term, item("a", verdict=verdict), item("b")) == "50"
    assert store.scores() == {"a": "-500", "b": "1000"}


@pytest.mark.parametrize("detail", ["", "x", "{", "[]", '{"a":1', "{} {}", '{"a":}', "null", '"{}"', " {}"])
def test_a_reason_that_is_no_object_refuses_its_item(store: Store, term: Term, detail: str) -> None:
    store.plant("a", -500)
    with store.unchanged():
        assert store.plan(term, item(verdict="I", detail=detail)) == "5"


def test_a_name_counts_once_in_a_call(store: Store, term: Term) -> None:
    store.plant("a", -500)
    assert store.plan(term, item(), item(verdict="2000"), item(verdict="F")) == "011"
    assert store.scores() == {"a": "1000"}


@pytest.mark.parametrize("change", [{"epoch": 1}, {"owner": "other"}, {"owner": ""}])
def test_a_stranger_plans_nothing(store: Store, term: Term, change: dict[str, int | str]) -> None:
    store.plant("a", -500)
    stranger = replace(term, **change)  # type: ignore[arg-type]
    assert store.refusal(plan_call(store.keys, stranger, [item()])).startswith("FENCED ")


def test_a_leader_of_another_format_plans_nothing(store: Store, term: Term) -> None:
    store.plant("a", -500)
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(plan_call(store.keys, term, [item()])).startswith("FORMAT ")


@pytest.mark.parametrize("kind", ["lease", "rev", "due", "out", "blocked", "last", "jit"])
def test_a_key_of_a_wrong_type_is_named(store: Store, term: Term, kind: str) -> None:
    store.plant("a", -500)
    store.do("DEL", store.key(kind))
    store.do("SET", store.key(kind), "x")
    assert store.refusal(plan_call(store.keys, term, [item()])).startswith(f"BADTYPE {store.key(kind)} holds a ")


@pytest.mark.parametrize("changes", [{i: j} for i in (SKIP_ROWS, ITEMS) for j in (*NO_NUMBERS, 2**60)])
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, term: Term, changes: dict[int, int | str]) -> None:
    store.plant("a", -500)
    assert store.refusal(with_args(plan_call(store.keys, term, [item()]), changes)).startswith("MALFORMED ")
    assert store.refusal(call("plan", store.keys, [])).startswith("MALFORMED ")


def test_500_items_fit_one_call_and_501_do_not(store: Store, term: Term) -> None:
    items = [item(f"n{i}") for i in range(501)]
    for one in items:
        store.do("ZADD", store.key("due"), -500, one.name)
        store.do("HSET", store.key("rev"), one.name, REV)
    assert store.refusal(plan_call(store.keys, term, items)).startswith("MALFORMED ")
    assert store.plan(term, *items[:500]) == "0" * 500


def test_what_was_planned_fires(store: Store, term: Term) -> None:
    store.put(put_item())
    mark = store.scores()["a"]
    assert store.plan(term, item(score=mark)) == "0"
    assert store.fire(term, fire_item()) == "0"
