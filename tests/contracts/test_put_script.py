"""Put: edits that settle nothing, keep pauses, and leave a row for every range they give up."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import pytest

from beatd.core.edit import ABSENT, PutItem
from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.core.timetable import PlanItem
from beatd.store.entries import put_call
from beatd.store.scripts import call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, skip_item, with_args

HOUR = 3_600_000
LOG_ROWS, SKIP_ROWS, ITEMS, REVISION, JITTER, LEFT, ENABLED = 2, 3, 4, 6, 9, 10, 11
KINDS = (
    "lease",
    "def",
    "rev",
    "due",
    "out",
    "hold",
    "gone",
    "blocked",
    "last",
    "jit",
    "left",
    "skip",
    "log",
    "file",
    "req",
    "asked",
)


def put_at(store: Store, *items: PutItem) -> int:
    """Puts, all accepted, and returns the server's clock in that call."""
    codes, now = store.run(put_call(store.keys, items, WHO))
    assert codes == "0" * len(items)
    return int(now)


def out_of(store: Store, name: str = "a") -> dict[str, object]:
    value = json.loads(store.hash("out")[name])
    assert isinstance(value, dict)
    return value


# New entries


def test_a_new_entry_is_to_be_planned_from_this_instant(store: Store) -> None:
    item = put_item(definition='{"args":[],"big":9007199254740993}', jitter=30, left="3", file_hash="h1")
    now = put_at(store, item)
    assert store.scores() == {"a": f"-{now}"}
    assert store.hash("def") == {"a": '{"args":[],"big":9007199254740993}'}
    stored = {kind: store.hash(kind) for kind in ("rev", "jit", "left", "file")}
    assert stored == {"rev": {"a": REV}, "jit": {"a": "30"}, "left": {"a": "3"}, "file": {"a": "h1"}}
    row = {"op": "put", "name": "a", "rev": REV, "was": "", "at": str(now), "def": item.definition, "file": "h1"}
    assert store.rows("log") == [{**row, "enabled": "1", "pause": "", "replaces": "", "who": WHO}]
    assert store.do("EXISTS", store.key("skip"), store.key("out")) == 0


def test_what_an_entry_does_not_have_takes_no_room(store: Store) -> None:
    put_at(store, put_item(jitter=30, left="3", file_hash="h1"))
    put_at(store, put_item(rev="n2.f2"))
    assert store.do("EXISTS", *map(store.key, ("jit", "left", "file"))) == 0


def test_runs_left_may_be_kept(store: Store) -> None:
    put_at(store, put_item("a", left="3"), put_item("b"))
    put_at(store, put_item("a", "n2.f1", left="keep"), put_item("b", "n2.f1", left="keep"))
    assert store.hash("left") == {"a": "3"}


@pytest.mark.parametrize("change, left", [("+2", "5"), ("-1", "2"), ("-3", "0"), ("-9", "0"), ("+0", "3")])
def test_runs_left_may_be_changed_by_a_difference_from_what_they_are_then(store: Store, change: str, left: str) -> None:
    put_at(store, put_item(left="3"))
    put_at(store, put_item(rev="n2.f1", left=change))
    assert store.hash("left") == {"a": left}
    assert store.put(put_item(rev="n2.f1", left=change)) == "1"
    assert store.hash("left") == {"a": left}


def test_a_disabled_entry_stays_out_of_the_timetable(store: Store) -> None:
    now = put_at(store, put_item(enabled=False))
    assert store.scores() == {}
    assert out_of(store) == {"disabled": {"at": str(now)}, "owed": f"-{now}"}


# All or nothing


def test_putting_twice_is_putting_once(store: Store) -> None:
    items = [put_item("a"), put_item("b", enabled=False), put_item("c", jitter=5, left="2", file_hash="h")]
    assert store.put(*items) == "000"
    with store.unchanged():
        assert store.put(*items) == "111"


def test_a_retry_is_done_even_if_it_was_based_on_what_it_replaced(store: Store) -> None:
    store.put(put_item())
    edit = put_item(rev="n2.f2", expected=REV)
    assert store.put(edit) == "0"
    with store.unchanged():
        assert store.put(edit) == "1"


def test_a_repeated_edit_goes_on_where_the_first_attempt_did_not(store: Store) -> None:
    store.put(put_item("a"))
    assert store.put(put_item("a"), put_item("b")) == "10"
    assert set(store.scores()) == {"a", "b"}


def test_a_conflict_on_one_name_refuses_the_whole_edit(store: Store) -> None:
    store.put(put_item("a"), put_item("b"))
    edit = [put_item("a", "n2.f1", expected=REV), put_item("b", "n2.f1", expected="n0.f1"), put_item("c")]
    with store.unchanged():
        assert store.put(*edit) == "020"


def test_a_name_that_must_be_free_is_not_overwritten(store: Store) -> None:
    assert store.put(put_item(expected=ABSENT)) == "0"
    with store.unchanged():
        assert store.put(put_item(rev="n2.f1", expected=ABSENT)) == "2"


def test_an_entry_that_must_exist_is_not_created(store: Store) -> None:
    with store.unchanged():
        assert store.put(put_item(expected=REV)) == "2"


@pytest.mark.parametrize(
    "item",
    [
        put_item(""),
        put_item("n" * 801),
        put_item("a\x1fb"),
        put_item("a\x1eb"),
        put_item("a\nb"),
        put_item("a\x00b"),
        put_item(rev=""),
        put_item(rev="n1"),
        put_item(rev="n1."),
        put_item(rev=".f1"),
        put_item(definition="x" * 131_073),
        *(put_item(left=left) for left in ("many", "+", "+-1", "1.5", "+1e3", " +1", "+" + "9" * 16)),
    ],
)
def test_a_malformed_entry_refuses_the_whole_edit(store: Store, item: PutItem) -> None:
    with store.unchanged():
        assert store.put(item, put_item("fine")) == "50"


@pytest.mark.parametrize("index", [JITTER, LEFT, ENABLED])
@pytest.mark.parametrize("junk", [*NO_NUMBERS[1:], "kept"])
def test_a_malformed_number_refuses_the_whole_edit(store: Store, index: int, junk: str) -> None:
    if index == LEFT and junk[0] in "+-":
        junk += "x"  # by itself it is a difference
    spoilt = with_args(put_call(store.keys, [put_item()], WHO), {index: junk})
    with store.unchanged():
        assert store.run(spoilt)[0] == "5"


@pytest.mark.parametrize("changes", [{i: j} for i in (LOG_ROWS, SKIP_ROWS, ITEMS) for j in (*NO_NUMBERS, 2**60)])
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, changes: dict[int, int | str]) -> None:
    good = put_call(store.keys, [put_item()], WHO)
    assert store.refusal(with_args(good, changes)).startswith("MALFORMED ")


def test_a_call_without_items_is_refused(store: Store) -> None:
    assert store.refusal(put_call(store.keys, [], WHO)).startswith("MALFORMED ")
    assert store.refusal(call("put", store.keys, [])).startswith("MALFORMED ")


def test_a_name_twice_in_a_call_is_refused(store: Store) -> None:
    twice = put_call(store.keys, [put_item(), put_item("b"), put_item(rev="n2.f1")], WHO)
    assert store.refusal(twice) == "MALFORMED the name a stands twice in one call"


def test_500_entries_fit_one_call_and_501_do_not(store: Store) -> None:
    items = [put_item(f"n{i}") for i in range(501)]
    assert store.refusal(put_call(store.keys, items, WHO)).startswith("MALFORMED ")
    assert store.put(*items[:500]) == "0" * 500
    assert len(store.scores()) == 500


def test_more_than_a_megabyte_is_refused(store: Store) -> None:
    items = [put_item(f"n{i}", definition="x" * 131_072) for i in range(8)]
    assert store.refusal(put_call(store.keys, items, WHO)) == "MALFORMED one call carries at most 1048576 bytes"
    assert store.put(*items[:7]) == "0" * 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    assert store.refusal(put_call(store.keys, [put_item()], WHO)).startswith(f"BADTYPE {store.key(kind)} holds a ")


def test_a_writer_of_another_format_is_refused(store: Store, term: Term) -> None:
    store.put(put_item())
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(put_call(store.keys, [put_item(rev="n2.f1")], WHO)).startswith("FORMAT ")


# The schedule stays


@pytest.mark.parametrize("kind", ["due", "blocked"])
def test_an_edit_of_the_arguments_keeps_the_pending_moment(store: Store, kind: str) -> None:
    store.plant("a", 1_000, kind=kind)
    put_at(store, put_item(rev="n2.f1", definition="new"))
    assert (store.scores("due"), store.scores("blocked")) == ({"a": "1000"}, {})
    assert store.do("EXISTS", store.key("skip")) == 0
    assert (store.hash("rev"), store.hash("def")) == ({"a": "n2.f1"}, {"a": "new"})


def test_an_entry_still_to_be_planned_keeps_its_instant(store: Store) -> None:
    store.plant("a", -5_000)
    put_at(store, put_item(rev="n2.f1"))
    assert (store.scores(), store.do("EXISTS", store.key("skip"))) == ({"a": "-5000"}, 0)
    now = put_at(store, put_item(rev="n3.f2"))
    assert store.scores() == {"a": "-5000"}
    # Nobody knows which slots the old schedule owed since then: the row names the stretch.
    assert store.skips() == [("a", [Skip("superseded", 0, 5_000, now)])]


# Another schedule


def test_another_schedule_counts_from_just_before_the_slot_still_owed(store: Store) -> None:
    store.plant("a", 1_030, jit=30)
    now = put_at(store, put_item(rev="n2.f2"))
    assert store.scores() == {"a": "-999"}
    assert store.skips() == [("a", [Skip("superseded", 0, 1_000, now)])]


def test_another_schedule_counts_from_now_when_nothing_is_owed(store: Store) -> None:
    store.plant("a", store.now() + HOUR)
    now = put_at(store, put_item(rev="n2.f2"))
    assert store.scores() == {"a": f"-{now}"}
    assert store.do("EXISTS", store.key("skip")) == 0


def test_another_jitter_is_another_schedule_whatever_the_fingerprint_says(store: Store) -> None:
    store.plant("a", 1_030, jit=30)
    put_at(store, put_item(rev="n2.f1", jitter=31))
    assert store.scores() == {"a": "-999"}


def test_a_blocked_entry_with_another_schedule_is_planned_again(store: Store) -> None:
    store.plant("a", 1_000, kind="blocked")
    put_at(store, put_item(rev="n2.f2"))
    assert (store.scores("due"), store.scores("blocked")) == ({"a": "-999"}, {})


@pytest.mark.parametrize("score", [1_000, -1_000])
def test_nothing_is_counted_from_before_the_last_fire(store: Store, score: int) -> None:
    store.plant("a", score, last="1500|1501|id|")
    put_at(store, put_item(rev="n2.f2"))
    assert store.scores() == {"a": "-1500"}


def test_a_last_fire_ahead_of_the_clock_counts_too(store: Store) -> None:
    ahead = store.now() + HOUR
    store.do("HSET", store.key("last"), "a", f"{ahead}|{ahead}|id|")
    put_at(store, put_item())
    assert store.scores() == {"a": f"-{ahead}"}


def test_no_score_says_1970(store: Store) -> None:
    store.plant("a", 0)
    put_at(store, put_item(rev="n2.f2"))
    assert store.scores() == {"a": "-1"}


# Paused, disabled, held


def paused(store: Store, reasons: Mapping[str, object] | None = None, *, owed: int = 1_000) -> None:
    """An entry out of the timetable for these reasons, by default paused."""
    out = {"owed": str(owed), **(reasons or {"paused": {"who": "me", "note": "n"}})}
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("out"), "a", json.dumps(out))


@pytest.mark.parametrize("rev, owed", [("n2.f1", "1000"), ("n2.f2", "-999")])
def test_a_paused_entry_stays_out_and_what_it_owes_follows_the_edit(store: Store, rev: str, owed: str) -> None:
    paused(store)
    put_at(store, put_item(rev=rev))
    assert store.scores() == {}
    assert out_of(store) == {"paused": {"who": "me", "note": "n"}, "owed": owed}


@pytest.mark.parametrize("kind", ["due", "blocked"])
def test_disabling_takes_out_and_keeps_what_is_owed(store: Store, kind: str) -> None:
    store.plant("a", 1_000, kind=kind)
    now = put_at(store, put_item(rev="n2.f1", enabled=False))
    assert (store.scores("due"), store.scores("blocked")) == ({}, {})
    assert out_of(store) == {"disabled": {"at": str(now)}, "owed": "1000"}
    assert store.do("EXISTS", store.key("skip")) == 0


def test_an_edit_of_a_disabled_entry_keeps_since_when_it_is(store: Store) -> None:
    paused(store, {"disabled": {"at": "7"}})
    put_at(store, put_item(rev="n2.f1", enabled=False))
    assert out_of(store) == {"disabled": {"at": "7"}, "owed": "1000"}


@pytest.mark.parametrize("owed, first", [(1_030, 1_000), (-500, 500)])
def test_enabling_plans_from_now_and_names_what_was_slept_through(store: Store, owed: int, first: int) -> None:
    paused(store, {"disabled": {"at": "7"}}, owed=owed)
    store.do("HSET", store.key("jit"), "a", 30)
    now = put_at(store, put_item(rev="n2.f1", jitter=30))
    assert store.scores() == {"a": f"-{now}"}
    assert store.hash("out") == {}
    assert store.skips() == [("a", [Skip("disabled", 0, first, now)])]


def test_enabling_a_paused_entry_leaves_it_paused_and_owing_nothing_older(store: Store) -> None:
    paused(store, {"disabled": {"at": "7"}, "paused": {"who": "me"}})
    now = put_at(store, put_item(rev="n2.f1"))
    assert store.scores() == {}
    assert out_of(store) == {"paused": {"who": "me"}, "owed": f"-{now}"}
    assert store.skips() == [("a", [Skip("disabled", 0, 1_000, now)])]


@pytest.mark.parametrize("why, reason", [("invalid", "invalid"), ("finished", "past")])
def test_mending_plans_from_now_with_a_row(store: Store, why: str, reason: str) -> None:
    paused(store, {why: {"at": "7"}})
    now = put_at(store, put_item(rev="n2.f2"))
    assert store.scores() == {"a": f"-{now}"}
    assert store.hash("out") == {}
    assert store.skips() == [("a", [Skip(reason, 0, 1_000, now)])]  # type: ignore[arg-type]


@pytest.mark.parametrize("why", ["invalid", "finished"])
def test_mending_a_paused_or_disabled_entry_leaves_it_out(store: Store, why: str) -> None:
    paused(store, {why: {"at": "7"}, "paused": {"who": "me"}})
    now = put_at(store, put_item(rev="n2.f2"))
    assert out_of(store) == {"paused": {"who": "me"}, "owed": f"-{now}"}
    now = put_at(store, put_item(rev="n3.f2", enabled=False))
    assert set(out_of(store)) == {"paused", "disabled", "owed"}
    assert len(store.skips()) == 1


@pytest.mark.parametrize("why", ["disabled", "invalid", "finished"])
def test_what_comes_back_is_not_planned_before_its_last_fire(store: Store, why: str) -> None:
    ahead = store.now() + HOUR
    paused(store, {why: {"at": "7"}})
    store.do("HSET", store.key("last"), "a", f"{ahead}|{ahead}|id|")
    put_at(store, put_item(rev="n2.f1"))
    assert store.scores() == {"a": f"-{ahead}"}


def test_a_finished_entry_that_is_edited_gets_planned_again(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.fire(term, fire_item(next_moment=None))
    now = put_at(store, put_item(rev="n2.f1"))
    assert store.scores() == {"a": f"-{now}"}


@pytest.mark.parametrize("until", ['"{}"', "{}"])
def test_a_pause_with_an_end_holds_through_an_edit(store: Store, until: str) -> None:
    ends = store.now() + HOUR
    store.do("HSET", store.key("hold"), "a", f'{{"until":{until.format(ends)},"who":"me"}}')
    for score in ("1000", str(ends - 1), f"-{ends - 1}", "-5"):
        store.plant("a", score)
        for rev in ("n2.f1", "n3.f2"):
            put_at(store, put_item(rev=rev))
            assert store.scores() == {"a": f"-{ends - 1}"}, (score, rev)


@pytest.mark.parametrize("jitter", [0, 7])
def test_a_slot_at_the_very_end_of_the_pause_stays(store: Store, jitter: int) -> None:
    ends = store.now() + HOUR
    store.do("HSET", store.key("hold"), "a", json.dumps({"until": ends}))
    store.plant("a", ends + jitter, jit=jitter)
    put_at(store, put_item(rev="n2.f1", jitter=jitter))
    assert store.scores() == {"a": str(ends + jitter)}
    put_at(store, put_item(rev="n3.f2", jitter=jitter))
    assert store.scores() == {"a": f"-{ends - 1}"}


def test_a_pause_that_has_ended_holds_nothing_after_it(store: Store) -> None:
    store.do("HSET", store.key("hold"), "a", json.dumps({"until": 5_000}))
    store.plant("a", 5_000)
    put_at(store, put_item(rev="n2.f1"))
    assert store.scores() == {"a": "5000"}


# Removed and back


def test_a_name_that_comes_back_is_new_but_never_planned_before_its_last_fire(store: Store, term: Term) -> None:
    now = store.now()
    store.plant("a", 1_000, jit=7, left=3)
    store.do("HSET", store.key("last"), "a", f"{now + HOUR}|{now}|id|")
    store.remove("a")
    put_at(store, put_item(rev="n2.f2", left="keep"))
    assert store.scores() == {"a": f"-{now + HOUR}"}
    assert store.do("EXISTS", *map(store.key, ("jit", "left", "skip", "gone"))) == 0
    mark = f"-{now + HOUR}"
    with store.unchanged():
        assert store.plan(term, PlanItem("a", "n2.f2", mark, str(now + HOUR))) == "1"
    assert store.plan(term, PlanItem("a", "n2.f2", mark, str(now + HOUR + 1))) == "0"


def gone_while_paused(store: Store, file_hash: str) -> None:
    store.put(put_item(file_hash=file_hash))
    store.do("ZREM", store.key("due"), "a")
    store.do("HSET", store.key("out"), "a", '{"paused":{"who":"me"},"owed":"5"}')
    store.remove("a")


def test_a_file_entry_comes_back_paused(store: Store) -> None:
    gone_while_paused(store, "h1")
    now = put_at(store, put_item(rev="n2.f1", file_hash="h2"))
    assert store.scores() == {}
    assert out_of(store) == {"paused": {"who": "me"}, "owed": f"-{now}"}
    assert store.hash("gone") == {}


@pytest.mark.parametrize("before, after", [("", ""), ("h1", ""), ("", "h1")])
def test_any_other_entry_comes_back_unpaused(store: Store, before: str, after: str) -> None:
    gone_while_paused(store, before)
    now = put_at(store, put_item(rev="n2.f1", file_hash=after))
    assert store.scores() == {"a": f"-{now}"}
    assert store.hash("gone") == {}


# What other clients left behind

SPOILT_JSON = (
    "", "x", "[]", "[1,2]", "{}", "null", "true", "1", '"text"', "{", '{"paused":', "\xff\xfe", "nan",
    '{"owed":{}}', '{"owed":[1]}', '{"owed":true}', '{"owed":null}', '{"owed":"x"}', '{"owed":1e999}', '{"owed":-0.5}',
    '{"owed":"inf"}', '{"owed":"nan"}', '{"until":1e999}', '{"until":"nan"}', '{"until":{}}', '{"until":-5}',
    '{"paused":1e999}', '{"paused":[[[]]],"x":{"y":NaN}}', '{"disabled":null,"owed":"12"}', '{"paused":null}',
    '{"invalid":7}', '{"finished":[]}', "[" * 2_000, '{"paused":' * 990 + "1" + "}" * 990,
)  # fmt: skip


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("kind", ["out", "hold", "gone"])
def test_spoilt_json_never_stops_an_edit_half_way(store: Store, kind: str, enabled: bool) -> None:
    names = [f"n{i}" for i in range(len(SPOILT_JSON))]
    for name, junk in zip(names, SPOILT_JSON, strict=True):
        store.do("HSET", store.key(kind), name, junk.encode("utf-8", "surrogateescape"))
        if kind != "gone":
            store.do("HSET", store.key("rev"), name, REV)
        if kind == "hold":
            store.do("ZADD", store.key("due"), 1_000, name)
    put_at(store, *(put_item(name, "n2.f2", enabled=enabled, file_hash="h") for name in names))
    assert store.hash("rev") == dict.fromkeys(names, "n2.f2")
    scores = store.scores()
    assert scores.keys().isdisjoint(store.hash("out"))
    assert scores.keys() | store.hash("out").keys() == set(names)
    for text in store.hash("out").values():
        assert '"paused":' in text or '"disabled":' in text
    assert all(score[1:].isdigit() for score in scores.values())


def test_an_entry_that_is_out_for_no_reason_comes_back_from_now_with_a_row(store: Store) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("out"), "a", '{"owed":"1000"}')
    now = put_at(store, put_item(rev="n2.f1"))
    assert (store.scores(), store.hash("out")) == ({"a": f"-{now}"}, {})
    assert store.skips() == [("a", [Skip("invalid", 0, 1_000, now)])]


@pytest.mark.parametrize("score", ["inf", "-inf", "1.5", "-1.5", "1e300"])
@pytest.mark.parametrize("rev", ["n2.f1", "n2.f2"])
def test_a_score_by_hand_is_planned_from_now(store: Store, score: str, rev: str) -> None:
    store.plant("a", score)
    now = put_at(store, put_item(rev=rev))
    assert store.scores() == {"a": f"-{now}"}


@pytest.mark.parametrize("junk", ["x", "", "nan", "1e400", "-5"])
def test_spoilt_numbers_count_as_none(store: Store, junk: str) -> None:
    store.plant("a", 1_000, jit=junk, left=junk, last=f"{junk}|1|id|")
    store.plant("b", 1_000)
    put_at(store, put_item("a", "n2.f2", left="keep"), put_item("b", "n2.f2"))
    assert store.scores() == {"a": "-999", "b": "-999"}


def test_a_last_fire_of_absurd_length_counts_as_none(store: Store) -> None:
    store.plant("a", 1_000, last="9" * 400 + "|1|id|")
    put_at(store, put_item(rev="n2.f2"))
    assert store.scores() == {"a": "-999"}


@pytest.mark.parametrize("rev", ["", "x", "no-fingerprint", "."])
def test_a_spoilt_revision_counts_as_another_schedule(store: Store, rev: str) -> None:
    store.plant("a", 1_000, rev=rev)
    put_at(store, put_item(rev="n2.f1"))
    assert store.scores() == {"a": "-999"}


def test_an_entry_that_lost_its_place_gets_one_again(store: Store) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    now = put_at(store, put_item(rev="n2.f1"))
    assert store.scores() == {"a": f"-{now}"}


def test_an_entry_in_two_places_is_in_one_after_an_edit(store: Store) -> None:
    store.plant("a", 1_000)
    store.do("ZADD", store.key("blocked"), 500, "a")
    store.do("HSET", store.key("out"), "a", '{"finished":{},"owed":"1"}')
    put_at(store, put_item(rev="n2.f1"))
    assert (list(store.scores()), store.scores("blocked"), store.hash("out")) == (["a"], {}, {})


@pytest.mark.parametrize("kind", ["log", "skip"])
def test_a_row_that_redis_refuses_does_not_stop_an_edit(store: Store, kind: str) -> None:
    store.do("XADD", store.key(kind), f"{2**64 - 1}-{2**64 - 1}", "the", "end")  # no id can follow
    store.plant("a", 1_000)
    put_at(store, put_item("a", "n2.f2"), put_item("b"))
    assert store.hash("rev") == {"a": "n2.f2", "b": REV}


# Together with the leader


@pytest.mark.parametrize("change", [{"definition": "new"}, {"rev": "n2.f2"}, {"enabled": False}])
def test_after_an_edit_nothing_of_the_old_definition_fires(
    store: Store, term: Term, change: dict[str, str | bool]
) -> None:
    store.plant("a", 1_000)
    put_at(store, replace(put_item(rev="n2.f1"), **change))  # type: ignore[arg-type]
    with store.unchanged():
        assert store.fire(term, fire_item()) == "2"


def test_rows_of_edits_follow_each_other_without_a_hole(store: Store, term: Term) -> None:
    """Between the last fire and the next plan every instant lies in the range of some row."""
    store.plant("a", 1_000)
    moments: list[Callable[[], object]] = [
        lambda: put_at(store, put_item(rev="n2.f1", enabled=False)),
        lambda: put_at(store, put_item(rev="n3.f2", enabled=False)),
        lambda: put_at(store, put_item(rev="n4.f2")),
    ]
    for edit in moments:
        edit()
    mark = int(store.scores()["a"])
    ranges = sorted((skip.first, skip.last) for _, skips in store.skips() for skip in skips)
    assert ranges[0][0] <= 1_000
    assert all(after[0] <= before[1] + 1 for before, after in pairwise(ranges))
    assert ranges[-1][1] >= -mark
    assert store.fire(term, skip_item(rev="n4.f2")) == "1"


def test_what_an_entry_outside_owes_stays_when_a_pause_was_lifted_meanwhile(store: Store) -> None:
    """Nobody has written a row for what lies between: only one may pass over slots."""
    owed = store.now() - 60_000
    store.plant("a", owed, out=json.dumps({"disabled": {"at": "1"}, "owed": str(-owed)}))
    store.do("ZREM", store.key("due"), "a")
    store.do("HSET", store.key("hold"), "a", json.dumps({"after": str(owed + 30_000)}))
    assert store.put(put_item("a", "n2.f1", enabled=False)) == "0"
    assert json.loads(store.hash("out")["a"])["owed"] == str(-owed)
    assert store.put(put_item("a", "n3.f1")) == "0"
    assert [(name, skip.reason, skip.first) for name, [skip] in store.skips()] == [("a", "disabled", owed + 0)]


def test_another_schedule_counts_from_now_where_a_lifted_pause_left_an_instant_ahead(store: Store) -> None:
    ahead = store.now() + 60_000
    store.plant("a", -ahead)
    assert store.put(put_item("a", "n2.f1")) == "0"
    assert store.scores() == {"a": str(-ahead)}
    assert store.put(put_item("a", "n3.f2")) == "0"
    assert -int(store.scores()["a"]) <= store.now()


def test_an_edit_that_leaves_no_runs_is_planned_at_once_to_be_finished(store: Store) -> None:
    moment = store.now() + HOUR
    for name, left in (("a", "-3"), ("b", "-2"), ("c", "0"), ("d", "keep")):
        store.plant(name, moment, rev="n1.f1", left=3)
        put_at(store, put_item(name, "n2.f1", left=left))
    assert {name: score.startswith("-") for name, score in store.scores().items()} == {
        "a": True,
        "b": False,
        "c": True,
        "d": False,
    }
