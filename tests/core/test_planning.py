"""The first moment of an entry, and what the leader tells the plan script."""

from typing import Any

import pytest

from beatd.core.entry import Entry, entry_from_spec
from beatd.core.fire import Skip
from beatd.core.instant import LAST_MS
from beatd.core.planning import First, first_moment, moment_of, moved_item, owed_moment, plan_item, stray_item
from beatd.core.timetable import PlanItem, Stored

S = 1_000
M = 60 * S
T0 = 1_800_000_000_000
AT = "2027-01-15T08:00:00Z"  # T0


def entry(**spec: Any) -> Entry:
    timing = {} if {"at", "cron", "every"} & spec.keys() else {"every": "1m", "anchor": "1970-01-01T00:00:00Z"}
    return entry_from_spec("nightly", {"task": "app.run", **timing, **spec})


def first(found: Entry, since: int, last_slot: int = 0, jitter: int = 0, left: int | None = None) -> First:
    return first_moment(found, since, last_slot, jitter, left)


@pytest.mark.parametrize("since, moment", [(T0 - 1, T0), (T0, T0 + M), (T0 + 1, T0 + M)])
def test_the_first_slot_lies_strictly_after_the_edit(since: int, moment: int) -> None:
    assert first(entry(), since) == First(moment)


def test_a_moment_is_the_slot_and_the_jitter() -> None:
    assert first(entry(), T0, jitter=7 * S) == First(T0 + M + 7 * S)


def test_no_slot_up_to_the_last_fire_is_planned_again() -> None:
    assert first(entry(), T0, last_slot=T0 + 5 * M) == First(T0 + 6 * M)


def test_with_its_runs_used_up_an_entry_is_finished() -> None:
    assert first(entry(max_runs=3), T0, left=0) == First(None)
    assert first(entry(max_runs=3), T0, left=1) == First(T0 + M)


def test_past_its_end_an_entry_is_finished_without_a_skip() -> None:
    assert first(entry(end=AT), T0) == First(None)


@pytest.mark.parametrize("since", [T0 - 10 * M, T0 - 1, T0, T0 + 60 * S])
def test_an_instant_to_come_or_just_past_fires(since: int) -> None:
    assert first(entry(at=AT), since) == First(T0)


def test_an_instant_further_back_than_the_grace_is_past() -> None:
    assert first(entry(at=AT), T0 + 60 * S + 1) == First(None, (Skip("past", 1, T0, T0),))


@pytest.mark.parametrize("since, fires", [(T0, True), (T0 + 1, False)])
def test_without_a_grace_an_instant_fires_until_it_is_past(since: int, fires: bool) -> None:
    assert (first(entry(at=AT, grace="0s"), since).moment == T0) is fires


@pytest.mark.parametrize("since, fires", [(T0 + 31 * M, True), (T0 + 31 * M + 1, False)])
def test_the_lateness_of_an_instant_counts_from_its_moment(since: int, fires: bool) -> None:
    found = first(entry(at=AT, jitter="1h"), since, jitter=30 * M)
    assert found == (First(T0 + 30 * M) if fires else First(None, (Skip("past", 1, T0, T0),)))


def test_an_instant_that_fired_is_neither_planned_nor_past() -> None:
    assert first(entry(at=AT), T0 + 1, last_slot=T0) == First(None)
    assert first(entry(at=AT), T0 + 60 * M, last_slot=T0) == First(None)


def test_an_instant_outside_its_bounds_is_no_slot() -> None:
    assert first(entry(at=AT, end="2027-01-15T07:00:00Z"), T0 + 60 * M) == First(None)


def item(found: Entry, score: str, left: int | None = None, now: int = T0 + 10 * M) -> PlanItem:
    return plan_item(found, Stored("nightly", score, "rev", b"", 0, 0, left), now)


def test_a_negative_score_says_from_when_to_plan() -> None:
    assert item(entry(), f"-{T0}") == PlanItem("nightly", "rev", f"-{T0}", str(T0 + M))


def test_the_script_hears_of_a_finished_entry_and_of_what_was_past() -> None:
    assert item(entry(), f"-{T0}", left=0).verdict == "F"
    past = item(entry(at=AT), f"-{T0 + 10 * M}")
    assert (past.verdict, past.skips) == ("F", (Skip("past", 1, T0, T0),))


@pytest.mark.parametrize(
    "score, last_slot, moment",
    [
        (str(T0 + 7), T0 - 1, T0 + 7),
        (str(T0 + 7), T0, None),  # moment - jitter is not after the last fire: written by hand
        (f"-{T0}", 0, None),
        ("1.5", 0, None),
    ],
)
def test_only_a_moment_after_the_last_fire_is_owed(score: str, last_slot: int, moment: int | None) -> None:
    assert owed_moment(Stored("nightly", score, "rev", b"", last_slot, 7, None)) == moment


def test_a_moment_at_or_before_the_last_fire_is_planned_from_just_after_that() -> None:
    found = plan_item(entry(), Stored("nightly", str(T0), "rev", b"", T0 + 3 * M, 0, None), T0 + 10 * M)
    assert found.verdict == str(T0 + 4 * M)


@pytest.mark.parametrize("score", ["inf", "-inf", "nan", "1.5", "-1.5", "-1800000000000.5", "1e300", "-1e300"])
def test_a_score_that_no_script_writes_is_planned_from_now(score: str) -> None:
    assert item(entry(), score).verdict == str(T0 + 11 * M)
    assert moment_of(score) is None


@pytest.mark.parametrize(
    "score, moment",
    [("0", 0), ("1800000000000", T0), ("1.8e12", T0), ("-1", None), (str(LAST_MS), LAST_MS), (str(LAST_MS + 1), None)],
)
def test_a_score_that_is_not_negative_is_a_moment(score: str, moment: int | None) -> None:
    assert moment_of(score) == moment


def stored(score: int, last_slot: int = 0, jitter: int = 0, held: int = 0) -> Stored:
    return Stored("nightly", str(score), "n.f", b"{}", last_slot, jitter, None, held)


def test_a_moment_that_stands_for_a_slot_is_left_alone() -> None:
    assert stray_item(entry(), stored(T0 + 7, jitter=7)) is None
    assert stray_item(entry(), stored(-T0)) is None


def test_a_moment_that_stands_for_no_slot_is_planned_again_from_just_before_it() -> None:
    found = stray_item(entry(), stored(T0 + 1))
    assert found == PlanItem("nightly", "n.f", str(T0 + 1), str(T0 + M))


def test_a_moment_after_all_slots_ends_the_entry() -> None:
    found = stray_item(entry(end="2027-01-15T08:00:00Z"), stored(T0 + 1))
    assert found is not None
    assert found.verdict == "F"


MINUTELY = {"cron": "* * * * *", "timezone": "Europe/Paris"}


def test_what_no_zone_data_move_stays_whatever_the_clock_says() -> None:
    for timing in ({"cron": "* * * * *"}, {"every": "1m", "timezone": "Europe/Paris"}):
        assert moved_item(entry(**timing), stored(T0 + 5 * M), now=T0) is None


@pytest.mark.parametrize("moment", [T0 + 5 * M, T0 + 90_001])
def test_a_coming_moment_that_others_precede_is_moved(moment: int) -> None:
    found = moved_item(entry(**MINUTELY), stored(moment), now=T0 + 1)
    assert found == PlanItem("nightly", "n.f", str(moment), str(T0 + M))


@pytest.mark.parametrize("moment", [T0 + M, T0, T0 - 5])  # the next slot, and what is due already
def test_where_the_next_slot_is_the_stored_one_nothing_moves(moment: int) -> None:
    assert moved_item(entry(**MINUTELY), stored(moment), now=T0) is None


def test_moving_never_goes_back_before_the_last_fire() -> None:
    found = moved_item(entry(**MINUTELY), stored(T0 + 5 * M, last_slot=T0 + 2 * M), now=T0)
    assert found is not None
    assert found.verdict == str(T0 + 3 * M)


def test_what_was_settled_before_a_loss_counts_from_there() -> None:
    assert first_moment(entry(), T0 + 10 * M, 0, 0, None, settled=T0) == First(T0 + M)
    assert first_moment(entry(), T0, 0, 0, None, settled=T0 + 10 * M) == First(T0 + M)


def test_a_slot_that_has_come_stays_while_its_jitter_lasts() -> None:
    assert moved_item(entry(**MINUTELY), stored(T0 + 30 * S, jitter=30 * S), now=T0) is None


def test_nothing_moves_into_a_pause() -> None:
    assert moved_item(entry(**MINUTELY), stored(T0 + 5 * M, held=T0 + 5 * M - 1), now=T0) is None
    found = moved_item(entry(**MINUTELY), stored(T0 + 9 * M, held=T0 + 5 * M - 1), now=T0)
    assert found is not None
    assert found.verdict == str(T0 + 5 * M)


# A pause


@pytest.mark.parametrize("held, moment", [(T0 + 5 * M - 1, T0 + 5 * M), (T0 + 5 * M, T0 + 6 * M), (T0 - M, T0 + M)])
def test_nothing_is_planned_up_to_the_last_instant_of_a_pause(held: int, moment: int) -> None:
    assert plan_item(entry(), stored(-T0, held=held), T0).verdict == str(moment)


def test_a_score_that_no_script_writes_is_planned_after_the_pause() -> None:
    row = Stored("nightly", "1.5", "n.f", b"{}", 0, 0, None, T0 + 5 * M - 1)
    assert plan_item(entry(), row, T0).verdict == str(T0 + 5 * M)


@pytest.mark.parametrize("held, fires", [(T0 - 1, True), (T0, False), (T0 + 30 * S, False)])
def test_an_instant_that_a_pause_took_is_past_even_within_its_grace(held: int, fires: bool) -> None:
    found = plan_item(entry(at=AT), stored(-(T0 + 30 * S), held=held), T0 + 30 * S)
    assert (found.verdict, found.skips) == ((str(T0), ()) if fires else ("F", (Skip("past", 1, T0, T0),)))
