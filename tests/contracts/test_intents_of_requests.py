"""Serve for another broker: a part of a request becomes intents, once, and the cursor moves."""

from dataclasses import replace
from typing import Any

import pytest

from beatd.core.intent import Draft, Intent
from beatd.core.requests import Serving
from beatd.core.term import Term
from beatd.errors import OutboxFull
from beatd.store.connect import RedisAddress
from beatd.store.link import Link
from beatd.store.requests import RedisRequests, serve_call
from beatd.store.scripts import Call
from beatd.store.timetable import HistoryBounds
from tests.support.servers import RedisServer
from tests.support.store import Store, asking, fire_item, serving, with_args

HEADS = 14  # arguments before the messages


@pytest.fixture
def backfill(store: Store, term: Term) -> Store:
    """An entry that owes its slot 5,000, and the request for its slots from 1,000 to 4,000."""
    store.plant("a", 5_000)
    store.ask(asking(first=1_000, last=4_000))
    return store


def part(*slots: int, **changes: Any) -> Serving:
    served = serving(slots=slots, **{"expected": 999, "outcome": "open", **changes})
    drafts = [Draft("a", slot, f"id{slot}", "celery", None, None, False, "b0", "backfill") for slot in slots]
    return served._replace(drafts=drafts)


def wanted(store: Store, term: Term, item: Serving) -> Call:
    return serve_call(store.keys, term, item, 1_000)


def test_a_part_becomes_intents_and_the_cursor_moves(backfill: Store, term: Term) -> None:
    code, _, seq, place = backfill.run(wanted(backfill, term, part(1_000, 2_000)))
    assert (code, seq, place) == (0, "0", "1001")
    assert {key: (head[1], message) for key, (head, message) in backfill.intents().items()} == {
        "0-1001": ("1000", "a@1000"),
        "0-1002": ("2000", "a@2000"),
    }
    assert backfill.do("EXISTS", "celery") == 0
    assert backfill.hash("req")["q1"].split("|")[:3] == ["open", "2000", "2"]
    assert backfill.fires() == [("a", [1_000, 2_000])]


def test_ids_of_parts_never_meet_those_of_batches_or_of_each_other(backfill: Store, term: Term) -> None:
    backfill.plant("b", 1_000)
    assert backfill.serve(term, part(1_000, 2_000)) == 0
    assert backfill.settle(term, fire_item("b")) == "0"
    assert backfill.serve(term, part(3_000, expected=2_000)) == 0
    assert backfill.serve(term, part(4_000, expected=3_000, outcome="done")) == 0
    assert list(backfill.intents()) == ["0-1001", "0-1002", "1-1", "1-1003", "1-1004"]


def test_the_count_of_batches_is_left_alone(backfill: Store, term: Term) -> None:
    """By it the leader knows whether somebody else has sent one."""
    assert backfill.serve(term, part(1_000)) == 0
    assert backfill.hash("lease")["seq"] == "0"


def test_serving_twice_is_serving_once(backfill: Store, term: Term) -> None:
    assert backfill.serve(term, part(1_000, 2_000)) == 0
    with backfill.unchanged():
        assert backfill.serve(term, part(1_000, 2_000)) == 1


def test_the_end_of_a_request_without_messages_needs_no_intent(backfill: Store, term: Term) -> None:
    assert backfill.serve(term, serving(slots=(), expected=999, cursor=4_000)) == 0
    assert backfill.intents() == {}
    assert "served" not in backfill.hash("lease")


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("head", ["", "x", "b\x1f1000\x1fid\x1f\x1f\x1f\x1f0\x1fb\x1f\x1f6"])
def test_a_head_that_is_malformed_or_of_another_entry_refuses_the_part(
    backfill: Store, term: Term, place: int, head: str
) -> None:
    call = with_args(wanted(backfill, term, part(1_000, 2_000)), {HEADS + 2 + place: head})
    with backfill.unchanged():
        assert backfill.run(call)[0] == 5


def test_messages_without_a_queue_or_heads_are_refused(backfill: Store, term: Term) -> None:
    call = wanted(backfill, term, part(1_000))
    assert backfill.refusal(replace(call, args=call.args[:-1])).startswith("MALFORMED ")


def test_100_messages_with_their_heads_are_taken_and_101_are_not(backfill: Store, term: Term) -> None:
    assert backfill.refusal(wanted(backfill, term, part(*range(1_000, 1_101)))).startswith("MALFORMED ")
    assert backfill.serve(term, part(*range(1_000, 1_100))) == 0


def test_where_too_many_intents_wait_nothing_is_served(backfill: Store, term: Term) -> None:
    for n in range(1_999):
        backfill.client.hset(backfill.key("ob"), f"9-{n}", "x")
    assert backfill.refusal(wanted(backfill, term, part(1_000, 2_000))).startswith("FULL ")
    assert backfill.serve(term, part(1_000)) == 0


def test_where_too_many_intents_wait_a_push_goes_on(backfill: Store, term: Term) -> None:
    for n in range(2_000):
        backfill.client.hset(backfill.key("ob"), f"9-{n}", "x")
    assert backfill.serve(term, serving(slots=(1_000,), expected=999, outcome="open")) == 0


async def test_the_leader_gets_its_intents_as_they_are_stored(
    backfill: Store, term: Term, clean_redis: RedisServer
) -> None:
    link = await Link.open(RedisAddress(clean_redis.url))
    requests = RedisRequests(link, backfill.keys, HistoryBounds())
    served = part(1_000, 2_000)
    try:
        expected = [
            Intent(f"0-{1_001 + n}", draft, message)
            for n, (draft, message) in enumerate(zip(served.drafts, served.messages, strict=True))
        ]
        assert await requests.settle(term, served) == (0, expected)
        assert await requests.settle(term, served) == (1, [])
        for n in range(2_000):
            backfill.client.hset(backfill.key("ob"), f"9-{n}", "x")
        with pytest.raises(OutboxFull):
            await requests.settle(term, part(3_000, expected=2_000))
    finally:
        await link.close()


def test_where_the_lease_was_deleted_no_intent_is_written_over(backfill: Store, term: Term) -> None:
    for name in ("x", "y"):
        backfill.plant(name, 1_000)
    assert backfill.serve(term, part(1_000)) == 0
    assert backfill.settle(term, fire_item("x")) == "0"
    assert backfill.serve(term, part(2_000, expected=1_000)) == 0
    backfill.do("DEL", backfill.key("lease"))
    again = backfill.lead()
    assert backfill.serve(again, part(3_000, expected=2_000)) == 0
    assert backfill.settle(again, fire_item("y")) == "0"
    assert list(backfill.intents()) == ["0-1001", "1-1", "1-1002", "0-1002", "2-1"]
