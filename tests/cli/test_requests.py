"""`beatd trigger`, `backfill`: what they ask for, what they say, and what they refuse. The serving is played here."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import beatd.cli.requests
from beatd.core.requests import Request, read_request
from tests.support.store import Store, serving

Beatd = Callable[..., Any]
HOUR = 3_600_000


@pytest.fixture
def entry(at_redis: Beatd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs at the full hour, with nobody to serve its requests."""
    monkeypatch.setattr(beatd.cli.requests, "WAIT_S", 0.03)
    anchored = ("--every", "1h", "--anchor", "1970-01-01T00:00:00Z")
    assert at_redis("set", "a", "--task", "t", *anchored, "--tz", "Asia/Tokyo").code == 0


def request_of(store: Store, request_id: str) -> Request:
    found = read_request(request_id, store.hash("req")[request_id].encode())
    assert found is not None
    return found


def serve(store: Store, request_id: str, outcome: str, *slots: int, why: str = "") -> None:
    found = request_of(store, request_id)
    cursor = max([found.cursor, *slots])
    item = serving(request_id, slots=slots, expected=found.cursor, cursor=cursor, outcome=outcome, why=why)
    assert store.serve(store.lead(), item._replace(rev=store.hash("rev")["a"], cause="trigger")) == 0


@pytest.mark.usefixtures("entry")
def test_a_trigger_prints_its_task_id_and_says_that_nobody_leads(at_redis: Beatd, store: Store) -> None:
    done = at_redis("trigger", "a", "--args", "[1]", "--kwargs", '{"k": null}', "--note", "why")
    assert (done.code, done.err) == (1, "note: nobody leads: it waits until an instance of beatd does (beatd status)\n")
    found = request_of(store, done.out.strip())
    assert found.wanted is not None
    assert (found.state, found.wanted.args, found.wanted.kwargs, found.wanted.note) == (
        "open",
        (1,),
        {"k": None},
        "why",
    )
    assert abs((found.wanted.asked or 0) - found.at) < 5_000
    row = store.rows("log")[-1]
    assert (row["op"], row["name"], row["id"], json.loads(row["who"])["note"]) == ("request", "a", found.id, "why")


@pytest.mark.usefixtures("entry")
def test_a_leader_that_does_not_push_is_named(at_redis: Beatd, store: Store) -> None:
    store.lead()
    done = at_redis("trigger", "a")
    assert (done.code, done.err) == (1, "note: not pushed yet by here: is its queue usable? (beatd doctor)\n")


@pytest.mark.usefixtures("entry")
def test_without_waiting_a_trigger_is_quiet(at_redis: Beatd, store: Store) -> None:
    done = at_redis("trigger", "a", "--no-wait", "-o", "json")
    assert (done.code, done.err) == (0, "")
    assert {**done.json, "id": ""} == {"id": "", "name": "a", "state": "open", "pushed": 0, "why": ""}
    assert done.json["id"] in store.hash("req")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("nobody",), 4, "there is no entry 'nobody'"),
        (("a", "--args", "{"), 3, "--args: not JSON"),
        (("a", "--args", "{}"), 3, "--args: a list of JSON is accepted"),
        (("a", "--kwargs", "[]"), 3, "--kwargs: an object of JSON is accepted"),
        (("a", "--args", json.dumps(["x" * 131_000])), 3, "bytes"),
        (("a", "--args", "[NaN]"), 3, "args[0]"),
    ],
)
@pytest.mark.usefixtures("entry")
def test_what_can_not_be_sent_is_refused_before_it_is_asked_for(
    at_redis: Beatd, store: Store, words: tuple[str, ...], code: int, said: str
) -> None:
    done = at_redis("trigger", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert not store.hash("req")


@pytest.mark.usefixtures("entry")
def test_a_backfill_lists_its_slots_and_needs_a_yes_where_nobody_can_answer(at_redis: Beatd, store: Store) -> None:
    assert at_redis("backfill", "a", "--from", "3h").code == 2
    done = at_redis("backfill", "a", "--from", "2026-01-01T00:00", "--to", "2026-01-01T20:30", "--dry-run")
    assert done.code == 0
    assert done.lines[0].split() == ["Asia/Tokyo", "UTC", "FROM", "NOW"]
    assert "2026-01-01 00:00:00 +09:00" in done.lines[1]
    assert done.lines[-2] == "... 10 more"
    assert "2026-01-01 20:00:00 +09:00" in done.lines[-1]
    assert not store.hash("req")


@pytest.mark.usefixtures("entry")
def test_the_same_range_is_one_request_that_pushes_nothing_twice(at_redis: Beatd, store: Store) -> None:
    words = ("backfill", "a", "--from", "2026-01-01T00:00Z", "--to", "2026-01-01T04:00Z", "--yes", "-o", "json")
    first = at_redis(*words, "--no-wait")
    assert (first.code, first.json["state"], len(first.json["slots"])) == (0, "open", 5)
    key = first.json["id"]
    again = at_redis(*words)
    assert (again.code, again.json["id"]) == (0, key)
    assert "is being pushed: 0 so far" in again.err
    slots = [request_of(store, key).cursor + 1, request_of(store, key).cursor + 1 + HOUR]
    serve(store, key, "open", *slots)
    store.pause("a")
    goes_on = at_redis(*words, "--no-wait")
    assert "goes on after the 2 that were pushed before it was withdrawn" in goes_on.err
    assert goes_on.json["slots"] == ["2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T04:00:00Z"]
    assert (request_of(store, key).pushed, request_of(store, key).state) == (2, "open")
    serve(store, key, "done", *[slots[1] + i * HOUR for i in (1, 2, 3)])
    over = at_redis(*words)
    assert over.code == 0
    assert "was pushed already (5, at " in over.err
    assert over.json["slots"] == []
    fresh = at_redis(*words, "--no-wait", "--again")
    assert fresh.json["id"] != key
    assert len(store.hash("req")) == 2


@pytest.mark.usefixtures("entry")
def test_more_slots_than_the_bound_are_refused_with_their_number(at_redis: Beatd, store: Store) -> None:
    done = at_redis("backfill", "a", "--from", "2026-01-01T00:00Z", "--to", "2026-03-01T00:00Z", "--yes")
    assert done.code == 5
    assert "has 1,417 slots; at most 1,000" in done.err
    words = ("backfill", "a", "--from", "2026-01-01T00:00Z", "--to", "2026-03-01T00:00Z", "--dry-run", "-o", "json")
    assert len(at_redis(*words, "--max", "1417").json["slots"]) == 1_417
    forever = at_redis("backfill", "a", "--from", "1970-01-01T00:00Z", "--to", "9999-01-01T00:00Z", "--yes")
    assert forever.code == 5
    assert not store.hash("req")


@pytest.mark.usefixtures("entry")
def test_what_the_entry_still_owes_or_will_run_is_left_out(at_redis: Beatd, store: Store) -> None:
    store.do("ZADD", store.key("due"), 1_767_236_400_000, "a")  # 2026-01-01T03:00Z, and nobody has fired it
    words = ("backfill", "a", "--from", "2026-01-01T00:00Z", "--to", "2026-01-01T05:00Z", "--dry-run", "-o", "json")
    done = at_redis(*words)
    assert done.json["slots"] == ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    assert "note: from 2026-01-01T03:00:00Z on the timetable fires by itself: left out" in done.err
    nothing = at_redis("backfill", "a", "--from", "2026-01-01T04:00Z", "--to", "2026-01-01T05:00Z", "--yes")
    assert (nothing.code, store.hash("req")) == (1, {})


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("nobody", "--from", "1h"), 4, "there is no entry"),
        (("a", "--from", "soon"), 2, "or how long ago: 7d"),
        (("a", "--from", "2026-01-01"), 2, "or how long ago: 7d"),
        (("a", "--from", "1h", "--to", "2h"), 3, "lies before from"),
        (("a", "--from", "1960-01-01T00:00Z"), 2, "lies before 1970"),
        (("a", "--from", "1h", "--max", "0"), 2, "--max"),
        (("a", "--from", "1h", "--rate", "0"), 2, "--rate"),
    ],
)
@pytest.mark.usefixtures("entry")
def test_a_range_that_is_none_is_refused(at_redis: Beatd, words: tuple[str, ...], code: int, said: str) -> None:
    done = at_redis("backfill", *words, "--yes")
    assert (done.code, done.out) == (code, "")
    assert said in done.err


@pytest.mark.usefixtures("entry")
def test_a_request_that_came_to_an_end_is_told_with_its_reason(
    at_redis: Beatd, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = beatd.cli.requests._wait

    def withdrawn_meanwhile(client: Any, request_id: str) -> Any:
        store.pause("a")
        return real(client, request_id)

    monkeypatch.setattr(beatd.cli.requests, "_wait", withdrawn_meanwhile)
    done = at_redis("trigger", "a")
    assert done.code == 5
    assert "the request for 'a' was withdrawn: paused" in done.err


def _range(first: str, last: str, *more: str) -> tuple[str, ...]:
    return ("backfill", "a", "--from", f"2026-01-01T{first}Z", "--to", f"2026-01-01T{last}Z", *more, "--no-wait")


@pytest.mark.usefixtures("entry")
def test_slots_that_another_range_has_pushed_are_refused_unless_it_is_said_again(at_redis: Beatd, store: Store) -> None:
    first = at_redis(*_range("00:00", "03:00", "--yes", "-o", "json"))
    key, midnight = first.json["id"], 1_767_225_600_000
    overlapping = _range("01:00", "05:00")
    while_open = at_redis(*overlapping, "--yes")
    assert while_open.code == 5
    assert (
        "3 of the 5 slots here belong to the backfill from 2026-01-01T00:00:00Z to 2026-01-01T03:00:00Z"
        in while_open.err
    )
    assert "(being pushed, asked for at 20" in while_open.err
    serve(store, key, "done", *(midnight + i * HOUR for i in range(4)))
    for words in (("--yes",), ("--dry-run",)):
        done = at_redis(*overlapping, *words)
        assert (done.code, len(done.lines)) == (5, 6), "it shows the slots and refuses"
        assert "(pushed at 20" in done.err
        assert "hint: --from 2026-01-01T04:00:00Z begins behind them, --again pushes them once more" in done.err
    assert len(store.hash("req")) == 1
    assert at_redis(*_range("04:00", "05:00", "--yes")).code == 0
    inside = at_redis(*_range("00:30", "04:30", "--yes"))
    assert "4 of the 4 slots" in inside.err
    assert " and another one\n  hint: --again pushes" in inside.err
    before = at_redis("backfill", "a", "--from", "2025-12-31T23:00Z", "--to", "2026-01-01T00:00Z", "--yes")
    assert "hint: --to 2025-12-31T23:00:00Z ends before them, --again" in before.err
    assert at_redis(*overlapping, "--yes", "--again").code == 0
    assert len(store.hash("req")) == 3


@pytest.mark.usefixtures("entry")
def test_a_backfill_that_was_stopped_counts_as_far_as_it_came(at_redis: Beatd, store: Store) -> None:
    key = at_redis(*_range("00:00", "03:00", "--yes", "-o", "json")).json["id"]
    assert at_redis("pause", "a").code == 0
    assert at_redis(*_range("00:00", "01:00", "--dry-run")).code == 0, "it pushed nothing"
    assert at_redis("resume", "a").code == 0
    assert at_redis(*_range("00:00", "03:00", "--yes")).code == 0
    serve(store, key, "open", 1_767_225_600_000)
    assert at_redis("pause", "a").code == 0
    assert "1 of the 2 slots" in at_redis(*_range("00:00", "01:00", "--yes")).err
    assert at_redis(*_range("01:00", "02:00", "--yes")).code == 0
    assert at_redis("set", "b", "--task", "t", "--every", "1h", "--anchor", "1970-01-01T00:00:00Z").code == 0
    other = ("--from", "2026-01-01T00:00Z", "--to", "2026-01-01T03:00Z")
    assert at_redis("backfill", "b", *other, "--dry-run").code == 0, "another entry's slots are others"
