"""What the loop notes, and what is read of it."""

import pytest

from beatd.core.census import LeftOut, Sizes, Tally
from beatd.core.health import ready
from beatd.core.timetable import Check
from beatd.daemon.clock import ServerClock
from beatd.daemon.vitals import Vitals
from beatd.errors import Unreachable, WritesRefused
from beatd.store.refusals import NewerFormat

NOW = 1_800_000_000_000


class House:
    """Vitals on a clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.clock = ServerClock(lambda: self.seconds)
        self.clock.observe(self.seconds, NOW)
        self.vitals = Vitals(self.clock, "2026a")

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds

    def check(self, oldest: int | None, backlog: int = 0) -> None:
        sizes = Sizes(revisions=3, definitions=3, due=2, out=1)
        self.vitals.checked(Check(0, 0, oldest, 1, self.clock.now_ms(), (), sizes, backlog))

    def amiss(self) -> list[str]:
        seen = self.vitals.seen(missed=0, config_error=None)
        return [what for what, finding in ready(seen).signs.items() if not finding.ok]


@pytest.fixture
def house() -> House:
    return House()


def lead(house: House) -> None:
    house.vitals.answered(0.001)
    house.vitals.has_bid = True
    house.vitals.emit("leader_acquired", epoch=7, instance="h:1")


def test_nothing_is_ready_before_redis_has_answered_and_told_whose_the_lease_is(house: House) -> None:
    assert house.amiss() == ["redis", "lease"]
    house.vitals.answered(0.001)
    assert house.amiss() == ["lease"]
    house.vitals.has_bid = True
    assert house.amiss() == []


def test_nobody_has_a_role_before_redis_has_told_whose_the_lease_is(house: House) -> None:
    house.vitals.answered(0.001)
    assert house.vitals.role is None
    house.vitals.has_bid = True
    assert house.vitals.role == "standby"
    lead(house)
    assert house.vitals.role == "leader"


def test_a_leader_is_ready_once_it_has_looked_at_its_timetable(house: House) -> None:
    lead(house)
    assert house.amiss() == ["timetable"]
    house.check(oldest=NOW + 5_000)
    assert (house.amiss(), house.vitals.lag()) == ([], 0.0)


def test_lag_is_the_age_of_the_oldest_moment_that_is_due(house: House) -> None:
    lead(house)
    house.check(oldest=NOW - 61_000, backlog=4)
    assert (house.vitals.lag(), house.vitals.backlog(), house.amiss()) == (61.0, 4, ["timetable"])
    house.check(oldest=None)
    assert (house.vitals.lag(), house.vitals.backlog()) == (0.0, 0)


def test_lag_grows_while_nobody_looks(house: House) -> None:
    lead(house)
    house.check(oldest=NOW + 1_000)
    house.pass_time(2.0)  # it may have been fired since
    assert house.vitals.lag() == 0.0
    house.pass_time(28.0)
    assert house.vitals.lag() == 29.0


@pytest.mark.parametrize("event", ["leader_released", "lease_lost"])
def test_whoever_leads_no_more_has_neither_lag_nor_entries(house: House, event: str) -> None:
    lead(house)
    house.check(oldest=NOW - 90_000)
    tally = Tally(at=NOW)
    tally.add_left_out([LeftOut("a", ("paused",), None)])
    house.vitals.counted(tally)
    assert house.vitals.entries() == {
        "scheduled": 2, "paused": 1, "disabled": 0, "finished": 0, "blocked": 0, "invalid": 0,
    }  # fmt: skip
    house.vitals.emit(event, epoch=7, reason="x")
    assert (house.vitals.leads, house.vitals.epoch) == (False, 7)
    assert (house.vitals.lag(), house.vitals.entries(), house.amiss()) == (0.0, None, [])


def test_a_leader_whose_every_fire_is_refused_is_not_ready_until_a_session_has_worked(house: House) -> None:
    lead(house)
    for _ in range(11):  # every half second a session begins with a look at the timetable, and ends by a refusal
        house.vitals.answered(0.001)
        house.check(oldest=NOW)
        assert house.amiss() == []
        house.vitals.failed("at its maxmemory limit")
        house.pass_time(0.5)
    for _ in range(10):
        house.vitals.answered(0.001)
        house.check(oldest=NOW)
        assert house.amiss() == ["timetable"]
        house.pass_time(0.5)
    finding = ready(house.vitals.seen(missed=0, config_error=None)).signs["timetable"]
    assert finding.detail == "nothing could be fired for 10 s: at its maxmemory limit"
    house.check(oldest=None)
    house.vitals.worked()
    assert (house.amiss(), house.vitals.failing_s(), house.vitals.failing) == ([], 0.0, None)


def test_a_new_term_begins_without_the_failures_of_the_last(house: House) -> None:
    lead(house)
    house.vitals.failed("no right to push")
    house.pass_time(60)
    house.vitals.emit("leader_released", epoch=7, reason="x")
    lead(house)
    assert house.vitals.failing_s() == 0.0


def test_stored_entries_are_those_counted_last(house: House) -> None:
    assert house.vitals.stored_entries() == 0
    lead(house)
    house.check(oldest=None)
    assert house.vitals.stored_entries() == 3


def test_the_codes_of_scripts_are_counted_by_name(house: House) -> None:
    for codes in ("0000", "0120", "1"):
        house.vitals.judged(codes)
    for code in ("lease_lost", "unreachable", "something new"):
        house.vitals.refused(code)
    assert {code: n for code, n in house.vitals.script_errors.items() if n} == {
        "other_moment": 2, "other_revision": 1, "lease_lost": 1, "unreachable": 1, "other": 1,
    }  # fmt: skip


def test_what_redis_refuses_keeps_a_candidate_from_being_ready_but_a_cut_connection_does_not(house: House) -> None:
    house.vitals.answered(0.001)
    house.vitals.has_bid = True
    house.vitals.trouble = Unreachable("the connection was closed")
    assert house.amiss() == []  # it is asked again at once, and counts when two seconds went by without an answer
    house.vitals.trouble = WritesRefused("is a replica")
    assert house.amiss() == ["lease"]
    house.vitals.trouble = NewerFormat("the stored format is 2")
    assert house.amiss() == ["format", "lease"]
    house.vitals.trouble = None
    house.vitals.unfit = "it can't fire"
    assert house.amiss() == ["lease"]


def test_the_last_refusal_is_kept_with_its_instant(house: House) -> None:
    house.vitals.emit("redis_down", error="no answer", hint=None)
    house.pass_time(1.0)
    house.vitals.emit("config_refused", error="a bracket", problems=1)
    house.vitals.emit("redis_up")
    assert house.vitals.last_refusal == (NOW + 1_000, "a bracket")


def test_whoever_stops_is_not_ready(house: House) -> None:
    lead(house)
    house.check(oldest=None)
    house.vitals.stop()
    assert house.amiss() == ["running"]
