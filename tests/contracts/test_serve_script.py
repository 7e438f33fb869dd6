"""Serve: a part of a request is pushed once, of the revision it was made of, and never into the timetable's slots."""

import json
from typing import Any

import pytest

from beatd.core.requests import Serving, Tidying, settled_to
from beatd.core.term import Term
from beatd.store.requests import serve_call, tidy_call
from beatd.store.scripts import Call, call
from tests.support.store import NO_NUMBERS, QUEUE, Store, asking, serving, with_args

LEASE_ARGS, HIST, EXPECTED, NEXT, OUTCOME, WHY, CAUSE, SLOTS = range(3), 3, 7, 8, 9, 10, 11, 13
TIMETABLE = ("due", "out", "blocked", "last", "left", "jit", "rev", "def")


def wanted(store: Store, term: Term, item: Serving) -> Call:
    return serve_call(store.keys, term, item, 1_000)


@pytest.fixture
def backfill(store: Store, term: Term) -> Store:
    """An entry that owes its slot 5,000, and the request for its slots from 1,000 to 4,000."""
    store.plant("a", 5_000, left=3, last="4000|4001|id|")
    store.ask(asking(first=1_000, last=4_000))
    return store


def part(*slots: int, **changes: Any) -> Serving:
    return serving(slots=slots, **{"expected": 999, "outcome": "open", **changes})


def test_a_part_is_pushed_and_the_cursor_moves(backfill: Store, term: Term) -> None:
    before, text = backfill.contents(), backfill.hash("req")["q1"].split("|", 5)[5]
    at = backfill.hash("req")["q1"].split("|")[3]
    assert backfill.serve(term, part(1_000, 2_000)) == 0
    assert backfill.queue() == ["a@1000", "a@2000"]
    assert backfill.hash("req")["q1"] == f"open|2000|2|{at}||{text}"
    assert backfill.hash("asked") == {"a": "q1"}
    after = backfill.contents()
    assert {kind: after.get(backfill.key(kind)) for kind in TIMETABLE} == {
        kind: before.get(backfill.key(kind)) for kind in TIMETABLE
    }
    (row,) = backfill.rows("hist")
    assert {key: row[key] for key in ("cause", "id", "fires")} == {
        "cause": "backfill",
        "id": "",
        "fires": "a\x1f1000,2000",
    }


def test_the_last_part_ends_the_request(backfill: Store, term: Term) -> None:
    backfill.ask(asking("q2"))
    assert backfill.serve(term, part(4_000, outcome="done", why="that is all")) == 0
    state, cursor, pushed, at, why, _ = backfill.hash("req")["q1"].split("|", 5)
    assert (state, cursor, pushed, why) == ("done", "4000", "1", "that is all")
    assert abs(int(at) - backfill.now()) < 5_000
    assert backfill.hash("asked") == {"a": "q2"}
    assert backfill.serve(term, serving("q2", cause="trigger", task_id="q2")) == 0
    assert backfill.do("EXISTS", backfill.key("asked")) == 0
    assert backfill.rows("hist")[1]["id"] == "q2"


@pytest.mark.parametrize("outcome", ["open", "done", "refused"])
def test_serving_twice_is_serving_once(backfill: Store, term: Term, outcome: str) -> None:
    item = part(1_000, 2_000, outcome=outcome)
    assert backfill.serve(term, item) == 0
    with backfill.unchanged():
        assert backfill.serve(term, item) == 1


def test_a_request_of_an_entry_that_is_gone_is_refused_where_it_is_gone(backfill: Store, term: Term) -> None:
    item = part(outcome="refused", cursor=999, rev="", why="no such entry")
    with backfill.unchanged():
        assert backfill.serve(term, item) == 2
    backfill.do("HDEL", backfill.key("rev"), "a")
    assert backfill.serve(term, item) == 0
    assert backfill.hash("req")["q1"].startswith("refused|999|0|")
    assert backfill.do("EXISTS", backfill.key("asked"), QUEUE, backfill.key("hist")) == 0
    with backfill.unchanged():
        assert backfill.serve(term, item) == 1


@pytest.mark.parametrize("item", [part(2_000, expected=998), part(2_000, expected=1_000),
                                  part(1_000, name="b"), serving("q9", expected=999)])  # fmt: skip
def test_another_cursor_another_entry_or_no_request_changes_nothing(backfill: Store, term: Term, item: Serving) -> None:
    backfill.plant("b", 5_000)
    with backfill.unchanged():
        assert backfill.serve(term, item) == 1


@pytest.mark.parametrize("rev", ["n9.f1", None])
@pytest.mark.parametrize("slots", [(1_000,), ()])
def test_a_part_of_another_revision_changes_nothing(
    backfill: Store, term: Term, rev: str | None, slots: tuple[int, ...]
) -> None:
    if rev is None:
        backfill.do("HDEL", backfill.key("rev"), "a")
    else:
        backfill.do("HSET", backfill.key("rev"), "a", rev)
    with backfill.unchanged():
        assert backfill.serve(term, part(*slots, outcome="done", cursor=4_000)) == 2


def outside(store: Store, **reasons: object) -> None:
    store.do("ZREM", store.key("due"), "a")
    store.do("HSET", store.key("out"), "a", json.dumps(reasons))


@pytest.mark.parametrize("place, first_refused", [
    ({"score": 5_000}, 5_000),
    ({"score": 5_000, "jitter": 300}, 4_700),
    ({"score": -3_000}, 3_001),
    ({"score": 5_000, "kind": "blocked"}, 5_000),
    ({"out": {"paused": {}, "owed": "2000"}}, 2_000),
    ({"out": {"paused": {}, "owed": "-2000"}}, 2_001),
    ({"out": {"disabled": {}, "owed": "2000"}, "jitter": 300}, 1_700),
    ({"out": {"finished": {}}}, None),
    ({"score": -9_000_000_000_000, "hold": {"until": "9000000000001", "since": "2500"}}, 2_501),
    ({"score": -3_000, "hold": {"until": "3001", "since": "2500"}}, 3_001),
    ({}, 0),
])  # fmt: skip
def test_a_backfill_stops_before_the_slot_that_is_still_owed(
    store: Store, term: Term, place: dict[str, object], first_refused: int | None
) -> None:
    store.plant("a", 1)
    store.do("ZREM", store.key("due"), "a")
    out, score, hold = place.get("out"), place.get("score"), place.get("hold")
    if score is not None:
        store.do("ZADD", store.key(str(place.get("kind", "due"))), int(str(score)), "a")
    if out is not None:
        store.do("HSET", store.key("out"), "a", json.dumps(out))
    if hold is not None:
        store.do("HSET", store.key("hold"), "a", json.dumps(hold))
    jitter = int(str(place.get("jitter", 0)))
    store.do("HSET", store.key("jit"), "a", jitter)
    now = store.now()
    bound = settled_to(
        None if score is None else int(str(score)), out, hold or {}, jitter, now  # type: ignore[arg-type]
    )  # fmt: skip
    refused = now + 60_000 if first_refused is None else first_refused
    if first_refused is None:
        assert bound == now
    else:
        assert bound == (refused - 1 if refused else None)
    store.ask(asking(first=1, last=now + 90_000))
    with store.unchanged():
        assert store.serve(term, part(refused, expected=0, cursor=refused)) == (5 if not refused else 3)
        assert store.serve(term, part(max(1, refused - 5), refused + 7, expected=0)) == 3
    if refused > 1:
        last = (now - 1_000) if first_refused is None else refused - 1
        assert store.serve(term, part(last, expected=0)) == 0


def test_a_trigger_stands_beside_the_timetable_wherever_its_instant_lies(store: Store, term: Term) -> None:
    store.plant("a", 500)
    store.ask(asking())
    assert store.serve(term, serving(slots=(store.now() + 60_000,), cause="trigger")) == 0


@pytest.mark.parametrize("spoilt", ["{beatd:default:0}:due", "{beatd:x:0}:out", "text"])
def test_a_queue_that_is_none_takes_nothing(backfill: Store, term: Term, spoilt: str) -> None:
    if spoilt == "text":
        backfill.do("SET", "text", "x")
    with backfill.unchanged():
        assert backfill.serve(term, part(1_000, queue=spoilt)) == 4


@pytest.mark.parametrize("changes", [
    *[{index: text} for index in (EXPECTED, NEXT) for text in NO_NUMBERS],
    {NEXT: 998}, {NEXT: 1_999}, {OUTCOME: "closed"}, {WHY: "a|b"}, {WHY: "a\nb"}, {CAUSE: "schedule"},
    {SLOTS: ""}, {SLOTS: "1000"}, {SLOTS: "1000,2000,2000"}, {SLOTS: "2000,1000"}, {SLOTS: "999,2000"},
    {SLOTS: "1000,1000"}, {SLOTS: "1000,2001"}, {SLOTS: "1000,x"}, {SLOTS: "1000,"}, {6: ""},
])  # fmt: skip
def test_a_malformed_part_changes_nothing(backfill: Store, term: Term, changes: dict[int, int | str]) -> None:
    call_ = with_args(wanted(backfill, term, part(1_000, 2_000)), changes)
    with backfill.unchanged():
        assert backfill.run(call_)[0] == 5


def test_a_part_without_a_message_must_end_the_request(backfill: Store, term: Term) -> None:
    with backfill.unchanged():
        assert backfill.serve(term, part(cursor=2_000)) == 5
    assert backfill.serve(term, part(cursor=4_000, outcome="done")) == 0


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_rows_to_keep_are_a_number(backfill: Store, term: Term, text: str) -> None:
    refusal = backfill.refusal(with_args(wanted(backfill, term, part(1_000)), {HIST: text}))
    assert refusal.startswith("MALFORMED ")
    assert backfill.refusal(call("serve", backfill.keys, [])).startswith("MALFORMED ")


def test_a_hundred_messages_and_256_kb_fit_one_call(backfill: Store, term: Term) -> None:
    many = part(*range(1_000, 1_101))
    assert backfill.refusal(wanted(backfill, term, many)).startswith("MALFORMED ")
    large = part(1_000, 1_001, messages=[b"x" * 131_072, b"x" * 131_073])
    assert backfill.refusal(wanted(backfill, term, large)).startswith("MALFORMED ")
    assert backfill.serve(term, part(*range(1_000, 1_100))) == 0
    assert backfill.serve(term, part(1_100, 1_101, expected=1_099, messages=[b"x" * 131_072] * 2)) == 0


def test_messages_need_their_queue_and_a_queue_its_messages(backfill: Store, term: Term) -> None:
    without = wanted(backfill, term, part(1_000))
    assert backfill.refusal(Call(without.script, without.keys[:-1], without.args)).startswith("MALFORMED ")
    with_one = wanted(backfill, term, part(outcome="done", cursor=4_000))
    assert backfill.refusal(Call(with_one.script, (*with_one.keys, "q"), with_one.args)).startswith("MALFORMED ")


@pytest.mark.parametrize("stranger", [{"owner": "twin"}, {"epoch": 1}])
def test_only_the_leader_serves(backfill: Store, term: Term, stranger: dict[str, object]) -> None:
    fields = {"epoch": term.epoch, "owner": term.owner, **stranger}
    other = Term(int(str(fields["epoch"])), str(fields["owner"]), 0, 0, 0, "")
    assert backfill.refusal(wanted(backfill, other, part(1_000))).startswith("FENCED ")
    found = [Tidying("q1", "a", b"", "F")]
    assert backfill.refusal(tidy_call(backfill.keys, other, found)).startswith("FENCED ")


@pytest.mark.parametrize("kind", ["lease", "rev", "due", "out", "hold", "blocked", "jit", "req", "asked"])
def test_a_key_of_a_wrong_type_is_named(backfill: Store, term: Term, kind: str) -> None:
    backfill.do("DEL", backfill.key(kind))
    backfill.do("SET", backfill.key(kind), "x")
    refusal = backfill.refusal(wanted(backfill, term, part(1_000)))
    assert refusal.startswith(f"BADTYPE {backfill.key(kind)} holds a string")


def test_a_history_that_is_none_stops_no_request(backfill: Store, term: Term) -> None:
    backfill.do("SET", backfill.key("hist"), "x")
    assert backfill.serve(term, part(1_000)) == 0
    assert backfill.queue() == ["a@1000"]


def test_a_full_memory_refuses_the_part_as_a_whole_and_takes_a_withdrawal(backfill: Store, term: Term) -> None:
    try:
        backfill.do("CONFIG", "SET", "maxmemory", 1)
        assert backfill.refusal(wanted(backfill, term, part(1_000))).startswith("OOM ")
        assert backfill.pause("a") == "0"
        assert backfill.hash("req")["q1"].startswith("withdrawn|")
    finally:
        backfill.do("CONFIG", "SET", "maxmemory", 0)


# Tidy


def tidy(store: Store, term: Term, *found: Tidying) -> str:
    return str(store.run(tidy_call(store.keys, term, found))[0])


def value_of(store: Store, request_id: str = "q1") -> bytes:
    return store.hash("req").get(request_id, "").encode()


def test_an_ended_request_is_forgotten_where_it_is_still_what_was_read(backfill: Store, term: Term) -> None:
    backfill.serve(term, part(outcome="refused", cursor=999))
    ended = value_of(backfill)
    backfill.ask(asking(first=1_000, last=4_000, before=ended))  # somebody let it go on
    with backfill.unchanged():
        assert tidy(backfill, term, Tidying("q1", "a", ended, "F")) == "1"
    backfill.serve(term, part(outcome="done", cursor=4_000))
    found = Tidying("q1", "a", value_of(backfill), "F")
    assert tidy(backfill, term, found) == "0"
    assert backfill.do("EXISTS", backfill.key("req"), backfill.key("asked")) == 0
    with backfill.unchanged():
        assert tidy(backfill, term, found) == "1"


@pytest.mark.parametrize("what", ["F", "O", "X", ""])
def test_an_open_request_is_neither_forgotten_nor_taken_off(backfill: Store, term: Term, what: str) -> None:
    with backfill.unchanged():
        assert tidy(backfill, term, Tidying("q1", "a", value_of(backfill), what)) == "5"


def test_what_is_no_open_request_is_taken_off_the_open_ones(backfill: Store, term: Term) -> None:
    backfill.ask(asking("q2"), asking("q3"))
    backfill.do("HSET", backfill.key("req"), "q2", "x")
    backfill.do("HDEL", backfill.key("req"), "q3")
    found = [Tidying("q2", "a", b"x", "O"), Tidying("q3", "a", b"", "O"), Tidying("q3", "a", b"y", "O")]
    assert tidy(backfill, term, *found) == "001"
    assert backfill.hash("asked") == {"a": "q1"}
    with backfill.unchanged():
        assert tidy(backfill, term, *found) == "001"


def test_an_open_request_that_nobody_names_is_named_again(backfill: Store, term: Term) -> None:
    backfill.do("DEL", backfill.key("asked"))
    found = Tidying("q1", "a", value_of(backfill), "L")
    assert tidy(backfill, term, found) == "0"
    assert backfill.hash("asked") == {"a": "q1"}
    with backfill.unchanged():
        assert tidy(backfill, term, found) == "0"
    backfill.ask(asking("q2"))
    backfill.do("HSET", backfill.key("asked"), "a", "q2")
    assert tidy(backfill, term, found) == "0"
    assert backfill.hash("asked") == {"a": "q2\x1fq1"}


def test_without_requests_nothing_is_tidied(store: Store, term: Term) -> None:
    assert store.refusal(tidy_call(store.keys, term, [])).startswith("MALFORMED ")
