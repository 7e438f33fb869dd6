"""What fire refuses, and that a refusal leaves the whole key space as it was, the lease included."""

from dataclasses import replace

import pytest

from beatd.core.fire import FireItem
from beatd.core.term import Term
from beatd.store.scripts import Call
from beatd.store.timetable import fire_call
from tests.support.store import NO_NUMBERS, Store, fire_item, put_item, skip_item, with_args

# Where the words of a call about one item lie.
HIST_ROWS, SKIP_ROWS, ITEMS, MESSAGES, EXPECTED, NEXT, TERMS = 3, 4, 5, 6, 9, 10, 12
HOUR = 3_600_000


def one(store: Store, term: Term, item: FireItem | None = None) -> Call:
    return fire_call(store.keys, term, [item or fire_item()])


@pytest.mark.parametrize("change", [{"epoch": 1}, {"owner": "other"}, {"owner": ""}])
def test_a_stranger_fires_nothing(store: Store, term: Term, change: dict[str, int | str]) -> None:
    store.plant("a", 1_000)
    stranger = replace(term, **change)  # type: ignore[arg-type]
    assert store.refusal(one(store, stranger)).startswith("FENCED ")


def test_an_epoch_ahead_of_the_stored_one_fires_nothing(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.refusal(one(store, replace(term, epoch=term.epoch + 1))).startswith("FENCED ")


def test_a_released_lease_fires_nothing(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.release(term)
    assert store.refusal(one(store, term)).startswith("FENCED ")
    assert store.refusal(one(store, replace(term, owner=""))).startswith("FENCED ")


def test_nothing_fires_without_a_lease(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.do("DEL", store.key("lease"))
    assert store.refusal(one(store, term)).startswith("FENCED ")


def test_a_former_leader_fires_nothing_after_a_takeover(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("lease"), "until", 1)
    store.lead("next")
    assert store.refusal(one(store, term)).startswith("FENCED ")


@pytest.mark.parametrize("stored", ["2", "0", "", "x"])
def test_another_stored_format_fires_nothing(store: Store, term: Term, stored: str) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("lease"), "format", stored)
    assert store.refusal(one(store, term)).startswith("FORMAT ")


@pytest.mark.parametrize("kind", ["lease", "rev", "due", "out", "blocked", "last", "jit", "left"])
def test_a_key_of_a_wrong_type_is_named_and_nothing_fires(store: Store, term: Term, kind: str) -> None:
    store.plant("a", 1_000)
    store.do("DEL", store.key(kind))
    store.do("SET", store.key(kind), "x")
    assert store.refusal(one(store, term)).startswith(f"BADTYPE {store.key(kind)} holds a string, beatd keeps a ")


@pytest.mark.parametrize("kind", ["hist", "skip"])
def test_a_history_that_somebody_has_overwritten_stops_no_fire(store: Store, term: Term, kind: str) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    store.do("SET", store.key(kind), "x")
    assert store.fire(term, fire_item("a"), skip_item("b")) == "00"
    assert store.queue() == ["a@1000"]
    assert store.do("GET", store.key(kind)) == "x"


@pytest.mark.parametrize(
    "changes",
    [
        *({index: junk} for index in (HIST_ROWS, SKIP_ROWS, ITEMS, MESSAGES) for junk in NO_NUMBERS),
        {ITEMS: 0},
        {ITEMS: 2},
        {MESSAGES: 0},
        {MESSAGES: 2},
        {MESSAGES: 1_001},
    ],
)
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, term: Term, changes: dict[int, int | str]) -> None:
    store.plant("a", 1_000)
    assert store.refusal(with_args(one(store, term), changes)).startswith("MALFORMED ")


@pytest.mark.parametrize("words", [0, 1, 7, 13])
def test_a_call_with_too_few_words_is_refused(store: Store, term: Term, words: int) -> None:
    store.plant("a", 1_000)
    whole = one(store, term)
    assert store.refusal(replace(whole, args=whole.args[:words])).startswith("MALFORMED ")


def test_more_than_100_items_are_refused(store: Store, term: Term) -> None:
    items = [skip_item(f"n{i}") for i in range(101)]
    for item in items:
        store.plant(item.name, 1_000)
    assert store.refusal(fire_call(store.keys, term, items)).startswith("MALFORMED ")
    assert store.fire(term, *items[:100]) == "0" * 100


def test_more_than_1000_messages_are_refused(store: Store, term: Term) -> None:
    store.plant("a", 1_000)

    def with_messages(count: int) -> FireItem:
        slots = tuple(range(1_000, 1_000 + count))
        return fire_item(next_moment=3_000, slots=slots, plain=False, messages=(b"m",) * count)

    assert store.refusal(one(store, term, with_messages(1_001))).startswith("MALFORMED ")
    assert store.fire(term, with_messages(1_000)) == "0"


def test_more_than_256_kb_are_refused(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    assert store.refusal(one(store, term, fire_item(messages=(b"m" * 262_145,)))).startswith("MALFORMED ")
    assert store.fire(term, fire_item(messages=(b"m" * 262_144,))) == "0"


@pytest.mark.parametrize(
    "terms",
    [
        "", "x", "1|1|||", "1|1|||||", "1|1||||a|b", "-1|1||||", "1|-1||||", "1|1e0||||", "1|1|1e3|||", "1|1|||1e3|",
        "1|1||0x1||", "1|1|||1000 |", "1|1||inf||", "1|1234567890123456||||", "1||||||", "|1||||", " 1|1||||",
        "1|0||||", "1|2|||1000,1100|", "1|999999999999999||||",
    ],
)  # fmt: skip
def test_terms_that_do_not_say_which_messages_are_theirs_refuse_the_call(store: Store, term: Term, terms: str) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000)
    spoilt = with_args(one(store, term), {TERMS: terms})
    assert store.refusal(spoilt).startswith("MALFORMED ")


@pytest.mark.parametrize(
    "terms",
    [
        "0|1||||",  # a message without a queue
        "2|1||||",  # a queue that was not named
        "1234567890123456|1||||",
        "1|1|1234567890123456|||",
        "1|1||1234567890123456||",
        "1|1|||1234567890123456|",
        "1|1|||,|",
        "1|1|||1000,|",
        "1|1|||,1000|",
        "1|1|||1000,1100|",  # more slots than messages
    ],
)
def test_malformed_terms_refuse_their_item(store: Store, term: Term, terms: str) -> None:
    store.plant("a", 1_000)
    spoilt = with_args(one(store, term), {TERMS: terms})
    with store.unchanged():
        assert store.run(spoilt)[0] == "5"


def test_several_messages_need_their_slots(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    with store.unchanged():
        assert store.fire(term, fire_item(plain=True, messages=(b"1", b"2"))) == "5"
        assert store.fire(term, fire_item(slots=(1_000,), plain=False, messages=(b"1", b"2"))) == "5"
        assert store.fire(term, skip_item(slots=(1_000,))) == "5"


@pytest.mark.parametrize("index", [EXPECTED, NEXT])
@pytest.mark.parametrize("junk", [*NO_NUMBERS, "f", "FF"])
def test_a_moment_that_is_no_number_refuses_its_item(store: Store, term: Term, index: int, junk: str) -> None:
    store.plant("a", 1_000)
    spoilt = with_args(one(store, term), {index: junk})
    with store.unchanged():
        assert store.run(spoilt)[0] == "5"


@pytest.mark.parametrize("next_moment", [999, 1_000])
def test_the_next_moment_lies_after_the_expected_one(store: Store, term: Term, next_moment: int) -> None:
    store.plant("a", 1_000)
    with store.unchanged():
        assert store.fire(term, fire_item(next_moment=next_moment)) == "5"
        assert store.fire(term, skip_item(next_moment=next_moment)) == "5"


@pytest.mark.parametrize(
    "slots",
    [
        (1_100, 1_000),  # not ascending
        (1_000, 1_000),
        (969, 1_000),  # before the expected moment, less the jitter of 30
        (1_000, 1_970),  # at the next one
        (1_000, 1_971),
        (1_000, 1_000_000),
    ],
)
def test_slots_ascend_between_the_expected_and_the_next_moment(
    store: Store, term: Term, slots: tuple[int, ...]
) -> None:
    store.plant("a", 1_000, jit=30)
    with store.unchanged():
        item = fire_item("a", 1_000, 2_000, slots=slots, plain=False, messages=(b"m",) * len(slots))
        assert store.fire(term, item) == "5"


def test_slots_at_the_very_bounds_are_taken(store: Store, term: Term) -> None:
    store.plant("a", 1_000, jit=30)
    item = fire_item("a", 1_000, 2_000, slots=(970, 1_969), plain=False, messages=(b"1", b"2"))
    assert store.fire(term, item) == "0"


@pytest.mark.parametrize("again", [fire_item(), fire_item(messages=(b"more",)), skip_item(), fire_item(expected=2_000)])
def test_a_name_counts_once_in_a_call(store: Store, term: Term, again: FireItem) -> None:
    store.plant("a", 1_000)
    later = again._replace(next_moment=9_000)
    assert store.fire(term, fire_item(), later) == "01"
    assert store.queue() == ["a@1000"]
    assert store.scores() == {"a": "2000"}


def test_a_name_refused_for_another_reason_counts_as_seen(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    with store.unchanged():
        assert store.fire(term, fire_item(rev="n0.f0"), fire_item()) == "21"


@pytest.mark.parametrize("stored", [999, 1_001, 2_000, -1_000])
def test_an_entry_whose_moment_is_another_is_left_alone(store: Store, term: Term, stored: int) -> None:
    store.plant("a", stored)
    with store.unchanged():
        assert store.fire(term, fire_item()) == "1"


@pytest.mark.parametrize("rev", ["n2.f1", "n1.f2", "n1", ""])
def test_an_entry_of_another_revision_is_left_alone(store: Store, term: Term, rev: str) -> None:
    store.plant("a", 1_000)
    with store.unchanged():
        assert store.fire(term, fire_item(rev=rev)) == "2"


def test_what_is_not_in_the_timetable_is_left_alone(store: Store, term: Term) -> None:
    store.put(put_item("off", enabled=False))
    store.plant("blocked", 1_000, kind="blocked")
    store.do("ZADD", store.key("due"), 1_000, "orphan")
    with store.unchanged():
        assert store.fire(term, fire_item("off"), fire_item("blocked"), fire_item("orphan"), fire_item("no")) == "2222"


def test_nothing_fires_before_its_moment(store: Store, term: Term) -> None:
    moment = store.now() + HOUR
    store.plant("a", moment)
    with store.unchanged():
        assert store.fire(term, fire_item("a", moment, moment + 1)) == "3"
        assert store.fire(term, skip_item("a", moment, moment + 1)) == "3"


def test_not_even_a_little_before_its_moment(store: Store, term: Term) -> None:
    """No tolerance: the answers 0 and 3 part exactly at the moment, by the server's clock."""
    answers = set()
    for i in range(150):
        moment = store.now() + i % 3
        store.plant(f"n{i}", moment)
        codes, now, _ = store.run(fire_call(store.keys, term, [fire_item(f"n{i}", moment, moment + HOUR)]))
        assert codes == ("0" if int(now) >= moment else "3")
        answers.add(codes)
    assert answers == {"0", "3"}


def test_the_jitter_belongs_to_the_moment(store: Store, term: Term) -> None:
    now = store.now()
    store.plant("a", now - 10, jit=HOUR)
    slots = (now - 10 - HOUR, now - HOUR + 60_000)
    with store.unchanged():
        item = fire_item("a", now - 10, now + HOUR, slots=slots, plain=False, messages=(b"1", b"2"))
        assert store.fire(term, item) == "3"


def test_a_decision_is_taken_again_when_it_is_too_late_for_it(store: Store, term: Term) -> None:
    now = store.now()
    store.plant("a", now - 1_000)
    with store.unchanged():
        assert store.fire(term, fire_item("a", now - 1_000, now + HOUR, good_until=now - 1)) == "6"
        assert store.fire(term, skip_item("a", now - 1_000, now + HOUR, good_until=now - 1)) == "6"
    assert store.fire(term, fire_item("a", now - 1_000, now + HOUR, good_until=now + HOUR)) == "0"


@pytest.mark.parametrize("left", [None, 0, 3, 5, 6])
def test_runs_left_that_do_not_add_up_are_left_alone(store: Store, term: Term, left: int | None) -> None:
    store.plant("a", 1_000, left=6)
    next_moment = None if left == 0 else 2_000
    with store.unchanged():
        item = fire_item("a", 1_000, next_moment, slots=(1_000, 1_001), plain=False, messages=(b"1", b"2"))
        assert store.fire(term, item._replace(left=left)) == "2"


def test_runs_left_of_an_entry_that_is_not_counted_are_left_alone(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.plant("b", 1_000, left=3)
    with store.unchanged():
        assert store.fire(term, fire_item(left=3)) == "2"


def test_more_messages_than_runs_left_are_refused(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=1)
    with store.unchanged():
        item = fire_item("a", 1_000, None, slots=(1_000, 1_001), plain=False, messages=(b"1", b"2"))
        assert store.fire(term, item._replace(left=0)) == "2"


def test_an_entry_that_goes_on_has_runs_left(store: Store, term: Term) -> None:
    store.plant("a", 1_000, left=1)
    with store.unchanged():
        assert store.fire(term, fire_item(left=0)) == "5"


def test_a_batch_of_refusals_only_renews_nothing(store: Store, term: Term) -> None:
    moment = store.now() + HOUR
    store.plant("a", 1_000)
    store.plant("early", moment)
    refused = [
        fire_item("a", 999),
        fire_item("gone"),
        fire_item("early", moment, moment + 1),
        fire_item("b", next_moment=1),
    ]
    with store.unchanged():
        codes, _, seq = store.run(fire_call(store.keys, term, refused))
    assert (codes, seq) == ("1235", "0")


def test_a_call_that_only_blocks_renews_nothing_either(store: Store, term: Term) -> None:
    store.do("SET", "celery", "x")
    store.plant("a", 1_000)
    lease = store.hash("lease")
    assert store.fire(term, fire_item()) == "4"
    assert store.hash("lease") == lease
