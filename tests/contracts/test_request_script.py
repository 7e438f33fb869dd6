"""Request: asking for messages beside the timetable; pause and remove withdraw what was asked before them."""

import json
from itertools import pairwise

import pytest

from beatd.core.edit import ANY
from beatd.core.requests import Tidying, Wanted, read_wanted
from beatd.core.term import Term
from beatd.store.entries import Pause, pause_call, put_call, remove_call
from beatd.store.requests import Asking, request_call, tidy_call
from beatd.store.scripts import Call, call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, asking, put_item, serving, with_args

KINDS = ("lease", "rev", "req", "asked", "log", "meta")
LOG_ROWS, REQUESTS, ID, NAME, CURSOR, TEXT = 2, 3, 4, 5, 6, 8


def state_of(store: Store, request_id: str = "q1") -> str:
    return store.hash("req")[request_id].split("|", 1)[0]


def why_of(store: Store, request_id: str = "q1") -> str:
    return store.hash("req")[request_id].split("|")[4]


def test_a_request_is_open_and_named_under_its_entry(store: Store) -> None:
    store.plant("a", 5_000)
    before = store.contents()
    codes, now = store.run(request_call(store.keys, [asking(note="why"), asking("q2")], WHO))
    assert codes == "00"
    after = store.contents()
    text = Wanted("trigger", "a", note="why").to_text()
    assert after.pop(store.key("req"))["q1"] == f"open|0|0|{now}||{text}"
    assert after.pop(store.key("asked")) == {"a": "q1\x1fq2"}
    assert after.pop(store.key("meta")) == {"req_bytes": str(len(text) + len(asking("q2").wanted.to_text()))}
    row = after.pop(store.key("log"))[0][1]
    assert row == {"op": "request", "name": "a", "rev": REV, "was": REV, "id": "q1", "asks": text, "who": WHO}
    assert after == before


def test_all_texts_together_are_bounded_and_what_is_forgotten_makes_room(store: Store, term: Term) -> None:
    store.plant("a", 5_000)
    assert store.ask(asking()) == "0"
    length = int(store.hash("meta")["req_bytes"])
    store.do("HSET", store.key("meta"), "req_bytes", 67_108_864)
    with store.unchanged():
        assert store.ask(asking("q2")) == "3"
    assert store.serve(term, serving(slots=(), outcome="done")) == 0
    ended = store.hash("req")["q1"]
    assert store.run(tidy_call(store.keys, term, [Tidying("q1", "a", ended.encode(), "F")]))[0] == "0"
    assert int(store.hash("meta")["req_bytes"]) == 67_108_864 - length
    assert store.ask(asking("q2")) == "0"  # none is kept any more: whatever was counted begins anew
    assert int(store.hash("meta")["req_bytes"]) == length


def test_a_backfill_begins_before_its_range(store: Store) -> None:
    store.plant("a", 5_000)
    assert store.ask(asking(first=1_000, last=3_000)) == "0"
    assert store.hash("req")["q1"].startswith("open|999|0|")
    assert json.loads(store.hash("req")["q1"].split("|", 5)[5])["from"] == "1970-01-01T00:00:01Z"


def test_asking_twice_is_asking_once(store: Store) -> None:
    store.plant("a", 5_000)
    assert store.ask(asking(), asking("q2")) == "00"
    with store.unchanged():
        assert store.ask(asking(), asking("q2")) == "11"
        assert store.ask(asking(note="another")) == "1"


@pytest.mark.parametrize("ended", ["done", "refused", "withdrawn"])
def test_an_ended_request_is_not_made_again_by_repeating_it(store: Store, term: Term, ended: str) -> None:
    store.plant("a", 5_000)
    store.ask(asking())
    if ended == "withdrawn":
        store.pause("a")
    else:
        assert store.serve(term, serving(slots=(), outcome=ended)) == 0
    with store.unchanged():
        assert store.ask(asking()) == "1"


def test_a_withdrawn_or_refused_request_goes_on_from_its_cursor_for_whoever_saw_it(store: Store, term: Term) -> None:
    store.plant("a", 5_000)
    store.ask(asking(first=1_000, last=3_000))
    assert store.serve(term, serving(expected=999, slots=(1_000,), outcome="open")) == 0
    store.pause("a")
    before = store.hash("req")["q1"].encode()
    again = asking(first=1_000, last=3_000, most=7, before=before)
    assert store.ask(again) == "0"
    value = store.hash("req")["q1"]
    assert value.startswith("open|1000|1|")
    assert json.loads(value.split("|", 5)[5])["max"] == 7
    with store.unchanged():
        assert store.ask(again) == "1"


def test_a_done_request_never_goes_on(store: Store, term: Term) -> None:
    store.plant("a", 5_000)
    store.ask(asking())
    store.serve(term, serving(cause="trigger"))
    with store.unchanged():
        assert store.ask(asking(before=store.hash("req")["q1"].encode())) == "1"


def test_what_was_forgotten_meanwhile_begins_where_the_caller_saw_it(store: Store) -> None:
    store.plant("a", 5_000)
    assert store.ask(asking(cursor=2_000, before=b"withdrawn|2000|1|5||{}")) == "0"
    assert store.hash("req")["q1"].startswith("open|2000|0|")


def test_no_entry_no_request_and_then_none_of_the_call(store: Store) -> None:
    store.plant("a", 5_000)
    with store.unchanged():
        assert store.ask(asking(), asking("q2", "nobody")) == "02"


def test_an_entry_has_at_most_a_hundred_open_requests(store: Store) -> None:
    store.plant("a", 5_000)
    store.plant("b", 5_000)
    assert store.ask(*[asking(f"q{i}") for i in range(99)]) == "0" * 99
    with store.unchanged():
        assert store.ask(asking("x1"), asking("x2")) == "03"
    assert store.ask(asking("x1"), asking("x2", "b")) == "00"


def test_no_more_are_kept_than_memory_should_hold(store: Store) -> None:
    store.plant("a", 5_000)
    for start in range(0, 99_999, 1_111):
        store.do(
            "HSET", store.key("req"), *[w for i in range(start, min(start + 1_111, 99_999)) for w in (f"o{i}", "x")]
        )
    with store.unchanged():
        assert store.ask(asking("x1"), asking("x2")) == "03"
    assert store.ask(asking("x1")) == "0"


def test_a_request_of_a_paused_disabled_or_finished_entry_is_taken(store: Store) -> None:
    for name in ("paused", "disabled", "finished"):
        store.plant(name, 5_000, out=json.dumps({name: {}, "owed": "5000"}))
        store.do("ZREM", store.key("due"), name)
        assert store.ask(asking(name, name)) == "0"


@pytest.mark.parametrize(
    "text", ["", "[]", "x", '{"a":1', '{"a":1}x', "{" + '"a":[' * 2_000 + "}", "{}" + " " * 131_072]
)
def test_a_request_that_is_no_object_is_refused(store: Store, text: str) -> None:
    store.plant("a", 5_000)
    with store.unchanged():
        assert store.run(with_args(request_call(store.keys, [asking()], WHO), {TEXT: text}))[0] == "5"


@pytest.mark.parametrize("request_id", ["", "a b", "a|b", "a\x1fb", "x" * 37, "\u00e9"])
def test_an_id_is_of_few_letters_digits_and_dashes(store: Store, request_id: str) -> None:
    store.plant("a", 5_000)
    with store.unchanged():
        assert store.ask(asking(request_id)) == "5"


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_cursor_is_a_whole_number(store: Store, text: str) -> None:
    store.plant("a", 5_000)
    with store.unchanged():
        assert store.run(with_args(request_call(store.keys, [asking()], WHO), {CURSOR: text}))[0] == "5"


@pytest.mark.parametrize(
    "changes", [{REQUESTS: 0}, *({i: j} for i in (LOG_ROWS, REQUESTS) for j in (*NO_NUMBERS, 2**60))]
)
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, changes: dict[int, int | str]) -> None:
    store.plant("a", 5_000)
    assert store.refusal(with_args(request_call(store.keys, [asking()], WHO), changes)).startswith("MALFORMED ")
    assert store.refusal(call("request", store.keys, [])).startswith("MALFORMED ")


def test_500_requests_fit_one_call_and_501_do_not(store: Store) -> None:
    names = [f"n{i}" for i in range(501)]
    store.put(*map(put_item, names[:500]))
    made = [asking(f"q{name}", name) for name in names]
    assert store.refusal(request_call(store.keys, made, WHO)).startswith("MALFORMED ")
    assert store.ask(*made[:500]) == "0" * 500


def test_an_id_twice_or_a_megabyte_is_refused(store: Store) -> None:
    store.plant("a", 5_000)
    assert "stands twice" in store.refusal(request_call(store.keys, [asking(), asking()], WHO))
    assert store.refusal(request_call(store.keys, [asking()], "w" * 1_048_576)).startswith("MALFORMED ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.plant("a", 5_000)
    store.do("DEL", store.key(kind))
    store.do("SET", store.key(kind), "x")
    refusal = store.refusal(request_call(store.keys, [asking()], WHO))
    assert refusal.startswith(f"BADTYPE {store.key(kind)} holds a string")


def test_a_writer_of_another_format_is_refused(store: Store, term: Term) -> None:
    store.plant("a", 5_000)
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(request_call(store.keys, [asking()], WHO)).startswith("FORMAT ")


def test_a_row_that_redis_refuses_does_not_stop_a_request(store: Store) -> None:
    store.do("XADD", store.key("log"), f"{2**64 - 1}-{2**64 - 1}", "the", "end")  # no id can follow
    store.plant("a", 5_000)
    assert store.ask(asking()) == "0"


# Pause and remove


def _pause(store: Store) -> Call:
    return pause_call(store.keys, ["a"], "p1", WHO, Pause("me"))


def _hold(store: Store) -> Call:
    return pause_call(store.keys, ["a"], "p1", WHO, Pause("me", "", store.now() + 60_000))


def _remove(store: Store) -> Call:
    return remove_call(store.keys, ["a"], WHO)


def _rename(store: Store) -> Call:
    return put_call(store.keys, [put_item("new", replaces="a")], WHO)


ENDS = [(_pause, "paused"), (_hold, "paused"), (_remove, "removed"), (_rename, "removed")]


@pytest.mark.parametrize("store", ["plain", "flagged"], indirect=True)
@pytest.mark.parametrize("end, why", ENDS)
def test_pause_and_remove_withdraw_what_was_asked_before(store: Store, term: Term, end: object, why: str) -> None:
    store.plant("a", 5_000)
    store.plant("b", 5_000)
    store.ask(asking(), asking("q2", first=1_000, last=4_000), asking("q3", "b"))
    store.serve(term, serving("q2", expected=999, outcome="open"))
    text = store.hash("req")["q2"].split("|", 5)[5]
    _, now = store.run(end(store))[:2]  # type: ignore[operator]
    assert store.hash("req")["q2"] == f"withdrawn|1000|1|{now}|{why}|{text}"
    assert [state_of(store, q) for q in ("q1", "q2", "q3")] == ["withdrawn", "withdrawn", "open"]
    assert store.hash("asked") == {"b": "q3"}
    with store.unchanged():
        assert store.serve(term, serving("q2", expected=1_000, slots=(2_000,))) == 1
        assert store.serve(term, serving("q1", cause="trigger")) == 1


@pytest.mark.parametrize("end, why", ENDS[:3])
def test_withdrawing_twice_is_withdrawing_once(store: Store, end: object, why: str) -> None:
    store.plant("a", 5_000)
    store.ask(asking())
    wanted = end(store)  # type: ignore[operator]
    store.run(wanted)
    with store.unchanged():
        store.run(wanted)


def test_a_removal_that_is_refused_withdraws_nothing(store: Store) -> None:
    store.plant("a", 5_000)
    store.plant("b", 5_000)
    store.ask(asking())
    with store.unchanged():
        assert store.remove("a", "b", expected=[ANY, "n0.f0"]) == "02"
        assert store.pause("a", "nobody") == "02"


def test_requests_made_while_paused_are_served_and_a_repeated_pause_leaves_them_alone(store: Store, term: Term) -> None:
    store.plant("a", 5_000)
    store.pause("a")
    store.ask(asking())
    with store.unchanged():
        assert store.pause("a") == "1"
    assert store.serve(term, serving(rev=store.hash("rev")["a"], cause="trigger")) == 0
    assert store.queue() == ["a@1000"]


def test_another_pause_withdraws_what_was_asked_since_the_one_before(store: Store) -> None:
    store.plant("a", 5_000)
    store.pause("a", nonce="p1")
    store.ask(asking())
    store.pause("a", nonce="p2")
    assert (state_of(store), why_of(store)) == ("withdrawn", "paused")


def test_a_put_withdraws_nothing(store: Store) -> None:
    store.put(put_item("a"))
    store.ask(asking())
    asked, requests = store.hash("asked"), store.hash("req")
    for left, right in pairwise(["n2.f1", "n3.f9", "n4.f9"]):
        store.put(put_item("a", right, enabled=left != "n3.f9"))
        assert (store.hash("asked"), store.hash("req")) == (asked, requests)


def test_an_ended_request_is_not_ended_again(store: Store, term: Term) -> None:
    store.plant("a", 5_000)
    store.ask(asking())
    store.serve(term, serving(cause="trigger"))
    value = store.hash("req")
    store.pause("a")
    store.remove("a")
    assert store.hash("req") == value


@pytest.mark.parametrize("junk", ["", "x", "open", "open|x|0|0||{}", "open|0|0|0|", "\x1f", "|" * 9, "OPEN|0|0|0||{}"])
def test_spoilt_requests_never_stop_a_pause_or_a_removal(store: Store, junk: str) -> None:
    store.plant("a", 5_000)
    store.ask(asking(), asking("q2"))
    store.do("HSET", store.key("req"), "q1", junk)
    store.do("HSET", store.key("asked"), "a", "q0\x1fq1\x1f\x1fq2")
    assert store.pause("a") == "0"
    assert (state_of(store, "q2"), store.hash("req")["q1"]) == ("withdrawn", junk)
    store.do("HSET", store.key("asked"), "a", junk or "x")
    assert store.remove("a") == "0"
    assert store.do("EXISTS", *map(store.key, ("rev", "due", "asked"))) == 0


def test_what_is_stored_reads_back_as_what_was_asked() -> None:
    trigger = Wanted("trigger", "a", args=(1, "x"), kwargs={"k": None}, who="{}", note="n", asked=1_234)
    backfill = Wanted("backfill", "\u00e9", first=0, last=10_500, most=5, rate=2.5)
    for wanted in (trigger, backfill):
        assert read_wanted(wanted.to_text()) == wanted
    assert Asking("q", backfill, backfill.begins_at).cursor == 0
