"""The demo's judgement: what was due and what was executed, before anybody believes it."""

import pytest

from scripts.demo import Execution, judge, leader_pid, read_execution, report, told

ENTRIES = {"a": 1_000, "b": 2_000}
ALL = [
    Execution("a", 5_300),
    Execution("a", 6_300),
    Execution("a", 7_300),
    Execution("b", 5_100),
    Execution("b", 7_100),
]


def test_every_slot_once_is_good() -> None:
    verdict = judge(ALL, ENTRIES, until_ms=7_500)

    assert verdict.good
    assert report(verdict) == "5 slots were due, each was executed once: nothing twice, nothing missing."


def test_a_slot_executed_twice_is_found() -> None:
    verdict = judge([*ALL, Execution("a", 6_300)], ENTRIES, until_ms=7_500)

    assert not verdict.good
    assert report(verdict) == "5 slots were due; twice: 1, missing: 0.\n  twice    a 6300"


@pytest.mark.parametrize("lost", [Execution("a", 6_300), Execution("a", 7_300), Execution("b", 7_100)])
def test_a_slot_that_was_not_executed_is_found(lost: Execution) -> None:
    verdict = judge([one for one in ALL if one != lost], ENTRIES, until_ms=7_500)

    assert verdict.missing == (lost,)
    assert not verdict.good


def test_an_entry_that_never_ran_is_found() -> None:
    assert not judge([one for one in ALL if one.entry == "a"], ENTRIES, until_ms=7_500).good


def test_a_slot_that_is_not_one_of_the_entry_does_not_stand_for_one_that_is() -> None:
    moved = [Execution("a", 6_301) if one == Execution("a", 6_300) else one for one in ALL]

    assert judge(moved, ENTRIES, until_ms=7_500).missing == (Execution("a", 6_300),)


def test_slots_after_the_end_are_not_expected_but_may_not_come_twice_either() -> None:
    late = Execution("a", 8_300)

    assert judge([*ALL, late], ENTRIES, until_ms=7_500).good
    assert judge([*ALL, late, late], ENTRIES, until_ms=7_500).doubled == (late,)


def test_nothing_due_is_not_good() -> None:
    assert not judge([], {}, until_ms=7_500).good


def test_a_run_is_read_from_the_log_of_the_worker() -> None:
    line = "[09:00:01,002: INFO/MainProcess] tasks.heartbeat[x]: heartbeat: entry=a slot=2026-11-20T09:00:00.396Z"

    assert read_execution(line) == Execution("a", 1_795_165_200_396)
    assert read_execution("[2026-11-20 09:00:01,002: INFO/MainProcess] Task tasks.heartbeat[x] received") is None


def test_lateness_is_told_from_a_second_upwards() -> None:
    execution = Execution("a", 1_795_165_200_396)

    assert told(execution, 1_795_165_200_900) == "executed a          of 09:00:00.396"
    assert told(execution, 1_795_165_202_396) == "executed a          of 09:00:00.396, 2.0 s late"


@pytest.mark.parametrize("host, pid", [("beat-1:4711", 4711), ("beat-1", None), ("", None), (None, None)])
def test_the_leader_is_found_by_the_lease(host: str | None, pid: int | None) -> None:
    assert leader_pid(host) == pid
