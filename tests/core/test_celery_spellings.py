"""Celery's spellings, with Celery itself as the judge of what a crontab is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.schedules import ParseException, crontab
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beatd.core.celery_spellings import SpellingInvalid, from_crontab, from_schedule, relative_hint
from beatd.core.schedules import parse_schedule
from beatd.errors import ScheduleInvalid
from tests.support.examples import examples

NAMES = {"day_of_week": ["sun", "monday", "Tue"], "month_of_year": ["jan", "December", "MAR"]}
LIMITS = {"minute": (0, 59), "hour": (0, 23), "day_of_month": (1, 31), "month_of_year": (1, 12), "day_of_week": (0, 6)}


@st.composite
def fields(draw: st.DrawFn, name: str) -> Any:
    """What a field may hold, and now and then what it may not."""
    low, high = LIMITS[name]
    number = st.integers(max(0, low - 1), high + 1)
    value = st.one_of(number.map(str), st.sampled_from(NAMES.get(name, ["1"])))
    step = st.integers(0, 9)
    item = st.one_of(
        st.just("*"),
        step.map(lambda n: f"*/{n}"),
        value,
        st.tuples(value, value).map("-".join),
        st.tuples(value, value, step).map(lambda t: f"{t[0]}-{t[1]}/{t[2]}"),
        st.tuples(number, step).map(lambda t: f"{t[0]}/{t[1]}"),  # Celery reads sun/2 as sun
        st.sampled_from(["", "L", "?", "5#2", "15W", "H"]),
    )
    text = st.lists(item, min_size=1, max_size=3).map(",".join)
    return draw(st.one_of(text, number, st.lists(number, max_size=3)))


CRONTABS = st.fixed_dictionaries({}, optional={name: fields(name) for name in LIMITS})


@settings(max_examples=examples(60))
@given(CRONTABS)
@example({"minute": "0", "hour": "22-4/2", "day_of_week": "fri-mon"})
@example({"day_of_month": "1-7", "day_of_week": "mon"})
@example({"minute": "*,5"})
@example({"minute": "*,*/0"})
def test_a_mapping_means_what_celery_means_by_it(spec: dict[str, Any]) -> None:
    try:
        theirs = crontab(**spec)
    except (ParseException, ValueError, TypeError):
        theirs = None
    try:
        found = from_crontab(spec)
        ours = parse_schedule(found, name="x")
    except (SpellingInvalid, ScheduleInvalid):
        # Stricter than Celery in nothing that these fields can say, but for empty lists.
        assert theirs is None or [] in spec.values()
        return
    assert theirs is not None
    assert found["day"] == "and"
    days = [datetime(2025, 6, 27, tzinfo=UTC) + timedelta(days=n) for n in range(9)]
    expected = [
        day.replace(hour=hour, minute=minute)
        for day in days
        if day.day in theirs.day_of_month and day.month in theirs.month_of_year
        if day.isoweekday() % 7 in theirs.day_of_week
        for hour in sorted(theirs.hour)
        for minute in sorted(theirs.minute)
    ]
    before = timedelta(seconds=1)
    assert list(ours.between(days[0] - before, days[-1] + timedelta(days=1) - before)) == expected


@pytest.mark.parametrize(
    "value, keys",
    [
        (30, {"every": 30}),
        (30.0, {"every": 30.0}),
        ("*/5 * * * *", {"cron": "*/5 * * * *"}),
        ("@daily", {"cron": "@daily"}),
        ("@every 1h30m", {"every": "1h30m"}),
        ({"crontab": {}}, {"cron": "* * * * *", "day": "and"}),
        ({"crontab": {"minute": 0, "hour": [1, 2]}}, {"cron": "0 1,2 * * *", "day": "and"}),
        ({"crontab": {"minute": "0, 30", "day_of_week": "mon"}}, {"cron": "0,30 * * * mon", "day": "and"}),
    ],
)
def test_a_schedule_is_read_as_celery_reads_it(value: object, keys: dict[str, Any]) -> None:
    assert from_schedule(value) == keys


@pytest.mark.parametrize("value", [True, None, [30], {}, {"solar": "dawn"}, {"crontab": 1}, {"crontab": {}, "x": 1}])
def test_anything_else_is_refused_with_what_is_accepted(value: object) -> None:
    with pytest.raises(SpellingInvalid, match="schedule: found"):
        from_schedule(value)


def test_every_wrong_field_is_told_with_the_way_to_it() -> None:
    with pytest.raises(SpellingInvalid) as caught:
        from_crontab(
            {"minute": 60, "hour": True, "second": 1, "day_of_week": [1, "x"]}, "schedule.crontab", ("crontab",)
        )
    errors = [caught.value, *caught.value.others]
    assert [error.path for error in errors] == [
        ("crontab", "second"),
        ("crontab", "minute"),
        ("crontab", "hour"),
        ("crontab", "day_of_week"),
    ]


@pytest.mark.parametrize(
    "every, cron",
    [
        ("1d", "0 0 * * *"),
        ("1h", "0 * * * *"),
        ("2h", "0 */2 * * *"),
        ("15m", "*/15 * * * *"),
        (60, "* * * * *"),
        ("30s", "*/30 * * * * *"),
        (1, "* * * * * *"),
    ],
)
def test_a_relative_interval_is_told_its_cron(every: object, cron: str) -> None:
    assert relative_hint(every) == f'write cron: "{cron}"'
    parse_schedule({"cron": cron})


@pytest.mark.parametrize("every", ["7m", "90m", "2d", "nonsense", None])
def test_a_relative_interval_without_a_cron_is_told_so(every: object) -> None:
    assert "anchor" in relative_hint(every)
