"""Recurrence rules: dateutil's meaning, found without its walk, in the zone's wall time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from dateutil.rrule import rrulestr

from beatd.core.instant import LAST_MS
from beatd.core.schedules import Schedule, parse_schedule
from beatd.errors import ScheduleInvalid


def rule(text: str, zone: str = "UTC", **more: Any) -> Schedule:
    return parse_schedule({"rrule": text, "timezone": zone, **more})


def days(schedule: Schedule, after: str, count: int) -> list[str]:
    slot, out = datetime.fromisoformat(after).replace(tzinfo=UTC), []
    for _ in range(count):
        found = schedule.next_after(slot)
        if found is None:
            break
        slot = found
        out.append(f"{slot:%Y-%m-%d %H:%M}")
    return out


def numbers(rng: Random, low: int, high: int, most: int, negative: bool = False) -> str:
    found = {
        rng.randint(low, high) * (-1 if negative and rng.random() < 0.3 else 1) for _ in range(rng.randint(1, most))
    }
    return ",".join(map(str, sorted(found)))


def random_rule(rng: Random) -> str:
    frequency = rng.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    parts = [f"FREQ={frequency}"]
    chances: dict[str, tuple[float, Callable[[], object]]] = {
        "INTERVAL": (0.5, lambda: rng.choice([1, 2, 3, 5, 7, 12])),
        "WKST": (0.3, lambda: rng.choice(["MO", "SU", "WE"])),
        "BYMONTH": (0.4, lambda: numbers(rng, 1, 12, 4)),
        "BYWEEKNO": (0.25 if frequency == "YEARLY" else 0, lambda: numbers(rng, 1, 51, 3)),
        "BYYEARDAY": (0.2 if frequency == "YEARLY" else 0, lambda: numbers(rng, 1, 366, 4, negative=True)),
        "BYMONTHDAY": (0.35 if frequency != "WEEKLY" else 0, lambda: numbers(rng, 1, 31, 5, negative=True)),
        "BYDAY": (0.5, lambda: random_days(rng, frequency in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in str(parts))),
        "BYHOUR": (0.5, lambda: numbers(rng, 0, 23, 2)),
        "BYSETPOS": (0.2 if frequency != "WEEKLY" else 0, lambda: numbers(rng, 1, 4, 2, negative=True)),
        "COUNT": (0.2, lambda: rng.randint(1, 30)),
    }
    for key, (chance, value) in chances.items():
        if rng.random() < chance:
            parts.append(f"{key}={value()}")
    return ";".join(parts)


def random_days(rng: Random, numbered: bool) -> str:
    n = rng.choice(["", "", "1", "2", "-1", "5"]) if numbered else ""
    return ",".join(sorted({f"{n}{rng.choice(['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])}" for _ in range(2)}))


def compare(rng: Random) -> bool:
    """Slots of six years equal dateutil's own walk, forwards and backwards. False when the rule was refused."""
    start = datetime(2019, 1, 1) + timedelta(minutes=rng.randrange(60 * 24 * 365 * 6))
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{random_rule(rng)}"
    low = datetime(2023, 5, 1) + timedelta(hours=rng.randrange(20_000))
    high = low + timedelta(days=2_200)
    try:
        schedule = rule(text)
    except ScheduleInvalid as error:
        assert "never fires" in error.message or "picks from" in error.message, (text, error.message)
        if "FREQ=YEARLY" in text and "never fires" in error.message:  # dateutil walks to year 9999, slowly by days
            assert not rrulestr(text).between(start, high, inc=True), text
        return False
    wanted = [m.replace(tzinfo=UTC) for m in rrulestr(text).between(low, high) if m > low] if low < high else []
    aware = low.replace(tzinfo=UTC), (high - timedelta(seconds=1)).replace(tzinfo=UTC)
    assert list(schedule.between(*aware)) == wanted, text
    back, slot = [], schedule.last_ms(int(aware[1].timestamp()) * 1_000)
    while slot is not None and slot > int(aware[0].timestamp()) * 1_000:
        back.append(datetime.fromtimestamp(slot / 1_000, UTC))
        slot = schedule.last_ms(slot - 1)
    assert back[::-1] == wanted, text
    return True


def test_slots_equal_the_walk_of_dateutil() -> None:
    compared = sum(compare(Random(seed)) for seed in range(120))
    assert compared > 70


@pytest.mark.nightly
def test_the_slots_of_thousands_equal_the_walk_of_dateutil() -> None:
    for seed in range(10_000, 14_000):
        compare(Random(seed))


@pytest.mark.parametrize("week", [53, 52, 51, 1, 2, -1, -2, -52, -53])
def test_weeks_are_those_of_the_calendar_also_around_new_year(week: int) -> None:
    """Not compared with dateutil, which takes 1 January 2011 for a day of a week 53."""
    start = datetime(1990, 1, 1, tzinfo=UTC)
    wanted = []
    for moment in (start + timedelta(days=n) for n in range(1, 140 * 365)):
        year, number, _ = moment.isocalendar()
        if week in (number, number - datetime(year, 12, 28).isocalendar()[1] - 1):
            wanted.append(moment)
    schedule = rule(f"FREQ=YEARLY;BYWEEKNO={week}", start="1990-01-01T00:00")
    assert list(schedule.between(start, start + timedelta(days=140 * 365 - 1))) == wanted


def test_weeks_may_begin_on_another_day() -> None:
    sundays = rule("FREQ=YEARLY;WKST=SU;BYWEEKNO=1;BYDAY=SU")
    assert days(sundays, "2026-06-01T00:00", 3) == ["2027-01-03 00:00", "2028-01-02 00:00", "2028-12-31 00:00"]


def test_a_position_in_the_week_counts_through_new_year() -> None:
    for position, weekday in ((1, 0), (2, 2), (-1, 4)):
        schedule = rule(f"FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS={position}")
        slots = list(schedule.between(datetime(2001, 1, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)))
        assert {slot.weekday() for slot in slots} == {weekday}
        assert len(slots) in (2_086, 2_087)


def test_weeks_and_days_of_the_year_must_both_match() -> None:
    both = rule("FREQ=YEARLY;BYWEEKNO=1,20;BYYEARDAY=1,2,3,-1,-2")
    assert days(both, "2026-06-01T00:00", 3) == ["2028-01-03 00:00", "2029-01-01 00:00", "2029-01-02 00:00"]


def test_wall_time_follows_the_zone_and_its_shifts() -> None:
    schedule = rule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "America/New_York")
    assert days(schedule, "2026-03-07T00:00", 3) == ["2026-03-07 07:30", "2026-03-08 07:00", "2026-03-09 06:30"]
    assert days(schedule, "2026-10-31T12:00", 2) == ["2026-11-01 07:30", "2026-11-02 07:30"]
    folded = rule("FREQ=DAILY;BYHOUR=1;BYMINUTE=30", "America/New_York")
    assert days(folded, "2026-10-31T12:00", 2) == ["2026-11-01 05:30", "2026-11-02 06:30"]
    assert "skips 02:00 to 03:00" in schedule.warnings[0]
    assert schedule.slot_remark(1_772_953_200_000) == "02:30 is skipped by the clock: runs at 03:00"


def test_the_start_comes_from_the_text_then_from_start_then_from_2000() -> None:
    assert days(rule("FREQ=DAILY"), "2026-01-01T00:00", 1) == ["2026-01-02 00:00"]
    assert days(rule("FREQ=DAILY", start="2026-06-01T09:15"), "2026-01-01T00:00", 1) == ["2026-06-01 09:15"]
    text = "DTSTART:20260101T101000\nRRULE:FREQ=DAILY"
    assert days(rule(text, start="2026-06-01T09:15"), "2026-01-01T00:00", 1) == ["2026-06-01 10:10"]
    assert days(rule("FREQ=DAILY", "Asia/Tokyo"), "1990-01-01T00:00", 1) == ["1999-12-31 15:00"]


def test_a_start_in_utc_is_read_on_the_zones_clock() -> None:
    schedule = rule("DTSTART:20260701T070000Z\nRRULE:FREQ=WEEKLY;INTERVAL=2", "Europe/Paris")
    assert days(schedule, "2026-10-15T00:00", 2) == ["2026-10-21 07:00", "2026-11-04 08:00"]


def test_until_is_inclusive_and_wall_time_unless_it_says_z() -> None:
    assert days(rule("FREQ=DAILY;UNTIL=20260103T000000"), "2026-01-01T12:00", 5) == [
        "2026-01-02 00:00",
        "2026-01-03 00:00",
    ]
    wall = rule("FREQ=DAILY;BYHOUR=9;UNTIL=20260103T090000", "Europe/Paris")
    assert days(wall, "2026-01-02T12:00", 5) == ["2026-01-03 08:00"]
    assert wall.last_ms(LAST_MS) == wall.next_ms(1_767_355_200_000)
    instant = rule("FREQ=DAILY;BYHOUR=9;UNTIL=20260103T075959Z", "Europe/Paris")
    assert days(instant, "2026-01-02T12:00", 5) == []


def test_count_ends_the_rule() -> None:
    schedule = rule("FREQ=DAILY;COUNT=3", start="2026-01-01T09:00")
    assert days(schedule, "2025-01-01T00:00", 9) == ["2026-01-01 09:00", "2026-01-02 09:00", "2026-01-03 09:00"]
    assert schedule.count_ms(0, LAST_MS, 100) == 3


@pytest.mark.parametrize(
    "text,found,hint",
    [
        ("", "one RRULE", ""),
        ("FREQ=HOURLY", "FREQ=HOURLY", "every: 1h"),
        ("FREQ=SECONDLY;INTERVAL=5", "FREQ=SECONDLY", "every: 1s"),
        ("BYDAY=MO", "FREQ=", ""),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ twice", ""),
        ("FREQ=DAILY;BYEASTER=0", "BYEASTER", ""),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL", ""),
        ("FREQ=DAILY;INTERVAL=2", "INTERVAL counts from a start", "DTSTART"),
        ("FREQ=DAILY;COUNT=2", "COUNT counts from a start", "DTSTART"),
        ("FREQ=DAILY;COUNT=10001", "COUNT", ""),
        ("FREQ=DAILY;UNTIL=20261231", "UNTIL", "a date alone"),
        ("FREQ=DAILY;UNTIL=20261331T000000", "UNTIL", ""),
        ("FREQ=DAILY;UNTIL=19991231T000000", "never fires", ""),
        ("FREQ=DAILY;UNTIL=20301231T000000;COUNT=5", "both COUNT and UNTIL", ""),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never fires", ""),
        ("FREQ=MONTHLY;BYMONTH=4,6;BYMONTHDAY=31", "never fires", ""),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never fires", ""),
        ("DTSTART:20260105T000000\nRRULE:FREQ=DAILY;INTERVAL=7;BYDAY=TU", "never fires: 7 days on it is", ""),
        ("DTSTART:20250105T000000\nRRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "never fires", ""),
        ("DTSTART:20260105T000000\nRRULE:FREQ=MONTHLY;INTERVAL=12;BYMONTH=2", "never fires", ""),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY", ""),
        ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY", ""),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY", ""),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "BYDAY", ""),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY goes with", ""),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY goes with", ""),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR", ""),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR", ""),
        ("FREQ=DAILY;BYSECOND=60", "BYSECOND", ""),
        ("FREQ=DAILY;BYMONTHDAY=", "BYMONTHDAY", ""),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS", ""),
        ("FREQ=DAILY;BYMINUTE=" + ",".join(map(str, range(60))) + ";BYHOUR=1,2", "120 times a day", "cron"),
        ("DTSTART:2026\nRRULE:FREQ=DAILY", "DTSTART", ""),
        ("DTSTART;TZID=Europe/Paris:20260101T000000\nRRULE:FREQ=DAILY", "TZID=Europe/Paris", "timezone: Europe/Paris"),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "one RRULE", ""),
        ("RRULE:FREQ=DAILY\nEXDATE:20260101T000000", "one RRULE", ""),
        ("FREQ=DAILY\u0661", "ASCII", ""),
        ("FREQ=DAILY;" * 200, "2200 characters", ""),
    ],
)
def test_what_is_refused_says_what_was_found(text: str, found: str, hint: str) -> None:
    began = time.monotonic()
    with pytest.raises(ScheduleInvalid) as refused:
        rule(text)
    assert found in refused.value.message
    assert hint in (refused.value.hint or "")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", [None, 5, ["FREQ=DAILY"], {"freq": "daily"}])
def test_a_rule_is_a_text(text: Any) -> None:
    with pytest.raises(ScheduleInvalid, match="rrule: found"):
        rule(text)


def test_the_canonical_text_is_one_for_all_spellings() -> None:
    first = rule("rrule:byday=mo,mo;byhour=17,9;interval=1;freq=weekly;wkst=mo")
    assert first.to_spec() == {"rrule": "FREQ=WEEKLY;BYHOUR=9,17;BYDAY=MO"}
    assert first == rule("FREQ=WEEKLY;BYHOUR=9,17;BYDAY=MO")


def test_a_far_slot_costs_no_walk() -> None:
    schedule = rule("FREQ=DAILY;BYHOUR=9")
    began = time.monotonic()
    for year in range(2_100, 9_900, 10):
        moment = datetime(year, 1, 1, tzinfo=UTC)
        assert schedule.next_after(moment) == moment + timedelta(hours=9)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text,words",
    [
        ("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18", "every month on the last Friday at 18:00"),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=9;BYMINUTE=30", "every week on Monday, Wednesday and Friday at 09:30"),
        ("FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=1", "every year in January and July on day 1 of the month at 00:00"),
        ("FREQ=YEARLY", "every year in January on day 1 of the month at 00:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=-3", "every month on the 3rd from the end day of the month at 00:00"),
        ("FREQ=YEARLY;BYYEARDAY=100", "every year on day 100 of the year at 00:00"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "every year on Monday in week 20 at 00:00"),
        ("FREQ=WEEKLY", "every week on Saturday at 00:00"),
        ("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1", "every month on Monday and Tuesday of these the 1st at 00:00"),
        ("DTSTART:20260101T090000\nRRULE:FREQ=DAILY;INTERVAL=3;COUNT=5", "every 3 days at 09:00 5 times"),
        ("FREQ=DAILY;UNTIL=20300101T000000", "every day at 00:00 until 2030-01-01T00:00:00Z"),
    ],
)
def test_a_rule_in_words(text: str, words: str) -> None:
    assert rule(text).words() == words
