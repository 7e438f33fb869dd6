"""Durations: what people write, as milliseconds, and back."""

import re
from decimal import localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.duration import LONGEST_MS, UNIT_MS, format_duration, parse_duration
from beatd.errors import ScheduleInvalid

MINUTE, HOUR, DAY, WEEK = 60_000, 3_600_000, 86_400_000, 604_800_000


@pytest.mark.parametrize(
    "written, ms",
    [
        ("90s", 90_000),
        ("1h30m", 90 * MINUTE),
        ("200ms", 200),
        ("1m200ms", MINUTE + 200),
        ("2d", 2 * DAY),
        ("1w", WEEK),
        ("1.5h", 90 * MINUTE),
        ("0.5s", 500),
        ("0s", 0),
        (" 30s ", 30_000),
        ("PT15M", 15 * MINUTE),
        ("P1DT12H", 36 * HOUR),
        ("PT0.2S", 200),
        ("P2W", 2 * WEEK),
        (30, 30_000),
        (0, 0),
        (0.25, 250),
        (1.5, 1_500),
        (1e-3, 1),
        (LONGEST_MS // 1000, LONGEST_MS),
    ],
)
def test_a_duration_is_read_as_milliseconds(written: object, ms: int) -> None:
    assert parse_duration(written) == ms


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            " ",
            "s",
            "h1",
            "5 s",
            "1h 30m",
            "-5s",
            "+5s",
            "1.s",
            ".5s",
            "1e3s",
            "1,5s",
            "1y",
            "1M",
            "5S",
            "5min",
        ),
        *("P", "PT", "P1DT", "P1Y", "P1M", "PT5", "-PT5M", "PT1S1M", "pt5m", "٣s", "5s\n5s", "9" * 70 + "s"),
        *(True, False, None, b"5s", [], {}, (5,), 1j, float("nan"), float("inf"), float("-inf")),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(written: object) -> None:
    with pytest.raises(ScheduleInvalid, match="is not a duration: accepted are a number of seconds, or digits"):
        parse_duration(written)


@pytest.mark.parametrize("written, seconds", [("30", "30s"), (" 30 ", "30s"), ("1.5", "1.5s")])
def test_digits_in_a_text_are_refused_with_the_unit_that_was_perhaps_meant(written: str, seconds: str) -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_duration(written)
    assert caught.value.hint == f"write {seconds} if seconds are meant"
    assert caught.value.message.startswith(f"'{written.strip()}' has no unit: accepted are digits with a unit")


@pytest.mark.parametrize("written, meant", [
    ("5 sec", "5s"), ("5 s", "5s"), ("5S", "5s"), ("5min", "5m"), ("1h 30m", "1h30m"), ("1 Hour 30 Minutes", "1h30m"),
    ("1.5 days", "1.5d"), ("200 millis", "200ms"), ("2 weeks", "2w"),
])  # fmt: skip
def test_the_nearest_spelling_is_proposed(written: str, meant: str) -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_duration(written)
    assert caught.value.hint == f"write {meant}"
    assert parse_duration(meant) > 0


@pytest.mark.parametrize(
    "written", ["٣", "²", "x", "1M", "5 months", "5 parsecs", "sec 5", "5 s!", "5 ٣s", "1,5s", "9" * 70 + " sec"]
)
def test_nothing_is_proposed_where_nobody_knows_what_is_meant(written: str) -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_duration(written)
    assert caught.value.hint is None


@pytest.mark.parametrize(
    "written", ["0.5ms", "1.0005s", 0.0001, 1e-9, 0.1 + 0.2, "1.00000000000000000000000000000000000001s"]
)
def test_a_fraction_of_a_millisecond_is_refused(written: object) -> None:
    with pytest.raises(ScheduleInvalid, match="finer than a millisecond"):
        parse_duration(written)


@pytest.mark.parametrize(
    "written",
    [
        *(-1, -0.5, LONGEST_MS // 1000 + 1, 1e300, "5229w"),
        pytest.param(10**5_000, id="more digits than Python prints"),
        pytest.param(-(10**5_000), id="and below nothing"),
    ],
)
def test_a_duration_lies_between_nothing_and_a_hundred_years(written: object) -> None:
    with pytest.raises(ScheduleInvalid, match="out of range: a duration lies between 0 and 100 years"):
        parse_duration(written)


def test_the_message_about_a_long_text_is_short() -> None:
    with pytest.raises(ScheduleInvalid) as caught:
        parse_duration("x" * 100_000)
    assert len(caught.value.message) < 400


def test_a_duration_does_not_depend_on_the_precision_of_decimals_around_it() -> None:
    with localcontext(prec=2):
        assert parse_duration("123456789s") == 123_456_789_000


@pytest.mark.parametrize(
    "ms, text",
    [(0, "0s"), (1, "1ms"), (5_400_000, "1h30m"), (90_061_001, "1d1h1m1s1ms"), (WEEK, "1w"), (LONGEST_MS, "5228w4d")],
)
def test_a_duration_is_written_in_whole_units_from_the_largest_down(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@given(st.integers(0, LONGEST_MS))
def test_what_is_written_is_read_back(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNIT_MS))), min_size=1, max_size=6))
def test_parts_add_up_in_any_order(parts: list[tuple[int, str]]) -> None:
    total = sum(n * UNIT_MS[unit] for n, unit in parts)
    text = "".join(f"{n}{unit}" for n, unit in parts)
    if total <= LONGEST_MS and len(text) <= 64:
        assert parse_duration(text) == total


@given(st.integers(0, LONGEST_MS // 1000))
def test_a_bare_number_is_seconds(seconds: int) -> None:
    assert parse_duration(seconds) == parse_duration(f"{seconds}s") == parse_duration(float(seconds))


@given(st.one_of(st.text(), st.from_regex(re.compile(r"P?T?[0-9.]*[a-zA-Z]*"), fullmatch=True), st.floats()))
def test_any_other_value_is_read_or_refused_but_never_worse(value: object) -> None:
    try:
        ms = parse_duration(value)
    except ScheduleInvalid:
        return
    assert 0 <= ms <= LONGEST_MS
