"""Pause: after its answer nothing of an entry fires before it is resumed, or before the instant that was said."""

import json
from typing import Any

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.core.timetable import PlanItem
from beatd.store.entries import Pause, pause_call, put_call
from beatd.store.scripts import call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, with_args

# It works under memory pressure in both forms: both texts must work.
pytestmark = pytest.mark.parametrize("store", ["plain", "flagged"], indirect=True)

HOUR = 3_600_000
LOG_ROWS, SKIP_ROWS, NOTE, UNTIL, ITEMS, SECOND_NONCE = 2, 3, 5, 6, 7, 11
KINDS = ("lease", "rev", "due", "out", "hold", "blocked", "last", "jit", "skip", "log", "req", "asked")
BY = {"who": "me@here", "note": "a deploy"}


def pause_at(store: Store, *names: str, nonce: str = "p1", until: int | None = None) -> int:
    """Pauses, all accepted, and returns the server's clock in that call."""
    codes, now = store.run(pause_call(store.keys, names or ("a",), nonce, WHO, Pause("me@here", "a deploy", until)))
    assert set(codes) == {"0"}
    return int(now)


def out_of(store: Store, name: str = "a") -> dict[str, Any]:
    value = json.loads(store.hash("out")[name])
    assert isinstance(value, dict)
    return value


def hold_of(store: Store, name: str = "a") -> dict[str, Any]:
    value = json.loads(store.hash("hold")[name])
    assert isinstance(value, dict)
    return value


# Without an end


@pytest.mark.parametrize("kind", ["due", "blocked"])
@pytest.mark.parametrize("score", ["1000", "-1000"])
def test_a_paused_entry_leaves_the_timetable_and_what_it_owes_is_kept(store: Store, kind: str, score: str) -> None:
    store.plant("a", score, kind=kind, jit=5, left=3, last="900|901|id|")
    now = pause_at(store)
    assert (store.scores("due"), store.scores("blocked")) == ({}, {})
    assert out_of(store) == {"paused": {"at": str(now), **BY}, "owed": score}
    assert store.hash("rev") == {"a": "p1.f1"}
    kept = {kind: store.hash(kind) for kind in ("def", "jit", "left", "last", "hold")}
    assert kept == {"def": {"a": "{}"}, "jit": {"a": "5"}, "left": {"a": "3"}, "last": {"a": "900|901|id|"}, "hold": {}}


def test_a_pause_is_written_down_with_the_moment_owed(store: Store) -> None:
    store.plant("a", 1_000)
    now = pause_at(store)
    [row] = store.rows("log")
    assert json.loads(row.pop("pause")) == {"at": str(now), **BY}
    expected = {"op": "pause", "name": "a", "rev": "p1.f1", "was": REV, "at": str(now), "owed": "1000", "who": WHO}
    assert row == expected
    assert store.rows("skip") == []  # a row will say what it swallowed when that is known


def test_after_a_pause_nothing_that_was_staged_fires_or_is_planned(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.plant("new", -500)
    pause_at(store, "a", "new")
    with store.unchanged():
        assert store.fire(term, fire_item()) == "2"
        assert store.fire(term, fire_item(rev="p1.f1")) == "2"
        assert store.plan(term, PlanItem("new", REV, "-500", "1000")) == "2"


@pytest.mark.parametrize("reason", ["disabled", "invalid", "finished"])
def test_other_reasons_stay(store: Store, reason: str) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("out"), "a", json.dumps({reason: {"at": "7"}, "owed": "1000"}))
    now = pause_at(store)
    assert out_of(store) == {reason: {"at": "7"}, "paused": {"at": str(now), **BY}, "owed": "1000"}


def test_a_second_pause_takes_the_place_of_the_first(store: Store) -> None:
    store.plant("a", 1_000)
    pause_at(store)
    now = pause_at(store, nonce="p2")
    assert out_of(store) == {"paused": {"at": str(now), **BY}, "owed": "1000"}
    assert store.hash("rev") == {"a": "p2.f1"}


# With an end


@pytest.mark.parametrize("kind", ["due", "blocked"])
@pytest.mark.parametrize("score, since", [(1_030, 999), (-500, 500)])
def test_a_pause_with_an_end_is_planned_at_once_from_its_last_instant(
    store: Store, kind: str, score: int, since: int
) -> None:
    store.plant("a", score, kind=kind, jit=30)
    until = store.now() + HOUR
    pause_at(store, until=until)
    assert (store.scores("due"), store.scores("blocked")) == ({"a": f"-{until - 1}"}, {})
    assert hold_of(store) == {"until": str(until), "since": str(since), **BY}
    assert store.hash("out") == {}
    # Nobody acts when it ends: the row names at once what falls into it.
    assert store.skips() == [("a", [Skip("paused", 0, since + 1, until - 1)])]
    assert json.loads(store.rows("log")[-1]["pause"]) == {"until": str(until), **BY}


def test_a_slot_at_the_very_end_is_planned(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    until = store.now() + HOUR
    pause_at(store, until=until)
    assert store.plan(term, PlanItem("a", "p1.f1", f"-{until - 1}", str(until))) == "0"


def test_a_slot_after_the_end_is_still_the_next_one(store: Store) -> None:
    until = store.now() + HOUR
    store.plant("a", until + 500)
    pause_at(store, until=until)
    assert store.scores() == {"a": f"-{until + 499}"}
    assert store.skips() == []


def test_what_has_fired_is_not_named_as_paused(store: Store) -> None:
    now = store.now()
    store.plant("a", -500, last=f"{now}|{now}|id|")
    pause_at(store, until=now + HOUR)
    assert store.skips() == [("a", [Skip("paused", 0, now + 1, now + HOUR - 1)])]


def test_an_end_is_put_to_a_pause_without_one(store: Store) -> None:
    store.plant("a", 1_000)
    pause_at(store)
    until = store.now() + HOUR
    pause_at(store, nonce="p2", until=until)
    assert (store.hash("out"), store.scores()) == ({}, {"a": f"-{until - 1}"})
    assert hold_of(store)["since"] == "999"


def test_an_end_is_taken_from_a_pause(store: Store) -> None:
    store.plant("a", 1_000)
    until = store.now() + HOUR
    pause_at(store, until=until)
    now = pause_at(store, nonce="p2")
    assert (store.scores(), store.hash("hold")) == ({}, {})
    assert out_of(store) == {"paused": {"at": str(now), **BY}, "owed": "-999"}


@pytest.mark.parametrize("hours", [1, 3])
def test_another_end_takes_the_place_of_the_first(store: Store, hours: int) -> None:
    store.plant("a", 1_000)
    until = store.now() + 2 * HOUR
    pause_at(store, until=until)
    store.do("ZADD", store.key("due"), until + 7, "a")  # planned meanwhile
    pause_at(store, nonce="p2", until=until + (hours - 2) * HOUR)
    assert store.scores() == {"a": f"-{until + (hours - 2) * HOUR - 1}"}
    assert hold_of(store)["since"] == "999"


def test_a_pause_that_has_ended_is_no_pause_any_more(store: Store) -> None:
    store.plant("a", 1_000, hold='{"until":"900","since":"5","who":"x","after":"3"}')
    pause_at(store)
    assert out_of(store)["owed"] == "1000"
    assert hold_of(store) == {"after": "3"}


def test_what_ended_inside_a_pause_has_not_ended(store: Store, term: Term) -> None:
    for nonce, until in (("p2", None), ("p3", store.now() + 2 * HOUR)):
        store.plant("a", 1_000)
        first = store.now() + HOUR
        pause_at(store, nonce=f"{nonce}-first", until=first)
        assert store.plan(term, PlanItem("a", f"{nonce}-first.f1", f"-{first - 1}", "F")) == "0"
        pause_at(store, nonce=nonce, until=until)
        assert "finished" not in json.loads(store.hash("out").get("a", "{}"))


@pytest.mark.parametrize("reason", ["disabled", "invalid", "finished"])
def test_what_is_out_for_another_reason_is_held_where_it_is(store: Store, reason: str) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("out"), "a", json.dumps({reason: {"at": "7"}, "owed": "1000"}))
    until = store.now() + HOUR
    pause_at(store, until=until)
    assert store.scores() == {}
    assert out_of(store) == {reason: {"at": "7"}, "owed": "1000"}
    assert hold_of(store) == {"until": str(until), **BY}


def test_an_entry_that_is_enabled_inside_a_pause_is_planned_from_its_end(store: Store) -> None:
    store.put(put_item(enabled=False))
    until = store.now() + HOUR
    pause_at(store, until=until)
    assert store.put(put_item(rev="n2.f1")) == "0"
    assert store.scores() == {"a": f"-{until - 1}"}
    assert int(hold_of(store)["since"]) <= store.now()


def test_what_a_new_schedule_owes_inside_a_pause_is_named_and_can_be_caught_up_with(store: Store) -> None:
    until = store.now() + HOUR
    store.plant("a", until + HOUR)
    pause_at(store, until=until)
    assert store.skips() == []
    now = int(store.run(put_call(store.keys, [put_item(rev="n2.f2")], WHO))[1])
    assert store.skips() == [("a", [Skip("paused", 0, now + 1, until - 1)])]
    assert hold_of(store)["since"] == str(now)
    store.resume("a", catchup=True)
    assert store.scores() == {"a": f"-{now}"}


def test_what_is_enabled_inside_a_pause_has_a_row_for_the_rest_of_it(store: Store) -> None:
    store.put(put_item(enabled=False))
    until = store.now() + HOUR
    pause_at(store, until=until)
    now = int(store.run(put_call(store.keys, [put_item(rev="n2.f1")], WHO))[1])
    assert store.skips()[-1] == ("a", [Skip("paused", 0, now + 1, until - 1)])


@pytest.mark.parametrize("ago", [0, 1, 5_000])
def test_an_end_that_has_passed_is_refused(store: Store, ago: int) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    until = store.now() - ago
    with store.unchanged():
        assert store.pause("a", "b", until=until) == "55"


# All or nothing


@pytest.mark.parametrize("until", [None, HOUR])
def test_pausing_twice_is_pausing_once(store: Store, until: int | None) -> None:
    store.plant("a", 1_000)
    store.plant("b", -500)
    ends = None if until is None else store.now() + until
    assert store.pause("a", "b", until=ends) == "00"
    with store.unchanged():
        assert store.pause("a", "b", until=ends) == "11"


def test_a_retry_is_done_though_the_end_has_passed_meanwhile(store: Store) -> None:
    store.plant("a", 1_000)
    pause_at(store, until=store.now() + HOUR)
    with store.unchanged():
        assert store.pause("a", until=5) == "1"


def test_a_name_that_does_not_exist_refuses_the_whole_pause(store: Store) -> None:
    store.plant("a", 1_000)
    with store.unchanged():
        assert store.pause("a", "no") == "02"


@pytest.mark.parametrize("nonce", ["", "a.b", "a\x1fb", "n" * 101])
def test_a_nonce_that_is_none_refuses_the_whole_pause(store: Store, nonce: str) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    wanted = pause_call(store.keys, ["a", "b"], "p1", WHO, Pause("me"))
    with store.unchanged():
        assert store.run(with_args(wanted, {SECOND_NONCE: nonce}))[0] == "05"


@pytest.mark.parametrize("changes", [{i: j} for i in (LOG_ROWS, SKIP_ROWS, ITEMS) for j in (*NO_NUMBERS, 2**60)])
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, changes: dict[int, int | str]) -> None:
    store.plant("a", 1_000)
    wanted = pause_call(store.keys, ["a"], "p1", WHO, Pause("me"))
    assert store.refusal(with_args(wanted, changes)).startswith("MALFORMED ")
    assert store.refusal(call("pause", store.keys, [])).startswith("MALFORMED ")


@pytest.mark.parametrize("until", [*NO_NUMBERS[1:], "soon"])
def test_an_end_that_is_no_instant_is_refused(store: Store, until: str) -> None:
    store.plant("a", 1_000)
    wanted = pause_call(store.keys, ["a"], "p1", WHO, Pause("me"))
    assert store.refusal(with_args(wanted, {UNTIL: until})).startswith("MALFORMED ")


def test_a_note_has_a_limit(store: Store) -> None:
    store.plant("a", 1_000)
    wanted = pause_call(store.keys, ["a"], "p1", WHO, Pause("me", "n" * 4_094))
    assert store.refusal(with_args(wanted, {NOTE: "n" * 4_095})).startswith("MALFORMED ")
    assert store.run(wanted)[0] == "0"


def test_a_name_twice_in_a_call_is_refused(store: Store) -> None:
    store.plant("a", 1_000)
    wanted = pause_call(store.keys, ["a", "a"], "p1", WHO, Pause("me"))
    assert store.refusal(wanted) == "MALFORMED the name a stands twice in one call"


def test_500_names_fit_one_call_and_501_do_not(store: Store) -> None:
    names = [f"n{i}" for i in range(501)]
    store.put(*map(put_item, names[:500]))
    assert store.refusal(pause_call(store.keys, names, "p1", WHO, Pause("me"))).startswith("MALFORMED ")
    assert store.pause(*names[:500]) == "0" * 500


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    wanted = pause_call(store.keys, ["a"], "p1", WHO, Pause("me"))
    assert store.refusal(wanted).startswith(f"BADTYPE {store.key(kind)} holds a string")


def test_a_writer_of_another_format_is_refused(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(pause_call(store.keys, ["a"], "p1", WHO, Pause("me"))).startswith("FORMAT ")


# What other clients left behind

SPOILT = (
    "", "x", "[]", "[1,2]", "null", "1", "\xff", '{"paused":1e999}', '{"owed":{}}', '{"owed":"inf"}',
    '{"paused":null}', '{"until":{},"since":"x"}', '{"until":"99999999999999","since":[]}',
    '{"after":"x"}', '{"after":1e999}', "[" * 2_000,
)  # fmt: skip


@pytest.mark.parametrize("until", [None, HOUR])
@pytest.mark.parametrize("kind", ["out", "hold"])
def test_spoilt_json_never_stops_a_pause_half_way(store: Store, kind: str, until: int | None) -> None:
    names = [f"n{i}" for i in range(len(SPOILT))]
    for name, junk in zip(names, SPOILT, strict=True):
        store.do("HSET", store.key("rev"), name, REV)
        store.do("HSET", store.key(kind), name, junk.encode("latin-1"))
        if kind == "hold":
            store.do("ZADD", store.key("due"), 1_000, name)
    ends = None if until is None else store.now() + until
    assert store.pause(*names, until=ends) == "0" * len(names)
    places = (set(store.scores()), set(store.hash("out")))
    assert places == ((set(), set(names)) if until is None else (set(names), set()))
    assert store.resume(*names) == "0" * len(names)
    assert set(store.scores()) == set(names)
    assert all(score[1:].isdigit() for score in store.scores().values())


@pytest.mark.parametrize("score", ["inf", "-inf", "1.5", "1e300"])
def test_a_score_by_hand_owes_nothing_from_before_now(store: Store, score: str) -> None:
    store.plant("a", score)
    now = pause_at(store)
    assert out_of(store)["owed"] == f"-{now}"


@pytest.mark.parametrize("rev", ["", "x", "no-fingerprint", "."])
def test_a_spoilt_revision_becomes_one_that_no_schedule_has(store: Store, rev: str) -> None:
    store.plant("a", 1_000, rev=rev)
    pause_at(store)
    assert store.hash("rev") == {"a": "p1.unknown"}
    with store.unchanged():
        assert store.pause("a") == "1"


@pytest.mark.parametrize("kind", ["log", "skip"])
def test_a_row_that_redis_refuses_does_not_stop_a_pause(store: Store, kind: str) -> None:
    store.do("XADD", store.key(kind), f"{2**64 - 1}-{2**64 - 1}", "the", "end")  # no id can follow
    store.plant("a", 1_000)
    assert store.pause("a", until=store.now() + HOUR) == "0"
    assert store.hash("rev") == {"a": "p1.f1"}


# Removed and back


@pytest.mark.parametrize("file_hash", ["h1", ""])
def test_only_a_file_entry_comes_back_with_the_rest_of_its_pause(store: Store, file_hash: str) -> None:
    store.put(put_item(file_hash=file_hash))
    until = store.now() + HOUR
    pause_at(store, until=until)
    store.remove("a")
    assert store.hash("hold") == {}
    now = int(store.run(pause_call(store.keys, ["a"], "p2", WHO, Pause("me")))[1])
    assert store.put(put_item(rev="n2.f1", file_hash="h1")) == "0"
    if file_hash:
        assert store.scores() == {"a": f"-{until - 1}"}
        since = hold_of(store).pop("since")
        assert int(since) >= now
        assert hold_of(store) == {"until": str(until), "since": since, **BY}
    else:
        assert store.hash("hold") == {}
