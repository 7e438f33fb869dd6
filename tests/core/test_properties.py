"""What holds for every schedule, and that nothing from outside raises anything but ScheduleInvalid or takes long."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, takewhile
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatd.core.entry import entry_from_spec
from beatd.core.instant import FIRST_MS, LAST_MS
from beatd.core.schedules import Schedule, parse_schedule
from beatd.core.schedules.cron_text import parse_cron
from beatd.core.schedules.shifts import shifts
from beatd.core.zone import use_zone_data, zone_named
from beatd.errors import EntryInvalid, ScheduleInvalid
from tests.core.expressions import ZONES, expression
from tests.core.test_rrule import random_rule
from tests.support.examples import examples

quick = settings(max_examples=examples(250), deadline=None, derandomize=True)
seeds = st.integers(0, 2**32)


def some_spec(rng: Random) -> dict[str, Any]:
    spec: dict[str, Any]
    kind = rng.random()
    if kind < 0.6:
        spec = {"cron": expression(rng, seconds=rng.random() < 0.2, dates=rng.choice([0.4, 0.9]))}
        if rng.random() < 0.2:
            spec["day"] = "and"
    elif kind < 0.8:
        spec = {"every": rng.choice(["1s", "90s", "1h", "7m", "36h", "1.001s", "1w"])}
    elif kind < 0.85:
        spec = {"at": f"2026-0{rng.randint(1, 9)}-29T0{rng.randint(0, 9)}:30"}
        spec["at"] = spec["at"].replace("02-29", "02-28")
    else:
        spec = {"rrule": f"DTSTART:20180302T0230{rng.randint(10, 59)}\nRRULE:{random_rule(rng)}"}
    spec["timezone"] = rng.choice(ZONES)
    if rng.random() < 0.3:
        spec["start"] = "2017-10-15T00:30"
    if rng.random() < 0.3:
        spec["end"] = "2031-03-30T02:30"
    return spec


def some_schedule(rng: Random) -> Schedule | None:
    try:
        return parse_schedule(some_spec(rng), name="n")
    except ScheduleInvalid as error:
        assert "never fires" in error.message or "picks from" in error.message, error.message
        return None


def some_moment(rng: Random, schedule: Schedule) -> int:
    """An instant in UTC ms, most often near a shift of the zone's clock."""
    low, high = 1_500_000_000, 1_900_000_000
    near = [shift.instant for shift in shifts(schedule.zone, low, high)]
    if near and rng.random() < 0.7:
        return (rng.choice(near) + rng.randint(-90_000, 90_000)) * 1_000 + rng.choice([0, 0, 1, 999])
    return rng.randint(low * 1_000, high * 1_000)


@quick
@given(seeds)
def test_next_and_last_agree(seed: int) -> None:
    rng = Random(seed)
    schedule = some_schedule(rng)
    if schedule is None:
        return
    slot = after = some_moment(rng, schedule)
    before = schedule.last_ms(after)
    assert before is None or (before <= after and schedule.last_ms(before) == before)
    for _ in range(5):
        found = schedule.next_ms(slot)
        if found is None:
            assert schedule.last_ms(LAST_MS) == (slot if slot != after else before)
            return
        assert found > slot
        assert schedule.next_ms(found - 1) == found
        assert schedule.last_ms(found) == found
        assert schedule.last_ms(found - 1) == (slot if slot != after else before)
        assert schedule.next_ms(slot + (found - slot) // 2) == found or found - slot == 1
        slot = found


@quick
@given(seeds)
def test_what_was_asked_before_does_not_change_an_answer(seed: int) -> None:
    """A rule remembers the slots it found last: in any order of questions, a fresh one answers the same."""
    rng = Random(seed)
    schedule = some_schedule(rng)
    if schedule is None:
        return
    asked = [some_moment(rng, schedule)]
    for _ in range(5):
        instant = rng.choice(asked) + rng.choice([-1_000, -1, 0, 0, 1, 1_000])
        found = rng.choice([schedule.next_ms, schedule.last_ms])(instant)
        asked += [] if found is None else [found]
        use_zone_data(None)  # forgets what was compiled
        fresh = parse_schedule(schedule.to_spec(), name="n")
        assert schedule.next_ms(instant) == fresh.next_ms(instant)
        assert schedule.last_ms(instant) == fresh.last_ms(instant)


@quick
@given(seeds)
def test_count_and_between_agree_with_next(seed: int) -> None:
    rng = Random(seed)
    schedule = some_schedule(rng)
    if schedule is None:
        return
    after = some_moment(rng, schedule)
    slots: list[int] = []
    slot = schedule.next_ms(after)
    while slot is not None and len(slots) < 9:
        slots.append(slot)
        slot = schedule.next_ms(slot)
    until = slots[-1] if slots else after + 1
    assert schedule.count_ms(after, until, 100) == len(slots)
    assert schedule.count_ms(after, until, 5) == min(5, len(slots))
    low, high = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms) for ms in (after, until))
    moments = list(schedule.between(low, high))
    assert [round((m - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)) for m in moments] == slots
    assert schedule.next_after(low.astimezone(timezone(timedelta(hours=5)))) == (moments[0] if moments else None)


@quick
@given(seeds)
def test_counting_equals_walking(seed: int) -> None:
    rng = Random(seed)
    schedule = some_schedule(rng)
    if schedule is None:
        return
    after = some_moment(rng, schedule)
    for days in (1, 40, 4_000):
        until, at_most = after + days * rng.randint(1, 86_400_000), rng.choice([1, 2, 60, 500])
        walked = list(islice(takewhile(lambda slot: slot <= until, walk(schedule, after)), at_most))  # noqa: B023
        assert schedule.count_ms(after, until, at_most) == len(walked)


def walk(schedule: Schedule, slot: int | None) -> Iterator[int]:
    while slot is not None and (slot := schedule.next_ms(slot)) is not None:
        yield slot


@quick
@given(seeds)
def test_a_spec_reads_back_as_an_equal_schedule(seed: int) -> None:
    rng = Random(seed)
    schedule = some_schedule(rng)
    if schedule is None:
        return
    again = parse_schedule(schedule.to_spec(), name="n")
    assert again == schedule
    assert again.to_spec() == schedule.to_spec()
    assert again.words() == schedule.words()
    assert again.warnings == schedule.warnings
    after = some_moment(rng, schedule)
    assert again.next_ms(after) == schedule.next_ms(after)
    entry = entry_from_spec("n", {"task": "t", **schedule.to_spec()})
    assert entry.fingerprint == entry_from_spec("n", {"task": "t", **again.to_spec()}).fingerprint


@quick
@given(seeds)
def test_parse_print_parse_is_the_same(seed: int) -> None:
    rng = Random(seed)
    text = expression(rng, seconds=rng.random() < 0.3, dates=0.3)
    messy = "".join(rng.choice([c, c.upper()]) for c in text).replace(" ", rng.choice(["  ", "\t", " \t "]))
    first = parse_cron(messy)
    assert parse_cron(first.text) == first
    assert first.parts == parse_cron(text).parts


CRON_CHARACTERS = "0123456789*,-/?LWH#()@ \tmonjanrR+"
garbage = st.one_of(
    st.text(max_size=1_100),
    st.text(CRON_CHARACTERS, max_size=60),
    st.text(CRON_CHARACTERS, min_size=900, max_size=1_024),
    st.lists(st.text("0123456789*,-/?LWH#()monfri", max_size=9), min_size=5, max_size=6).map(" ".join),
    st.sampled_from(["FREQ=", "DTSTART:2026", "2026-01-01T", "1h", "PT", "@every 1h", "UTC+3"]),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYSETPOS", "COUNT", "UNTIL", "WKST", "BYHOUR"]
            ),
            st.sampled_from(["DAILY", "YEARLY", "WEEKLY", "MONTHLY", "1", "-1", "31", "MO", "1MO", "20300101T000000"]),
        ),
        max_size=7,
    ).map(lambda pairs: ";".join(f"{key}={value}" for key, value in pairs)),
)
tree = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(10**400), 10**400),
        st.floats(),
        st.datetimes(),
        st.datetimes(timezones=st.just(UTC)),
        st.binary(max_size=5),
        garbage,
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["cron", "every", "at", "rrule", "timezone", "day", "hash_id", "start", "end", "anchor", "fast", "crom"]
specs = st.one_of(
    st.dictionaries(st.sampled_from(KEYS), tree, max_size=5),
    st.builds(lambda key, value, more: {**more, key: value}, st.sampled_from(KEYS[:4]), garbage, st.just({})),
    st.builds(lambda key, value: {"cron": "0 2 * * *", key: value}, st.sampled_from(KEYS[4:]), tree),
    st.builds(lambda key, value: {"every": "1m", key: value}, st.sampled_from(KEYS[4:]), tree),
    st.builds(lambda key, value: {"rrule": "FREQ=DAILY", key: value}, st.sampled_from(KEYS[4:]), tree),
    tree,
)


def use(spec: Any) -> None:
    """Reads a spec and, where it is one, uses the schedule."""
    try:
        schedule = parse_schedule(spec, name="n")
    except ScheduleInvalid as error:
        assert len(error.message) < 1_000
        return
    for moment in (FIRST_MS - 1, 0, 1_800_000_000_000, LAST_MS):
        slot = schedule.next_ms(moment)
        assert slot is None or schedule.last_ms(slot) == slot
    assert schedule.words()
    assert all(schedule.warnings)


def take_time(spec: Any) -> float:
    began = time.perf_counter()
    use(spec)
    return time.perf_counter() - began


@settings(max_examples=examples(600), deadline=None, derandomize=True)
@given(specs)
def test_anything_else_is_refused_as_an_invalid_schedule_and_soon(spec: Any) -> None:
    assert take_time(spec) < 5


@pytest.mark.nightly
@settings(max_examples=30_000, deadline=None)
@given(specs)
def test_much_more_garbage_is_refused_too(spec: Any) -> None:
    assert take_time(spec) < 5


@pytest.mark.nightly
def test_next_and_last_agree_for_many_more() -> None:
    for seed in range(2**33, 2**33 + 8_000):
        test_next_and_last_agree.hypothesis.inner_test(seed)  # type: ignore[attr-defined]


@settings(max_examples=examples(100), deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from([*KEYS, "task", "args"]), tree, max_size=5))
def test_an_entry_made_of_garbage_is_an_invalid_entry(spec: dict[str, Any]) -> None:
    try:
        entry_from_spec("n", {"task": "t", **spec})
    except EntryInvalid as error:
        assert error.message


def test_expressions_that_look_expensive_are_not() -> None:
    for text in ("59 23 31 12 7#5", "0 0 29 2 1#5", ",".join(["*/59"] * 200) + " * * * *", "59 59 23 29 2 */7"):
        for zone in ("Africa/Casablanca", "America/New_York"):
            assert take_time({"cron": text, "timezone": zone}) < 5
    assert zone_named("UTC").is_utc
