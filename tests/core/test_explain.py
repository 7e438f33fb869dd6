"""A schedule taken apart: its fields, its readings, how often it runs, what the coming shifts of the clock do."""

from collections import Counter
from datetime import datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from beatd.core.explain import coming_shifts, how_often, judged_readings, often_words
from beatd.core.instant import LAST_MS
from beatd.core.preview import clock_text, local_text, weekday_text
from beatd.core.schedules import Schedule, parse_schedule
from beatd.core.zone import zone_named
from beatd.errors import ScheduleInvalid
from tests.core.expressions import ZONES, expression

NEW_YORK, TROLL, LORD_HOWE = "America/New_York", "Antarctica/Troll", "Australia/Lord_Howe"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000)


def cron(text: str, zone: str = "UTC", **more: str) -> Schedule:
    return parse_schedule({"cron": text, "timezone": zone, **more})


def meanings(schedule: Schedule) -> list[str]:
    return [detail.meaning for detail in schedule.rule.explain().details]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("*/15 * * * *", "every 15th minute from 0 on"),
        ("5/20 * * * *", "every 20th minute from 5 to 59"),
        ("22-4 * * * *", "22 to 4, around the end of the hour"),
        ("50-20/10 * * * *", "every 10th minute of 50 to 20, around the end of the hour"),
        ("7,9-11 * * * *", "7; 9 to 11"),
        ("*/1 * * * *", "every minute"),
        ("H * * * *", "3, which H drew by hash_id x"),
        ("H(10-19) * * * *", "13, which H drew by hash_id x among 10 to 19"),
        ("H/20 * * * *", "every 20th minute from 3 on, which H drew by hash_id x"),
    ],
)
def test_a_clock_field_tells_where_its_values_come_from(text: str, wanted: str) -> None:
    assert meanings(cron(text, hash_id="x"))[0] == wanted


@pytest.mark.parametrize(
    "days, wanted",
    [
        ("* * *", ["any day of the month", "every month", "any day of the week"]),
        ("? * *", ["any day of the month", "every month", "any day of the week"]),
        ("*/2 */3 */2", ["every 2nd day of month from 1 on", "every 3rd month from January on",
                         "every 2nd day of week from Sunday on"]),
        ("L,15 1,december 7", ["the last day of the month; 15", "January; December", "Sunday"]),
        ("15W nov-feb fri-mon", ["the Monday to Friday nearest to day 15 of the month",
                                 "November to February, around the end of the year",
                                 "Friday to Monday, around the end of the week"]),
        ("LW 3/4 5-7", ["the last Monday to Friday of the month", "every 4th month from March to December",
                        "Friday to Sunday"]),
        ("1-7 * 7-2", ["1 to 7", "every month", "Sunday to Tuesday"]),
        ("1 * mon#2,5L,3/2", ["1", "every month", ("the 2nd Monday of the month; the last Friday of the month; "
                              "every 2nd day of week from Wednesday to Saturday")]),
    ],
)  # fmt: skip
def test_a_date_field_names_its_days(days: str, wanted: list[str]) -> None:
    assert meanings(cron(f"0 0 {days}"))[2:] == wanted


def test_seconds_and_aliases_show_the_fields_they_have() -> None:
    assert next(detail.name for detail in cron("0 0 9 * * *").rule.explain().details) == "second"
    daily = cron("@daily").rule.explain().details
    assert [(detail.name, detail.text) for detail in daily[:2]] == [("minute", "0"), ("hour", "0")]
    assert len(daily) == 5


def test_a_canonical_item_always_has_a_meaning() -> None:
    rng = Random(7)
    for _ in range(500):
        try:
            schedule = cron(expression(rng, seconds=rng.random() < 0.3))
        except ScheduleInvalid:
            continue
        for detail in schedule.rule.explain().details:
            assert detail.meaning


@pytest.mark.parametrize(
    "text, day, wanted",
    [
        ("0 0 1 * mon", "or", [("or", True, {}, 63), ("and", False, {"day": "and"}, 1)]),
        ("0 0 1 * mon", "and", [("and", True, {}, 1), ("or", False, {"cron": "0 0 1 * mon", "day": "or"}, 63)]),
        ("0 0 */2 * mon", "or", [("and", True, {}, 26), ("or", False, {"cron": "0 0 1-31/2 * mon"}, 212)]),
        ("0 0 1 * */2", "or", [("and", True, {}, 8), ("or", False, {"cron": "0 0 1 * 0-6/2"}, 213)]),
        ("0 0 31 2 mon", "or", [("or", True, {}, 4), ("and", False, {"day": "and"}, 0)]),
        ("0 0 1-31 * mon", "or", [("or", True, {}, 365), ("and", False, {"day": "and"}, 52)]),
        ("0 0 1 * *", "or", []),
        ("0 0 ? * mon", "or", []),
        ("0 0 * * */2", "or", []),
    ],
)
def test_both_readings_of_two_day_fields_are_counted(text: str, day: str, wanted: list[object]) -> None:
    schedule = cron(text, day=day)
    found = judged_readings(schedule, None, ms("2025-12-31T12:00Z"))
    assert [(j.reading.name, j.reading.chosen, j.reading.spec, j.runs) for j in found] == wanted
    if found:
        assert found[0].runs == how_often(schedule, ms("2025-12-31T12:00Z")).runs


def test_a_reading_that_never_fires_has_no_words() -> None:
    _, both = judged_readings(cron("0 0 31 2 mon"), None, 0)
    assert both.words is None


@pytest.mark.parametrize("seed", range(12))
def test_a_year_is_counted_day_by_day_as_the_slots_come(seed: int) -> None:
    rng = Random(seed)
    zone = rng.choice(ZONES)
    schedule = cron(f"{rng.choice(['7', '*/30'])} {rng.choice(['*/3', '0-3', '23,2'])} * * *", zone)
    often = how_often(schedule, ms("2026-05-17T10:00Z"))
    info, counted, slot = ZoneInfo(zone), Counter[int](), ms("2026-05-10T00:00Z")
    while (found := schedule.next_ms(slot)) is not None and found < ms("2027-06-01T00:00Z"):
        counted[datetime.fromtimestamp(found / 1_000, info).toordinal()] += 1
        slot = found
    first = often.first.toordinal()
    wanted = [counted[day] for day in range(first, first + 365)]
    assert (often.runs, often.active_days) == (sum(wanted), sum(1 for n in wanted if n))
    assert (often.least, often.most) == (min(n for n in wanted if n), max(wanted))


def test_a_year_of_seconds_is_counted_exactly_and_at_once() -> None:
    assert how_often(cron("* * * * * *", "Europe/Paris"), ms("2026-01-01T12:00Z")).runs == 365 * 86_400
    fast = parse_schedule({"every": "10ms", "fast": True})
    assert how_often(fast, ms("2026-01-01T12:00Z")).runs == 365 * 8_640_000


@pytest.mark.parametrize(
    "schedule, wanted",
    [
        (cron("0 9 * * *"), "365 runs in the 365 days from 2026-01-02 on: 1 a day"),
        (cron("0 9 * * mon-fri"), "261 runs in the 365 days from 2026-01-02 on: 1 on each of 261 days"),
        (cron("0 * * * *", "Europe/Paris"), "8,760 runs in the 365 days from 2026-01-02 on: 23 to 25 a day, mostly 24"),
        (cron("0 0 6 6 *"), "1 run in the 365 days from 2026-01-02 on"),
        (cron("0 0 29 2 *"), "no run in the 365 days from 2026-01-02 on"),
    ],
)
def test_how_often_in_words(schedule: Schedule, wanted: str) -> None:
    assert often_words(how_often(schedule, ms("2026-01-01T12:00Z"))) == wanted


@pytest.mark.parametrize(
    "text, zone, wanted",
    [
        ("30 2 * * *", NEW_YORK, ["02:30 runs at 03:00", None]),
        ("0,30 2 * * *", NEW_YORK, ["02:00 and what follows it run once, at 03:00", None]),
        ("30 1 * * *", NEW_YORK, [None, "runs in the first pass only"]),
        ("*/30 * * * *", NEW_YORK, ["does not run in what is skipped", "runs in both passes"]),
        ("0 9 * * *", NEW_YORK, [None, None]),
        ("15 2 * * *", LORD_HOWE, [None, "02:15 runs at 02:30"]),
        ("45 1 * * *", LORD_HOWE, ["runs in the first pass only", None]),
        ("30 2 * * *", TROLL, ["02:30 runs at 03:00", "runs in the first pass only"]),
        ("30 2 * * *", "UTC", []),
        ("30 2 * * *", "Asia/Kolkata", []),
    ],
)
def test_the_coming_shifts_say_what_they_do(text: str, zone: str, wanted: list[str | None]) -> None:
    found = coming_shifts(cron(text, zone), ms("2026-01-01T00:00Z"), 2)
    assert [note.effect for note in found] == wanted


def test_shifts_count_only_while_the_schedule_is_in_force() -> None:
    def dates(**bounds: str) -> list[str]:
        notes = coming_shifts(cron("30 2 * * *", NEW_YORK, **bounds), ms("2026-01-01T00:00Z"), 2)
        return [clock_text(note.shift.before) for note in notes]

    assert dates() == ["Sun 2026-03-08 02:00", "Sun 2026-11-01 02:00"]
    assert dates(end="2026-06-01T00:00") == ["Sun 2026-03-08 02:00"]
    assert dates(end="2026-02-01T00:00") == []
    assert dates(start="2031-01-01T00:00") == ["Sun 2031-03-09 02:00", "Sun 2031-11-02 02:00"]


def test_an_rrule_that_has_ended_is_touched_by_no_shift() -> None:
    spec = {"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30;UNTIL=20260301T000000", "timezone": NEW_YORK}
    assert coming_shifts(parse_schedule(spec), ms("2026-01-01T00:00Z"), 2) == []
    spec["rrule"] = "FREQ=DAILY;BYHOUR=2;BYMINUTE=30;UNTIL=20260401T000000"
    assert [n.effect for n in coming_shifts(parse_schedule(spec), ms("2026-01-01T00:00Z"), 2)] == [
        "02:30 runs at 03:00"
    ]


def test_the_end_of_the_calendar_is_explained_too() -> None:
    schedule = cron("0 0 * * *", NEW_YORK)
    assert how_often(schedule, LAST_MS).days == 365
    assert coming_shifts(schedule, LAST_MS, 2) == []


def test_rrule_keys_are_explained_and_the_start_fills_in() -> None:
    schedule = parse_schedule(
        {"rrule": "FREQ=MONTHLY;INTERVAL=2;BYDAY=-1FR;BYHOUR=18;COUNT=5", "start": "2026-01-05T00:30"}
    )
    assert [(d.name, d.text, d.meaning) for d in schedule.rule.explain().details] == [
        ("FREQ", "MONTHLY", "counts months"),
        ("INTERVAL", "2", "every 2nd month, counted from the start"),
        ("BYHOUR", "18", "hour 18"),
        ("BYDAY", "-1FR", "the last Friday"),
        ("COUNT", "5", "ends after 5 slots, counted from the start"),
        ("DTSTART", "", "2026-01-05T00:30:00 wall time: first possible slot, fills in what is not given"),
    ]
    rule = "FREQ=YEARLY;WKST=SU;BYMONTH=3,6;BYMONTHDAY=-1;BYSETPOS=-1;UNTIL=20300101T000000Z"
    yearly = parse_schedule({"rrule": f"DTSTART:20260105T090000\nRRULE:{rule}"})
    assert [(d.name, d.meaning) for d in yearly.rule.explain().details][1:] == [
        ("WKST", "weeks begin on Sunday"),
        ("BYMONTH", "March and June"),
        ("BYMONTHDAY", "the last day of the month"),
        ("BYSETPOS", "of the times in a period, the last"),
        ("UNTIL", "in UTC"),
        ("DTSTART", "2026-01-05T09:00:00 wall time: first possible slot, fills in what is not given"),
    ]


@pytest.mark.parametrize(
    "spec, name, wanted",
    [
        ({"every": "1h30m"}, None, "at 00:00:00 UTC and every 1 hour 30 minutes from there, assumed, for want of"),
        ({"every": "1h"}, "x", "from the entry's name"),
        (
            {"every": "1h", "start": "2026-01-01T00:20"},
            None,
            "at 00:20:00 UTC and every hour from there, from the start",
        ),
        ({"every": "7m", "anchor": "2026-01-01T00:03Z"}, None, "on a grid through 1970-01-01T00:03:00Z, given"),
    ],
)
def test_an_interval_tells_its_grid(spec: dict[str, str], name: str | None, wanted: str) -> None:
    _, anchor = parse_schedule(spec, name=name).rule.explain().details
    assert wanted in anchor.meaning


def test_a_wall_time_is_shown_with_its_zones_offset() -> None:
    assert local_text(1_500, zone_named("Asia/Kathmandu")) == "1970-01-01T05:30:01.500+05:30"
    assert local_text(0, zone_named("America/St_Johns")) == "1969-12-31T20:30:00-03:30"
    assert weekday_text(0, zone_named("America/St_Johns")) == "Wed"
    assert weekday_text(0, zone_named("UTC")) == "Thu"
