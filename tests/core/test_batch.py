"""Batches for the fire script: what one call carries, and items that the script accepts."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatd.core.batch import MOST_BYTES, MOST_ENTRIES, MOST_MESSAGES, Batch, make_batch, make_item
from beatd.core.fire import FireItem, TaskIds
from beatd.core.window import Staged
from tests.core.entries import staged
from tests.support.examples import examples

M = 60_000
T0 = 1_800_000_000_000


def batch_of(due: Sequence[Staged], now: int) -> Batch:
    tags = (f"tag-{n}" for n in itertools.count())
    return make_batch(due, now, lambda: next(tags))


def item_of(entry: Staged, now: int, at_most: int = MOST_MESSAGES) -> FireItem:
    tags = (f"tag-{n}" for n in itertools.count())
    return make_item(entry, now, at_most, lambda: next(tags))


def test_an_entry_on_time_is_one_plain_message() -> None:
    item = item_of(staged("nightly", T0), T0 + 3)
    assert (item.name, item.rev, item.queue_key) == ("nightly", "rev", "celery")
    assert (item.expected, item.slots, item.next_moment) == (T0, (T0,), T0 + M)
    assert (item.plain, item.task_id) == (True, TaskIds("default").of("nightly", T0))
    assert (item.good_until, item.left, item.skips) == (T0 + M, None, ())
    (message,) = [json.loads(raw) for raw in item.messages]
    assert message["headers"]["id"] == item.task_id
    assert message["properties"]["delivery_tag"] == "tag-0"


def test_with_jitter_moments_move_and_slots_do_not() -> None:
    entry = staged("nightly", T0, jitter="1h")
    jitter = entry.compiled.jitter
    assert 0 < jitter < 60 * M
    item = item_of(Staged(entry.compiled, T0 + jitter, None), T0 + jitter)
    assert (item.expected, item.slots, item.next_moment, item.plain) == (T0 + jitter, (T0,), T0 + M + jitter, True)


@pytest.mark.parametrize(
    "late, spec, slots",
    [
        (2 * M, {"grace": "0s"}, [2]),  # one slot, but not the one that the moment stands for
        (2 * M, {"catchup": "all"}, [0, 1, 2]),
        (2 * M + 30_000, {"catchup": "none", "grace": "0s"}, []),
    ],
)
def test_only_the_slot_of_the_expected_moment_is_plain(late: int, spec: dict[str, Any], slots: list[int]) -> None:
    item = item_of(staged("nightly", T0, **spec), T0 + late)
    ids = TaskIds("default")
    assert item.slots == tuple(T0 + n * M for n in slots)
    assert not item.plain
    assert item.task_id == (ids.of("nightly", item.slots[-1]) if slots else "")
    assert [json.loads(raw)["headers"]["id"] for raw in item.messages] == [
        ids.of("nightly", slot) for slot in item.slots
    ]


def test_every_message_has_a_delivery_tag_of_its_own() -> None:
    batch = batch_of([staged(f"e{n}", T0, catchup="all") for n in range(5)], T0 + 3 * M)
    tags = [json.loads(raw)["properties"]["delivery_tag"] for item in batch.items for raw in item.messages]
    assert len(set(tags)) == len(tags) == 20


def test_a_last_run_finishes_the_entry() -> None:
    item = item_of(staged("nightly", T0, left=1, max_runs=5), T0)
    assert (item.next_moment, item.left, len(item.messages)) == (None, 0, 1)


def test_a_fixed_date_of_expiry_ends_the_messages() -> None:
    spec: dict[str, Any] = {"catchup": "all", "options": {"expires": "2027-01-15T08:00:30Z"}}
    assert item_of(staged("nightly", T0, **spec), T0).good_until == T0 + 30_000
    late = item_of(staged("nightly", T0, **spec), T0 + 30_001)
    assert ([skip.reason for skip in late.skips], late.messages) == (["expired"], [])


def test_a_relative_expiry_counts_from_the_slot() -> None:
    assert item_of(staged("nightly", T0, options={"expires": 5}), T0).good_until == T0 + 5_000
    late = item_of(staged("nightly", T0, options={"expires": 5}), T0 + 5_001)
    assert ([skip.reason for skip in late.skips], late.messages) == (["expired"], [])


def test_no_more_entries_than_one_call_takes() -> None:
    due = [staged(f"e{n}", T0) for n in range(250)]
    batch = batch_of(due, T0)
    assert (len(batch.items), batch.staged, batch.rest) == (100, due[:100], due[100:])


class Short:
    """A format of very short messages."""

    queue_key, queue, attempts, expires_ms, expires_on = "celery", "celery", None, None, None

    def own(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        return ""

    def longest(self, own: str) -> int:
        return 60

    def render(self, own: str, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        return f"{task_id} {slot_ms}".encode()


def test_no_more_messages_than_one_call_takes() -> None:
    due = [staged(f"e{n}", T0, catchup="all", catchup_limit=300) for n in range(5)]
    short = [
        Staged(entry.compiled._replace(shape=replace(entry.compiled.shape, template=Short())), T0, None)
        for entry in due
    ]
    batch = batch_of(short, T0 + 299 * M)
    assert [len(item.messages) for item in batch.items] == [300, 300, 300, 100]
    assert batch.items[3].next_moment == T0 + 100 * M
    assert batch.rest == short[4:]


def test_no_more_bytes_than_one_call_takes() -> None:
    due = [staged(f"e{n}", T0, args=["x" * 60_000]) for n in range(5)]
    batch = batch_of(due, T0)
    assert len(batch.items) == 3
    assert batch.rest == due[3:]


def test_the_largest_message_goes_alone() -> None:
    due = [staged(f"e{n}", T0, args=["x" * 130_000], catchup="all") for n in range(2)]
    batch = batch_of(due, T0 + M)
    assert [item.slots for item in batch.items] == [(T0,)]
    assert batch.items[0].next_moment == T0 + M
    assert batch.rest == due[1:]


def test_nothing_due_is_an_empty_batch() -> None:
    assert batch_of([], T0) == Batch([], [], ())


def refused_by_the_script(item: FireItem, jitter: int, now: int) -> str | None:
    """The rules of the fire script that need no store: integers, order, bounds, the time, runs left."""
    following = float("inf") if item.next_moment is None else item.next_moment
    moments = [slot + jitter for slot in item.slots]
    if not following > item.expected:
        return "the next moment is not after the expected one"
    if moments != sorted(set(moments)) or not all(item.expected <= moment < following for moment in moments):
        return "slots do not ascend within [expected, next)"
    if max([item.expected, *moments]) > now:
        return "too early"
    if item.good_until is not None and now > item.good_until:
        return "decide again"
    if item.left is not None and (item.left < 0 or (item.left == 0 and item.next_moment is not None)):
        return "a finished entry has a next moment"
    matching = len(item.messages) == len(item.slots) and item.plain == (moments == [item.expected])
    return None if matching else "messages and slots differ"


BACKLOGS = st.lists(
    st.fixed_dictionaries(
        {
            "catchup": st.sampled_from(["none", "latest", "all"]),
            "catchup_limit": st.sampled_from([1, 7, 300]),
            "grace": st.sampled_from(["0s", "1m", "10m"]),
            "jitter": st.sampled_from(["0s", "90s"]),
            "size": st.sampled_from([0, 3_000, 60_000]),
            "left": st.none() | st.integers(0, 8),
        },
        optional={"deadline": st.sampled_from(["0s", "5m"]), "options": st.sampled_from([{"expires": 5}])},
    ),
    min_size=1,
    max_size=5,
)


def ready(name: str, size: int, left: int | None, **spec: Any) -> Staged:
    entry = staged(name, T0, left, args=["x" * size], **spec)
    return Staged(entry.compiled, T0 + entry.compiled.jitter, left)


@settings(max_examples=examples(60))
@given(BACKLOGS, st.integers(1, 30), st.integers(0, 400 * M))
def test_a_batch_stays_within_one_call_and_its_items_within_the_rules_of_the_script(
    specs: list[dict[str, Any]], times: int, late: int
) -> None:
    due, now = [ready(f"e{n}", **spec) for n, spec in enumerate(specs)] * times, T0 + 90_000 + late
    batch = batch_of(due, now)
    messages = [raw for item in batch.items for raw in item.messages]
    assert 1 <= len(batch.items) <= MOST_ENTRIES
    assert len(messages) <= MOST_MESSAGES
    assert sum(map(len, messages)) <= MOST_BYTES
    assert [*batch.staged, *batch.rest] == due
    for entry, item in zip(batch.staged, batch.items, strict=True):
        assert refused_by_the_script(item, entry.compiled.jitter, now) is None
