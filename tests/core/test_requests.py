"""Requests: how they are read, what the leader does next for one, and when one is forgotten."""

from dataclasses import replace
from typing import Any

import pytest

from beatd.core.requests import (
    GREATEST_MOST,
    KEEP_BACKFILLS_MS,
    KEEP_TRIGGERS_MS,
    LARGEST_REQUEST,
    TRIGGER_EXPIRES_MS,
    Part,
    Request,
    Wanted,
    backfill_id,
    is_over,
    next_part,
    open_ids,
    pause_after,
    read_request,
    read_wanted,
    room_for,
    why_text,
    with_cause,
)
from beatd.core.schedules import parse_schedule
from beatd.errors import EntryInvalid

SECOND = parse_schedule({"every": "1s", "anchor": "1970-01-01T00:00:00Z"})
NOW = 1_800_000_000_000


def request(**changes: Any) -> Request:
    wanted = Wanted("backfill", "a", first=1_000, last=5_000, **changes.pop("wanted", {}))
    return replace(Request("q", "open", wanted.begins_at, 0, NOW, "", wanted), **changes)


def trigger(**changes: Any) -> Request:
    return replace(Request("q", "open", 0, 0, NOW, "", Wanted("trigger", "a")), **changes)


def test_a_backfill_walks_its_range_both_ends_included() -> None:
    assert next_part(request(), SECOND, NOW, NOW, 100) == Part((1_000, 2_000, 3_000, 4_000, 5_000), 5_000, "done")


def test_a_large_one_goes_in_parts_each_from_the_cursor_of_the_one_before() -> None:
    found = request()
    parts: list[Part] = []
    while not parts or parts[-1].outcome == "open":
        parts.append(next_part(found, SECOND, NOW, NOW, 2))
        found = replace(found, cursor=parts[-1].cursor, pushed=found.pushed + len(parts[-1].slots))
    assert [part.slots for part in parts] == [(1_000, 2_000), (3_000, 4_000), (5_000,)]
    assert [part.outcome for part in parts] == ["open", "open", "done"]


def test_a_part_that_fills_the_room_with_the_last_slot_is_the_last() -> None:
    assert next_part(request(), SECOND, NOW, NOW, 5).outcome == "done"


def test_it_ends_before_what_the_timetable_owes_and_says_so() -> None:
    part = next_part(request(), SECOND, 2_999, NOW, 100)
    assert part == Part((1_000, 2_000), 2_999, "done", "from 1970-01-01T00:00:03Z on the timetable fires by itself")
    assert next_part(request(cursor=4_000), SECOND, 2_999, NOW, 100).slots == ()


def test_a_range_without_slots_ends_at_once() -> None:
    hourly = parse_schedule({"every": "1h", "anchor": "1970-01-01T00:00:00Z"})
    assert next_part(request(), hourly, NOW, NOW, 100) == Part((), 5_000, "done")


def test_an_edit_can_not_make_more_of_it_than_its_bound() -> None:
    bounded = request(wanted={"most": 3})
    part = next_part(bounded, SECOND, NOW, NOW, 100)
    assert part == Part((1_000, 2_000, 3_000), 3_000, "refused", "there are more than 3 slots")
    over = replace(bounded, cursor=3_000, pushed=3)
    assert next_part(over, SECOND, NOW, NOW, 100) == Part((), 3_000, "refused", "there are more than 3 slots")
    assert next_part(request(wanted={"most": 5}), SECOND, NOW, NOW, 100).outcome == "done"


def test_a_trigger_stands_for_the_instant_at_which_it_was_asked_for() -> None:
    assert next_part(trigger(), SECOND, 0, NOW + 5, 1) == Part((NOW,), NOW, "done")
    assert next_part(trigger(), SECOND, 0, NOW - 5_000, 1) == Part((NOW,), NOW, "done"), "the clock was set back"


def test_a_trigger_that_nobody_served_in_time_is_refused() -> None:
    assert next_part(trigger(), SECOND, 0, NOW + TRIGGER_EXPIRES_MS, 1).outcome == "done"
    late = next_part(trigger(), SECOND, 0, NOW + TRIGGER_EXPIRES_MS + 1, 1)
    assert (late.outcome, late.slots, late.why.partition(":")[0]) == ("refused", (), "expired")


def test_what_can_not_be_read_is_refused_with_its_reason() -> None:
    found = read_request("q", b"open|7|0|5||[]")
    assert found is not None
    assert next_part(found, SECOND, NOW, NOW, 1) == Part((), 7, "refused", found.why)
    assert "an object is accepted" in found.why


@pytest.mark.parametrize("rate, room, pause", [(None, 100, 0.0), (10_000, 100, 0.01), (20, 10, 0.5), (0.5, 1, 2.0)])
def test_a_rate_makes_parts_small_and_pauses_between_them(rate: float | None, room: int, pause: float) -> None:
    wanted = Wanted("backfill", "a", rate=rate)
    assert room_for(wanted) == room
    assert pause_after(wanted, room) == pytest.approx(pause)


def test_ended_requests_are_forgotten_when_their_time_is_over_and_open_ones_never() -> None:
    for found, keep in ((trigger(), KEEP_TRIGGERS_MS), (request(), KEEP_BACKFILLS_MS)):
        assert not is_over(found, NOW + 10 * KEEP_BACKFILLS_MS)
        for state in ("done", "withdrawn", "refused"):
            ended = replace(found, state=state)
            assert [is_over(ended, NOW + keep), is_over(ended, NOW + keep + 1)] == [False, True]


def test_the_id_of_a_backfill_is_that_of_its_range() -> None:
    found = {backfill_id(*args) for args in [("n", "a", 1, 2), ("n", "a", 1, 3), ("n", "b", 1, 2), ("m", "a", 1, 2)]}
    assert len(found) == 4
    assert backfill_id("default", "nightly-report", 0, 1_000) == "ba2e482b-24b4-571b-9e42-9720572ec212"


@pytest.mark.parametrize(
    "value", [None, b"", b"x", b"open|1|1|1|", b"open|x|1|1||{}", b"OPEN|1|1|1||{}", b"gone|1|1|1||{}",
              b"open|1234567890123456|1|1||{}", b"\xff|1|1|1||{}"]
)  # fmt: skip
def test_a_spoilt_value_is_no_request(value: bytes | None) -> None:
    assert read_request("q", value) is None


@pytest.mark.parametrize(
    "text, told",
    [
        ("x", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "a list; an object is accepted"),
        ('{"kind":"later","name":"a"}', "trigger and backfill are accepted"),
        ('{"kind":"trigger","name":"a","when":1}', "unknown key 'when'"),
        ('{"kind":"trigger","name":1}', "name: found a whole number"),
        ('{"kind":"trigger","name":"a","args":{}}', "args: found an object; a list is accepted"),
        ('{"kind":"trigger","name":"a","kwargs":[]}', "kwargs: found a list; an object is accepted"),
        ('{"kind":"trigger","name":"a","args":[1e999]}', "args[0]"),
        ('{"kind":"trigger","name":"a","from":"2026-01-01T00:00Z"}', "from: a key of a backfill"),
        ('{"kind":"backfill","name":"a"}', "from: found None"),
        ('{"kind":"backfill","name":"a","from":"2026-01-01T00:00Z","to":"2025-01-01T00:00Z"}', "lies before from"),
        ('{"kind":"backfill","name":"a","from":"1969-01-01T00:00Z","to":"2025-01-01T00:00Z"}', "before 1970"),
        ('{"kind":"backfill","name":"a","from":"2026-01-01T00:00Z","to":"2026-01-01T00:00Z","max":0}', "max: found 0"),
        ('{"kind":"backfill","name":"a","from":"2026-01-01T00:00Z","to":"2026-01-01T00:00Z","rate":true}', "rate"),
        ('{"kind":"backfill","name":"a","from":"2026-01-01T00:00Z","to":"2026-01-01T00:00Z","args":[]}', "args"),
    ],
)
def test_a_request_that_says_nothing_sensible_is_told_why(text: str, told: str) -> None:
    with pytest.raises(EntryInvalid) as caught:
        read_wanted(text)
    assert told in caught.value.message


def test_a_request_that_is_too_large_is_refused_where_it_is_made() -> None:
    with pytest.raises(EntryInvalid, match="at most 131072"):
        Wanted("trigger", "a", args=("x" * LARGEST_REQUEST,)).to_text()


def test_who_may_be_the_object_that_other_clients_write() -> None:
    assert read_wanted('{"kind":"trigger","name":"a","who":{"user":"ann"}}').who == '{"user": "ann"}'
    assert read_wanted(Wanted("backfill", "a", first=0, last=1, most=GREATEST_MOST).to_text()).most == GREATEST_MOST


def test_the_cause_stands_beside_the_users_own_headers() -> None:
    assert with_cause({}, "trigger") == {"headers": {"beatd_cause": "trigger"}}
    options = {"priority": 3, "headers": {"team": "x"}}
    assert with_cause(options, "backfill") == {"priority": 3, "headers": {"team": "x", "beatd_cause": "backfill"}}
    assert options["headers"] == {"team": "x"}


def test_a_reason_has_nothing_in_it_that_parts_stored_values() -> None:
    assert why_text("a|b\nc\x1fd") == "a b c d"
    assert len(why_text("x" * 10_000)) == 500


def test_open_ids_are_read_as_they_were_written() -> None:
    assert open_ids(b"q1\x1fq2\x1f\x1f\xff") == ["q1", "q2", "\udcff"]
    assert open_ids(None) == []
