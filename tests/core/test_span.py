"""What becomes of the slots in a span: the contract's order, line by line, then against a naive oracle."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatd.core.entry import Catchup, Policy
from beatd.core.fire import Skip
from beatd.core.schedules import Schedule, parse_schedule
from beatd.core.schedules.rule import Rule
from beatd.core.span import EXACT_COUNT, Decision, decide
from tests.support.examples import examples

S = 1_000
M = 60 * S
T0 = 1_800_000_000_000  # on a whole minute
EVERY_MINUTE = parse_schedule({"every": "1m", "anchor": "2026-01-01T00:00:00Z"})


def minutes(*numbers: int) -> tuple[int, ...]:
    return tuple(T0 + number * M for number in numbers)


def skip(reason: Any, first: int, last: int) -> Skip:
    """The skip of all slots from one minute to another."""
    return Skip(reason, last - first + 1, *minutes(first, last))


def after(elapsed: float, schedule: Schedule = EVERY_MINUTE, policy: Policy | None = None, **more: Any) -> Decision:
    """The decision of a span that starts at minute 0, so many minutes later."""
    return decide(schedule, policy or Policy(), owed=T0, now=T0 + int(elapsed * M), **more)


def test_a_slot_on_time_fires_and_the_next_one_is_owed() -> None:
    found = after(0)
    assert (found.fires, found.skips, found.next_slot) == (minutes(0), (), T0 + M)


# After ten minutes of one slot a minute (minutes 0 to 10), a grace of two minutes: 8, 9 and 10 are on time.
TEN_MINUTES = [
    ("none", {}, [8, 9, 10], [("missed", 0, 7)]),
    ("latest", {}, [8, 9, 10], [("coalesced", 0, 7)]),
    ("all", {}, range(11), []),
    ("none", {"deadline_ms": 5 * M}, [8, 9, 10], [("expired", 0, 4), ("missed", 5, 7)]),
    ("latest", {"deadline_ms": 5 * M}, [8, 9, 10], [("expired", 0, 4), ("coalesced", 5, 7)]),
    ("all", {"deadline_ms": 5 * M}, range(5, 11), [("expired", 0, 4)]),
    # A deadline within the grace comes first.
    ("all", {"deadline_ms": M}, [9, 10], [("expired", 0, 8)]),
    ("none", {"deadline_ms": 0}, [10], [("expired", 0, 9)]),
    # One cap over all fires: the newest stay, whether they are on time or not.
    ("all", {"catchup_limit": 5}, range(6, 11), [("dropped", 0, 5)]),
    ("all", {"catchup_limit": 3}, [8, 9, 10], [("dropped", 0, 7)]),
    ("all", {"catchup_limit": 2}, [9, 10], [("dropped", 0, 7), ("dropped", 8, 8)]),
    ("latest", {"catchup_limit": 2}, [9, 10], [("coalesced", 0, 7), ("dropped", 8, 8)]),
    ("none", {"catchup_limit": 1}, [10], [("missed", 0, 7), ("dropped", 8, 9)]),
    ("all", {"catchup_limit": 4, "deadline_ms": 5 * M}, range(7, 11), [("expired", 0, 4), ("dropped", 5, 6)]),
]


@pytest.mark.parametrize("catchup, policy, fires, skips", TEN_MINUTES)
def test_the_order_of_the_contract(
    catchup: Catchup, policy: dict[str, Any], fires: Sequence[int], skips: list[tuple[str, int, int]]
) -> None:
    found = after(10, policy=Policy(catchup=catchup, grace_ms=2 * M, **policy))
    assert found.fires == minutes(*fires)
    assert found.skips == tuple(skip(*each) for each in skips)
    assert found.next_slot == T0 + 11 * M


DAILY = parse_schedule({"every": "1d", "anchor": "2027-01-15T08:00:00Z"})


@pytest.mark.parametrize(
    "catchup, fires, skips",
    [
        ("none", [], [("missed", 3, 0, 2)]),
        ("latest", [2], [("coalesced", 2, 0, 1)]),
        ("all", [0, 1, 2], []),
    ],
)
def test_without_a_slot_on_time_the_policy_decides_alone(
    catchup: Catchup, fires: list[int], skips: list[tuple[Any, int, int, int]]
) -> None:
    day = 24 * 60 * M
    found = decide(DAILY, Policy(catchup=catchup), owed=T0, now=T0 + 2 * day + day // 2)
    assert found.fires == tuple(T0 + n * day for n in fires)
    assert found.skips == tuple(Skip(reason, n, T0 + a * day, T0 + b * day) for reason, n, a, b in skips)
    assert found.next_slot == T0 + 3 * day


@pytest.mark.parametrize("late, reason", [(60 * S, None), (60 * S + 1, "missed")])
def test_the_grace_includes_its_last_millisecond(late: int, reason: str | None) -> None:
    found = decide(DAILY, Policy(catchup="none"), owed=T0, now=T0 + late)
    assert [each.reason for each in found.skips] == ([reason] if reason else [])
    assert found.fires == (() if reason else (T0,))


@pytest.mark.parametrize("late, fires", [(5 * S, True), (5 * S + 1, False)])
@pytest.mark.parametrize("catchup", ["none", "latest", "all"])
def test_the_deadline_includes_its_last_millisecond(catchup: Catchup, late: int, fires: bool) -> None:
    found = decide(DAILY, Policy(catchup=catchup, deadline_ms=5 * S), owed=T0, now=T0 + late)
    assert found.fires == ((T0,) if fires else ())
    assert found.skips == (() if fires else (Skip("expired", 1, T0, T0),))


@pytest.mark.parametrize("late, fires", [(5 * S, True), (5 * S + 1, False)])
@pytest.mark.parametrize("expires", [{"expires_ms": 5 * S}, {"expires_on": T0 + 5 * S}])
def test_a_message_that_would_arrive_expired_is_a_skip(expires: dict[str, int], late: int, fires: bool) -> None:
    found = decide(DAILY, Policy(catchup="all"), owed=T0, now=T0 + late, **expires)
    assert found.fires == ((T0,) if fires else ())
    assert found.skips == (() if fires else (Skip("expired", 1, T0, T0),))


def test_lateness_counts_from_the_moment_but_expires_from_the_slot() -> None:
    policy = Policy(catchup="none", deadline_ms=2 * M)
    on_time = decide(DAILY, policy, owed=T0, now=T0 + 30 * M + 60 * S, jitter=30 * M)
    assert (on_time.fires, on_time.good_until) == ((T0,), T0 + 31 * M)
    missed = decide(DAILY, policy, owed=T0, now=T0 + 31 * M + 1, jitter=30 * M)
    assert missed.skips == (Skip("missed", 1, T0, T0),)
    expired = decide(DAILY, policy, owed=T0, now=T0 + 32 * M + 1, jitter=30 * M)
    assert expired.skips == (Skip("expired", 1, T0, T0),)
    dead = decide(DAILY, policy, owed=T0, now=T0 + 30 * M, jitter=30 * M, expires_ms=29 * M)
    assert (dead.fires, dead.skips) == ((), (Skip("expired", 1, T0, T0),))


def test_a_slot_whose_moment_has_not_come_is_no_part_of_the_span() -> None:
    found = after(10.5, jitter=M)
    assert (found.fires[-1], found.next_slot) == (T0 + 9 * M, T0 + 10 * M)


def test_a_message_that_expires_before_its_moment_takes_no_slot_along_that_is_still_to_come() -> None:
    found = after(1.5, jitter=90 * S, expires_ms=1)
    assert (found.skips, found.next_slot) == ((skip("expired", 0, 0),), T0 + M)


def test_past_the_date_of_its_messages_the_whole_span_is_expired() -> None:
    found = after(10, policy=Policy(catchup="all"), expires_on=T0 + 9 * M)
    assert (found.fires, found.skips, found.next_slot) == ((), (skip("expired", 0, 10),), T0 + 11 * M)


@pytest.mark.parametrize("left, fires, after_it", [(1, [0], 0), (11, range(11), 0), (12, range(11), 1)])
def test_the_runs_left_end_the_entry_with_its_last_run(left: int, fires: Sequence[int], after_it: int) -> None:
    found = after(10, policy=Policy(catchup="all"), left=left)
    assert (found.fires, found.left) == (minutes(*fires), after_it)
    assert found.next_slot == (T0 + 11 * M if after_it else None)


def test_with_no_runs_left_nothing_fires_and_nothing_is_owed() -> None:
    found = after(0, left=0)
    assert (found.fires, found.next_slot, found.left) == ((), None, 0)


def test_skips_do_not_use_up_runs() -> None:
    found = decide(DAILY, Policy(catchup="none"), owed=T0, now=T0 + 2 * M, left=1)
    assert (found.fires, found.left, found.next_slot) == ((), 1, T0 + 24 * 60 * M)


def test_after_its_last_slot_a_schedule_owes_nothing() -> None:
    schedule = parse_schedule({"every": "1m", "anchor": "2026-01-01T00:00:00Z", "end": "2027-01-15T08:02:30Z"})
    found = after(10, schedule, Policy(catchup="all"))
    assert (found.fires, found.next_slot) == (minutes(0, 1, 2), None)


def test_a_slot_of_another_definition_is_settled_without_a_fire() -> None:
    found = decide(EVERY_MINUTE, Policy(), owed=T0 - 1, now=T0 - 1)
    assert found == Decision(fires=(), skips=(), next_slot=T0, good_until=None, left=None)


def test_a_long_catch_up_goes_in_steps_and_skips_are_told_once() -> None:
    policy = Policy(catchup="all", catchup_limit=5)
    first = after(10, policy=policy, at_most=3)
    assert (first.fires, first.next_slot) == (minutes(6, 7, 8), T0 + 9 * M)
    assert first.skips == (skip("dropped", 0, 5),)
    second = decide(EVERY_MINUTE, policy, owed=T0 + 9 * M, now=T0 + 10 * M, at_most=3)
    assert (second.fires, second.skips, second.next_slot) == (minutes(9, 10), (), T0 + 11 * M)


@pytest.mark.parametrize(
    "catchup, expires, expected",
    [
        ("none", {}, T0 + 60 * S),
        ("latest", {}, T0 + 60 * S),
        ("all", {}, None),
        ("all", {"expires_ms": 9 * S}, T0 + 9 * S),
        ("none", {"expires_ms": 9 * S}, T0 + 9 * S),
        ("none", {"expires_on": T0 + 7 * S}, T0 + 7 * S),
    ],
)
def test_a_decision_says_how_long_it_holds(catchup: Catchup, expires: dict[str, int], expected: int | None) -> None:
    found = decide(DAILY, Policy(catchup=catchup), owed=T0, now=T0, **expires)
    assert (found.fires, found.good_until) == ((T0,), expected)


def test_a_decision_with_a_deadline_holds_until_its_oldest_fire_meets_it() -> None:
    found = after(10, policy=Policy(catchup="all", deadline_ms=5 * M))
    assert found.good_until == T0 + 10 * M


def test_a_decision_without_fires_holds_for_ever() -> None:
    found = decide(DAILY, Policy(catchup="none"), owed=T0, now=T0 + 2 * M, expires_ms=M, expires_on=T0)
    assert (found.fires, found.good_until) == ((), None)


# -- the cost: what is asked of the schedule, not how long it takes


class CountingRule(Rule):
    """A rule that counts how often it is asked."""

    kind = "every"

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.asked = 0

    def next_ms(self, after: int) -> int | None:
        self.asked += 1
        return self.rule.next_ms(after)

    def last_ms(self, until: int) -> int | None:
        self.asked += 1
        return self.rule.last_ms(until)

    def count_ms(self, after: int, until: int, at_most: int) -> int:
        self.asked += 1
        return self.rule.count_ms(after, until, at_most)

    def spec(self) -> dict[str, Any]:
        return self.rule.spec()

    def words(self) -> str:
        return self.rule.words()


@pytest.mark.parametrize("catchup", ["none", "latest", "all"])
@pytest.mark.parametrize("spec", [{"every": "1s", "anchor": "2026-01-01T00:00:00Z"}, {"cron": "* * * * * *"}])
def test_a_month_of_missed_seconds_asks_no_more_than_its_fires_need(spec: dict[str, str], catchup: Catchup) -> None:
    rule = CountingRule(parse_schedule(spec).rule)
    policy = Policy(catchup=catchup, deadline_ms=10 * 24 * 60 * M)
    found = after(30 * 24 * 60, Schedule(rule, EVERY_MINUTE.zone), policy)
    assert len(found.fires) == (100 if catchup == "all" else 61)
    assert sum(each.count for each in found.skips) == 2 * EXACT_COUNT
    assert rule.asked <= len(found.fires) + 12


# -- against an oracle that looks at every slot of the span, one by one


@dataclass(frozen=True)
class Case:
    schedule: Schedule
    policy: Policy
    owed: int
    now: int
    jitter: int
    expires_ms: int | None
    expires_on: int | None
    left: int | None

    def decide(self, **more: Any) -> Decision:
        known = {"owed": self.owed, "now": self.now, "left": self.left}
        fixed = {"jitter": self.jitter, "expires_ms": self.expires_ms, "expires_on": self.expires_on}
        return decide(self.schedule, self.policy, **{**known, **fixed, **more})

    def slots(self) -> list[int]:
        """All of the span; the schedules have tests of their own."""
        found, slot = [], self.schedule.next_ms(self.owed - 1)
        while slot is not None and slot + self.jitter <= self.now:
            found.append(slot)
            slot = self.schedule.next_ms(slot)
        return found


def fate(case: Case, slot: int, now: int) -> str:
    """One slot by itself: expired, on time or missed."""
    lateness = now - (slot + case.jitter)
    if case.policy.deadline_ms is not None and lateness > case.policy.deadline_ms:
        return "expired"
    if case.expires_ms is not None and now > slot + case.expires_ms:
        return "expired"
    if case.expires_on is not None and now > case.expires_on:
        return "expired"
    return "on time" if lateness <= case.policy.grace_ms else "missed"


def oracle(case: Case, slots: Sequence[int], now: int) -> dict[int, str]:
    """What becomes of each slot: `fire`, the reason of its skip, or `finished` once no run was left."""
    fates = {slot: fate(case, slot, now) for slot in slots}
    missed = [slot for slot in slots if fates[slot] == "missed"]
    on_time = [slot for slot in slots if fates[slot] == "on time"]
    limit = case.policy.catchup_limit
    for index, slot in enumerate(missed):
        newest_first = len(missed) - index
        if case.policy.catchup == "none":
            fates[slot] = "missed"
        elif case.policy.catchup == "latest":
            fates[slot] = "fire" if newest_first == 1 and not on_time else "coalesced"
        else:
            fates[slot] = "fire" if newest_first <= limit else "dropped"
    for slot in on_time:
        fates[slot] = "fire"
    for slot in [slot for slot in slots if fates[slot] == "fire"][:-limit]:
        fates[slot] = "dropped"
    if case.left is not None:
        for slot in [slot for slot in slots if fates[slot] == "fire"][case.left :]:
            fates[slot] = "finished"
    return fates


def fires_of(fates: dict[int, str]) -> tuple[int, ...]:
    return tuple(slot for slot, became in fates.items() if became == "fire")


DURATIONS = st.one_of(st.sampled_from([0, 1, 59_999, 60_000, 60_001, 120_000]), st.integers(0, 40 * M))
SCHEDULES = st.one_of(
    st.builds(
        lambda every, anchor: parse_schedule({"every": f"{every}s", "anchor": f"2026-01-01T00:00:{anchor:02}Z"}),
        st.integers(7, 900),
        st.integers(0, 59),
    ),
    st.builds(
        lambda text, zone: parse_schedule({"cron": text, "timezone": zone}),
        st.sampled_from(["* * * * *", "*/7 * * * *", "0,1,2,30 * * * *", "*/20 0 9 * * *", "15 9 * * *"]),
        st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu"]),
    ),
    st.just(parse_schedule({"at": "2027-01-15T08:00:00Z"})),
    st.just(parse_schedule({"every": "1m", "anchor": "2026-01-01T00:00:00Z", "end": "2027-01-15T08:30:00Z"})),
)
POLICIES = st.builds(
    Policy,
    catchup=st.sampled_from(["none", "latest", "all"]),
    catchup_limit=st.sampled_from([1, 2, 3, 10, 100]),
    grace_ms=DURATIONS,
    deadline_ms=st.none() | DURATIONS,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    schedule, jitter = draw(SCHEDULES), draw(st.sampled_from([0, 1, 90_000]))
    earliest = T0 - draw(st.integers(0, 20 * M))
    owed = schedule.next_ms(earliest)
    if owed is None:
        owed = earliest
    now = owed + jitter + draw(st.one_of(st.integers(0, 2 * M), st.integers(0, 40 * M)))
    expires_on = draw(st.none() | st.integers(-40 * M, 40 * M).map(lambda far: now + far))
    left = draw(st.none() | st.integers(0, 5))
    return Case(schedule, draw(POLICIES), owed, now, jitter, draw(st.none() | DURATIONS), expires_on, left)


@settings(max_examples=examples(400))
@given(cases())
def test_every_slot_of_a_span_meets_the_fate_that_the_contract_gives_it(case: Case) -> None:
    slots = case.slots()
    fates = oracle(case, slots, case.now)
    found = case.decide()
    assert found.fires == fires_of(fates)
    for each in found.skips:
        covered = [slot for slot in slots if each.first <= slot <= each.last]
        assert {fates[slot] for slot in covered} == {each.reason}
        assert (each.count, each.first, each.last) == (len(covered), covered[0], covered[-1])
    skipped = [slot for slot in slots if fates[slot] not in {"fire", "finished"}]
    assert sum(each.count for each in found.skips) == len(skipped)
    assert len({each.first for each in found.skips}) == len(found.skips)
    finished = case.left is not None and len(found.fires) == case.left
    assert found.next_slot == (None if finished else case.schedule.next_ms(case.now - case.jitter))
    assert found.left == (None if case.left is None else case.left - len(found.fires))


@given(cases(), st.integers(1, 10 * M))
def test_a_decision_fires_the_same_as_long_as_it_holds(case: Case, later: int) -> None:
    found, slots = case.decide(), case.slots()
    last = case.now + later if found.good_until is None else min(case.now + later, found.good_until)
    assert last >= case.now
    assert fires_of(oracle(case, slots, last)) == found.fires


@given(cases())
def test_a_decision_is_made_again_no_sooner_than_it_must_but_for_the_grace_of_a_lone_slot(case: Case) -> None:
    found, slots = case.decide(), case.slots()
    if found.good_until is not None:
        changed = fires_of(oracle(case, slots, found.good_until + 1)) != found.fires
        assert changed or (case.policy.catchup == "latest" and len(found.fires) == 1)


@given(cases(), st.lists(st.integers(1, 5), min_size=1, max_size=10))
def test_deciding_in_steps_fires_and_skips_what_deciding_at_once_does(case: Case, sizes: list[int]) -> None:
    whole = case.decide()
    fires: list[int] = []
    skips: list[Skip] = []
    step = case.decide(at_most=0)
    assert step.fires == ()
    for size in itertools.cycle(sizes):
        fires += step.fires
        skips += step.skips
        if step.next_slot is None or step.next_slot + case.jitter > case.now:
            break
        assert step.next_slot > max([case.owed - 1, *fires])
        step = case.decide(owed=step.next_slot, left=step.left, at_most=size)
        assert len(step.fires) <= size
    assert (tuple(fires), tuple(skips)) == (whole.fires, whole.skips)
    assert (step.next_slot, step.left) == (whole.next_slot, whole.left)


@pytest.mark.parametrize("missed", [EXACT_COUNT - 1, EXACT_COUNT, EXACT_COUNT + 1])
@pytest.mark.parametrize("spec", [{"every": "1m", "anchor": "2026-01-01T00:00:00Z"}, {"cron": "* * * * *"}])
def test_skips_are_counted_exactly_up_to_ten_thousand(spec: dict[str, str], missed: int) -> None:
    found = after(missed + 0.5, parse_schedule(spec), Policy(catchup="none", grace_ms=30 * S))
    assert found.skips == (Skip("missed", min(missed, EXACT_COUNT), *minutes(0, missed - 1)),)
