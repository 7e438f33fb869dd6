"""``at``: one slot, and the reading of instants."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from beatd.core.schedules import Schedule, parse_schedule
from beatd.errors import ScheduleInvalid


def at(value: object, zone: str = "UTC") -> Schedule:
    return parse_schedule({"at": value, "timezone": zone})


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    "text,zone,instant",
    [
        ("2026-12-01T09:00", "Europe/Paris", "2026-12-01T08:00"),
        ("2026-12-01 09:00:30", "Europe/Paris", "2026-12-01T08:00:30"),
        ("2026-12-01T09:00:30.25", "UTC", "2026-12-01T09:00:30.250"),
        ("2026-12-01T09:00Z", "Europe/Paris", "2026-12-01T09:00"),
        ("2026-12-01t09:00:00z", "UTC", "2026-12-01T09:00"),
        ("2026-12-01T09:00-05:30", "Europe/Paris", "2026-12-01T14:30"),
        ("2026-03-08T02:30", "America/New_York", "2026-03-08T07:00"),  # gap: its end
        ("2026-03-08T02:59:59.999", "America/New_York", "2026-03-08T07:00"),
        ("2026-11-01T01:30:00.5", "America/New_York", "2026-11-01T05:30:00.500"),  # fold: the first pass
    ],
)
def test_wall_time_without_an_offset_and_instants_with_one(text: str, zone: str, instant: str) -> None:
    schedule, slot = at(text, zone), utc(instant)
    assert schedule.next_ms(slot - 1) == slot
    assert schedule.next_ms(slot) is None
    assert schedule.last_ms(slot) == slot
    assert schedule.last_ms(slot - 1) is None
    assert schedule.count_ms(slot - 1, slot, 5) == 1
    assert parse_schedule(schedule.to_spec()) == schedule


def test_wall_time_stays_wall_time_in_the_spec() -> None:
    assert at("2026-12-01 09:00", "Europe/Paris").to_spec()["at"] == "2026-12-01T09:00:00"
    assert at("2026-12-01T09:00+01:00", "Europe/Paris").to_spec()["at"] == "2026-12-01T08:00:00Z"


def test_an_aware_datetime_is_an_instant() -> None:
    moment = datetime(2026, 12, 1, 9, tzinfo=timezone(timedelta(hours=1)))
    assert at(moment).next_after(moment - timedelta(seconds=1)) == moment


def test_a_naive_datetime_is_refused() -> None:
    naive = datetime(2026, 12, 1, 9)
    with pytest.raises(ScheduleInvalid, match="at: found a naive datetime"):
        at(naive)
    with pytest.raises(ScheduleInvalid, match="found a naive datetime"):
        at("2026-12-01T09:00").next_after(naive)
    with pytest.raises(ScheduleInvalid, match="found a naive datetime"):
        at("2026-12-01T09:00").between(naive, naive)
    with pytest.raises(ScheduleInvalid, match="an aware datetime is accepted"):
        at("2026-12-01T09:00").next_after("2026-12-01")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2026-12-01",
            "09:00",
            "tomorrow",
            "",
            "2026-13-01T00:00",
            "2026-02-29T00:00",
            "2026-12-01T24:00",
            "x" * 5_000,
        ),
        *(
            "2026-12-01T09:00:60",
            "2026-12-01T09:00:00.1234",
            "2026-12-01T09:00+25:00",
            "0000-01-01T00:00",
            "20261201T0900",
        ),
        *("2026-W01-1T09:00", "10000-01-01T00:00", "0001-01-01T00:00+10:00", "9999-12-31T23:00-10:00", "1767225600"),
        *(1_767_225_600, 1.5, None, True, [], {}, datetime(2026, 1, 1).date(), "2026-12-01T09:00\u0661"),
    ],
)
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(ScheduleInvalid, match=r"at: |outside the years"):
        at(value)


def test_wall_times_outside_the_calendar_of_utc_are_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="outside the years"):
        at("9999-12-31T23:00", "America/New_York")
    with pytest.raises(ScheduleInvalid, match="outside the years"):
        at("0001-01-01T00:00", "Asia/Tokyo")


def test_bounds_hold_for_one_slot_too() -> None:
    spec = {"at": "2026-12-01T09:00Z", "end": "2026-12-01T08:59Z"}
    assert parse_schedule(spec).next_ms(0) is None
    assert "no slot lies between start and end" in parse_schedule(spec).warnings
    assert parse_schedule({**spec, "end": "2026-12-01T09:00Z", "start": "2026-12-01T09:00Z"}).next_ms(0) is not None


def test_once_in_words() -> None:
    assert at("2026-12-01T09:00").words() == "once, at 2026-12-01 09:00:00"
