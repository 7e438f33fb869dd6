"""Settle: fire's moves, with intents in place of pushes. Done: what takes intents out again."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from beatd.core.fire import FireItem, Skip
from beatd.core.term import Term
from beatd.store.outbox import done_call, drop_call, fail_call, forget_call
from beatd.store.scripts import Call
from beatd.store.timetable import fire_call
from tests.support.store import NO_NUMBERS, WHO, Store, fire_item, settling, skip_item, with_args

HOUR = 3_600_000
MISSED = Skip("missed", 3, 1_000, 1_200)


def wanted(store: Store, term: Term, *items: FireItem) -> Call:
    return settling(store.keys, term, items or [fire_item()])


def three(name: str) -> FireItem:
    messages = tuple(f"{name}{i}".encode() for i in range(3))
    return fire_item(name, slots=(1_000, 1_100, 1_200), plain=False, messages=messages)


def test_a_settled_fire_leaves_an_intent_and_moves_its_entry(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    call = settling(store.keys, term, [fire_item()], dead_at=5_000, attempts=3, at_most_once=True, cause="trigger")
    codes, now, seq = store.run(call)
    assert (codes, seq) == ("0", "1")
    head = ["a", "1000", "a-1000", "celery", "5000", "3", "1", "b0b0b0b0", "trigger", "6"]
    assert store.intents() == {"1-1": (head, "a@1000")}
    assert store.do("EXISTS", "celery") == 0
    assert store.scores() == {"a": "2000"}
    assert store.fires() == [("a", [1_000])]
    assert store.hash("last") == {"a": f"1000|{now}|id|"}


def test_what_a_draft_leaves_open_is_stored_as_nothing(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.settle(term, fire_item()) == "0"
    assert store.intents()["1-1"][0] == ["a", "1000", "a-1000", "celery", "", "", "0", "b0b0b0b0", "", "6"]


def test_ids_count_the_messages_of_a_call_refused_ones_too(store: Store, term: Term) -> None:
    for name in ("a", "b"):
        store.plant(name, 1_000)
    assert store.settle(term, three("a"), fire_item("gone"), fire_item("b")) == "020"
    assert {key: (head[0], head[1], message) for key, (head, message) in store.intents().items()} == {
        "1-1": ("a", "1000", "a0"),
        "1-2": ("a", "1100", "a1"),
        "1-3": ("a", "1200", "a2"),
        "1-5": ("b", "1000", "b@1000"),
    }


def test_settling_twice_is_settling_once(store: Store, term: Term) -> None:
    for name in ("moves", "ends", "skips", "counts"):
        store.plant(name, 1_000)
    store.do("HSET", store.key("left"), "counts", 5)
    items = [fire_item("moves"), fire_item("ends", next_moment=None), skip_item("skips"), fire_item("counts", left=4)]
    assert store.settle(term, *items) == "0000"
    once = store.everything()
    assert store.settle(term, *items) == "1211"
    assert store.everything() == once


def batches(now: int) -> list[list[FireItem]]:
    """Batches that meet every code of fire."""
    return [
        [fire_item("moves"), fire_item("ends", next_moment=None), skip_item("skips"), fire_item("counts", left=4)],
        [fire_item("gone"), fire_item("moves", expected=999), fire_item("skips", rev="n0.f0"), fire_item("skips")],
        [fire_item("early", now + HOUR, now + 2 * HOUR), fire_item("ends", good_until=1_001), fire_item("moves")],
        [fire_item("moves", next_moment=1_000), skip_item("skips", skips=(MISSED,)), fire_item("moves")],
        [three("moves"), fire_item("counts", left=3), three("jittered"), fire_item("ends", queue_key="spoilt")],
        [fire_item("spoilt", queue_key="spoilt"), fire_item("moves", messages=(b"1", b"2"))],
    ]


@pytest.mark.parametrize("number", range(6))
def test_settle_judges_and_moves_as_fire_does(store: Store, number: int) -> None:
    now = store.now()

    def what_comes_of(make: Callable[[Term, list[FireItem]], Call]) -> str:
        """Codes and what is stored, as text, without the instants and the epoch."""
        store.do("FLUSHALL")
        term = store.lead()
        for name in ("moves", "ends", "skips", "spoilt"):
            store.plant(name, 1_000)
        store.plant("counts", 1_000, left=5)
        store.plant("jittered", 1_000, jit=30)
        store.plant("early", now + HOUR)
        store.do("SET", "spoilt", "x")
        codes = store.run(make(term, batches(now)[number]))[0]
        kinds = ("due", "out", "blocked", "left", "last", "rev")
        found = {kind: store.contents().get(store.key(kind)) for kind in kinds}
        seen = (codes, found, store.rows("hist"), store.rows("skip"), store.hash("lease")["seq"])
        return re.sub(r"\d{10,13}", "T", repr(seen))

    fired = what_comes_of(lambda term, items: fire_call(store.keys, term, items))
    assert what_comes_of(lambda term, items: settling(store.keys, term, items, bad=["spoilt"])) == fired


def test_a_queue_that_takes_nothing_moves_its_entry_to_blocked_and_keeps_no_intent(store: Store, term: Term) -> None:
    for name in ("a", "b"):
        store.plant(name, 1_000)
    items = [fire_item("a", queue_key="bad"), fire_item("b", queue_key="good")]
    assert store.settle(term, *items, bad=["bad"]) == "40"
    assert (store.scores(), store.scores("blocked")) == ({"b": "2000"}, {"a": "1000"})
    assert list(store.intents()) == ["1-2"]


def test_a_key_of_another_type_under_the_queues_name_is_no_matter(store: Store, term: Term) -> None:
    store.do("SET", "celery", "x")
    store.plant("a", 1_000)
    assert store.settle(term, fire_item()) == "0"


@pytest.mark.parametrize("change", [{"epoch": 1}, {"owner": "other"}, {"owner": ""}])
def test_a_stranger_settles_nothing(store: Store, term: Term, change: dict[str, int | str]) -> None:
    store.plant("a", 1_000)
    stranger = replace(term, **change)  # type: ignore[arg-type]
    assert store.refusal(wanted(store, stranger)).startswith("FENCED ")


@pytest.mark.parametrize("kind", ["lease", "due", "ob", "obm"])
def test_a_key_of_a_wrong_type_is_named_and_nothing_is_settled(store: Store, term: Term, kind: str) -> None:
    store.plant("a", 1_000)
    store.do("DEL", store.key(kind))
    store.do("SET", store.key(kind), "x")
    assert store.refusal(wanted(store, term)).startswith(f"BADTYPE {store.key(kind)} holds a string, beatd keeps a ")


@pytest.mark.parametrize("words", [0, 1, 7, 13, 14, 15])
def test_a_call_with_too_few_words_is_refused(store: Store, term: Term, words: int) -> None:
    store.plant("a", 1_000)
    whole = wanted(store, term)
    assert len(whole.args) == 16
    assert store.refusal(replace(whole, args=whole.args[:words])).startswith("MALFORMED ")


def test_more_words_or_keys_than_a_call_has_are_refused(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    call = wanted(store, term)
    assert store.refusal(replace(call, args=[*call.args, "1"])).startswith("MALFORMED ")
    assert store.refusal(replace(call, keys=(*call.keys, "celery"))).startswith("MALFORMED ")
    assert store.refusal(with_args(call, {15: "2"})).startswith("MALFORMED ")


def test_an_item_whose_queue_has_no_digit_is_malformed(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    with store.unchanged():
        assert store.run(with_args(wanted(store, term), {15: ""}))[0] == "5"


HEAD = ["a", "1000", "id", "celery", "", "", "0", "b", "", "6"]


@pytest.mark.parametrize(
    "fields",
    [
        [], ["a"], HEAD[:-1], [*HEAD, ""], ["b", *HEAD[1:]], ["", *HEAD[1:]], ["a\n", *HEAD[1:]],
        [*HEAD[:2], "", *HEAD[3:]], [*HEAD[:6], "3", *HEAD[7:]], [*HEAD[:6], "", *HEAD[7:]],
        [*HEAD[:8], "By Hand", "6"],
        *([*HEAD[:place], junk, *HEAD[place + 1 :]] for place in (1, 4, 5, 9) for junk in NO_NUMBERS[1:]),
        [HEAD[0], "", *HEAD[2:]], [*HEAD[:9], ""],
        [*HEAD[:3], "x" * 4_096, *HEAD[4:]],
    ],
)  # fmt: skip
def test_an_item_with_a_malformed_head_is_refused_and_the_others_are_settled(
    store: Store, term: Term, fields: list[str]
) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    call = wanted(store, term, fire_item("a"), fire_item("b"))
    spoilt = with_args(call, {7 + 12 + 2: "\x1f".join(fields)})
    assert store.run(spoilt)[0] == "50"
    assert list(store.intents()) == ["1-2"]
    assert store.scores() == {"a": "1000", "b": "2000"}


def test_every_head_of_an_item_counts(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    call = wanted(store, term, three("a"))
    for place in range(3):
        with store.unchanged():
            assert store.run(with_args(call, {7 + 6 + 3 + place: "x"}))[0] == "5"


def test_no_more_than_2000_intents_are_kept(store: Store, term: Term) -> None:
    fill(store, 1_999)
    for name in ("a", "b", "skips"):
        store.plant(name, 1_000)
    assert store.refusal(wanted(store, term, fire_item("a"), fire_item("b"))).startswith("FULL the outbox holds 1999 ")
    assert store.settle(term, fire_item("a")) == "0"
    assert store.refusal(wanted(store, term, fire_item("b"), skip_item("skips"))).startswith("FULL ")
    assert store.settle(term, skip_item("skips")) == "0"


def fill(store: Store, count: int, at: int = 9) -> None:
    for n in range(1, count + 1):
        store.client.hset(
            store.key("ob"), f"{at}-{n}", "\x1f".join(["x", str(n), f"t{n}", "q", "", "", "0", "b", "", "1"])
        )
        store.client.hset(store.key("obm"), f"{at}-{n}", "m")


@pytest.fixture
def kept(store: Store, term: Term) -> Store:
    """A namespace with the intents 1-1 and 1-2 of an entry, and 1-3 of another."""
    for name in ("a", "b"):
        store.plant(name, 1_000)
    item = fire_item("a", slots=(1_000, 1_100), plain=False, messages=(b"a0", b"a1"))
    assert store.settle(term, item, fire_item("b")) == "00"
    assert list(store.intents()) == ["1-1", "1-2", "1-3"]
    return store


FIRST, SECOND, OTHERS = ("1-1", "a-1000"), ("1-2", "a-1100"), ("1-3", "b-1000")


def test_a_confirmed_intent_goes_without_a_word(kept: Store) -> None:
    assert kept.run(done_call(kept.keys, [FIRST, OTHERS]))[0] == "00"
    assert list(kept.intents()) == ["1-2"]
    assert kept.do("EXISTS", kept.key("skip")) == 0


def test_done_twice_is_done_once(kept: Store, term: Term) -> None:
    calls = [
        done_call(kept.keys, [FIRST]),
        fail_call(kept.keys, term, [SECOND], ["no queue takes it"]),
        drop_call(kept.keys, [OTHERS], "dropped", WHO),
    ]
    for call in calls:
        assert kept.run(call)[0] == "0"
        with kept.unchanged():
            assert kept.run(call)[0] == "1"
    assert kept.intents() == {}


def test_an_intent_twice_in_a_call_has_one_row(kept: Store, term: Term) -> None:
    assert kept.run(fail_call(kept.keys, term, [FIRST, FIRST], ["no", "no"]))[0] == "01"
    assert kept.skips() == [("a", [Skip("undeliverable", 1, 1_000, 1_000)])]


def test_an_id_that_came_again_after_a_rollback_is_left_alone(kept: Store, term: Term) -> None:
    with kept.unchanged():
        assert kept.run(done_call(kept.keys, [("1-1", "a-999"), ("1-3", "a-1000"), ("7-1", "a-1000")]))[0] == "111"
        assert kept.run(fail_call(kept.keys, term, [("1-1", "a-999")], ["no"]))[0] == "1"
        assert kept.run(drop_call(kept.keys, [("1-1", "")], "no", WHO))[0] == "1"


def test_what_the_leader_gives_up_has_a_row_each_that_says_why(kept: Store, term: Term) -> None:
    call = fail_call(kept.keys, term, [FIRST, SECOND], ["no queue 'x' takes it", "refused 3 times"])
    codes, now = kept.run(call)
    assert codes == "00"
    common = {"epoch": str(term.epoch), "at": now}
    assert kept.rows("skip") == [
        {**common, "skips": "a\x1fundeliverable:1:1000:1000", "why": "no queue 'x' takes it"},
        {**common, "skips": "a\x1fundeliverable:1:1100:1100", "why": "refused 3 times"},
    ]


def test_what_somebody_gives_up_has_a_row_that_says_who(kept: Store) -> None:
    codes, now = kept.run(drop_call(kept.keys, [OTHERS], "dropped by me", WHO))
    assert codes == "0"
    assert kept.rows("skip") == [
        {"at": now, "skips": "b\x1fundeliverable:1:1000:1000", "why": "dropped by me", "who": WHO}
    ]


@pytest.mark.parametrize("change", [{"epoch": 1}, {"owner": "other"}, {"owner": ""}])
def test_only_the_leader_gives_up_for_itself(kept: Store, term: Term, change: dict[str, int | str]) -> None:
    stranger = replace(term, **change)  # type: ignore[arg-type]
    assert kept.refusal(fail_call(kept.keys, stranger, [FIRST], ["no"])).startswith("FENCED ")


def test_a_former_leader_may_say_what_the_broker_has_confirmed(kept: Store, term: Term) -> None:
    kept.release(term)
    kept.lead("next")
    assert kept.run(done_call(kept.keys, [FIRST]))[0] == "0"


def test_another_stored_format_takes_nothing_out(kept: Store, term: Term) -> None:
    kept.do("HSET", kept.key("lease"), "format", "2")
    calls = [done_call(kept.keys, [FIRST]), fail_call(kept.keys, term, [FIRST], ["no"])]
    for call in [*calls, drop_call(kept.keys, [FIRST], "no", WHO)]:
        assert kept.refusal(call).startswith("FORMAT ")


@pytest.mark.parametrize("kind", ["lease", "ob", "obm"])
def test_a_key_of_a_wrong_type_is_named_and_nothing_is_done(kept: Store, term: Term, kind: str) -> None:
    kept.do("DEL", kept.key(kind))
    kept.do("SET", kept.key(kind), "x")
    for call in (done_call(kept.keys, [FIRST]), fail_call(kept.keys, term, [FIRST], ["no"])):
        assert kept.refusal(call).startswith(f"BADTYPE {kept.key(kind)} holds a string")


def test_a_history_that_somebody_has_overwritten_keeps_nothing_in_the_outbox(kept: Store, term: Term) -> None:
    kept.do("SET", kept.key("skip"), "x")
    assert kept.run(fail_call(kept.keys, term, [FIRST, SECOND], ["no", "no"]))[0] == "00"
    assert list(kept.intents()) == ["1-3"]


@pytest.mark.parametrize("junk", NO_NUMBERS)
@pytest.mark.parametrize("place", [4, 6])
def test_a_done_whose_numbers_are_wrong_is_refused(kept: Store, place: int, junk: str) -> None:
    assert kept.refusal(with_args(done_call(kept.keys, [FIRST]), {place: junk})).startswith("MALFORMED ")


@pytest.mark.parametrize("outcome", ["", "d", "X", "DU"])
def test_an_outcome_that_is_none_is_refused(kept: Store, outcome: str) -> None:
    assert kept.refusal(with_args(done_call(kept.keys, [FIRST]), {0: outcome})).startswith("MALFORMED ")


def test_done_takes_500_at_most_and_never_none(kept: Store) -> None:
    assert kept.refusal(done_call(kept.keys, [])).startswith("MALFORMED ")
    assert kept.refusal(done_call(kept.keys, [FIRST] * 501)).startswith("MALFORMED ")
    assert kept.run(done_call(kept.keys, [FIRST] * 500))[0] == "0" + 499 * "1"


def test_what_nobody_can_read_goes_only_as_it_was_read(kept: Store) -> None:
    kept.do("HSET", kept.key("ob"), "1-1", "junk")
    with kept.unchanged():
        refused = forget_call(kept.keys, [("1-1", b"other"), ("1-2", b""), ("none", b""), ("1-3", b"junk")])
        assert kept.run(refused)[0] == "1111"
    assert kept.run(forget_call(kept.keys, [("1-1", b"junk")]))[0] == "0"
    assert list(kept.intents()) == ["1-2", "1-3"]


def test_a_queue_with_control_characters_is_stored_readably(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.run(settling(store.keys, term, [fire_item()], queue="a\x1fb\n"))[0] == "0"
    assert store.intents()["1-1"][0][3] == "a?b?"
