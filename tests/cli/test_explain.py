"""`beatd explain`: a schedule taken apart, for people and as JSON."""

from typing import Any

import pytest

PARIS = ("--tz", "Europe/Paris", "--from", "2026-01-01T12:00")


def test_a_cron_expression_is_explained_field_by_field(beatd: Any) -> None:
    done = beatd("explain", "*/20 22-2 1,15 * mon", *PARIS, "-n", "2")
    assert (done.code, done.err) == (0, "")
    assert (
        done.out
        == """\
every 20 minutes of hours 0 to 2, 22 and 23 on days 1 and 15 of the month or on Monday, Europe/Paris

FIELD         TEXT  VALUES     MEANING
minute        */20  0,20,40    every 20th minute from 0 on
hour          22-2  0-2,22,23  22 to 2, around the end of the day
day of month  1,15  1,15       1; 15
month         *     1-12       every month
day of week   mon   1          Monday

schedule  cron: '*/20 22-2 1,15 * mon', timezone: Europe/Paris
days      cron's rule: neither day field begins with a star, so one of them is enough: every 20 minutes of hours \
0 to 2, 22 and 23 on days 1 and 15 of the month or on Monday (1,110 a year)
          with day: and: every 20 minutes of hours 0 to 2, 22 and 23 on days 1 and 15 of the month where that is \
Monday (30 a year)
often     1,110 runs in the 365 days from 2026-01-02 on: 15 on each of 74 days
clock     interval-like, for the minute is */20: wall times that the clock skips do not run, repeated ones run in \
both passes
          Sun 2026-03-29 02:00 becomes 03:00: touches no run
          Sun 2026-10-25 03:00 becomes 02:00: touches no run
note      both day fields are restricted: either of them is enough (cron's rule); day: and asks for both

Europe/Paris                    UTC                   LATER
Thu 2026-01-01 22:00:00 +01:00  2026-01-01T21:00:00Z  10 h later
Thu 2026-01-01 22:20:00 +01:00  2026-01-01T21:20:00Z  10 h later
"""
    )


def test_a_fixed_time_is_followed_through_both_shifts_of_the_clock(beatd: Any) -> None:
    done = beatd("explain", "30 2 * * *", *PARIS, "-n", "0")
    clock = next(i for i, line in enumerate(done.lines) if line.startswith("clock"))
    assert done.lines[clock + 1 : clock + 3] == [
        "          Sun 2026-03-29 02:00 becomes 03:00: 02:30 runs at 03:00",
        "          Sun 2026-10-25 03:00 becomes 02:00: runs in the first pass only",
    ]


@pytest.mark.parametrize(
    "words, lines",
    [
        (["90m"], ["every   1h30m  5,400 s of elapsed time",
                   "often     5,840 runs in the 365 days from 2026-01-02 on: 16 a day",
                   "schedule  every: 1h30m"]),
        (["FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18"],
         ["BYDAY    -1FR     -       the last Friday", "schedule  rrule: FREQ=MONTHLY;BYHOUR=18;BYDAY=-1FR",
          "often     12 runs in the 365 days from 2026-01-02 on: 1 on each of 12 days"]),
        (["2026-06-01T09:00"], ["at     2026-06-01T09:00:00  wall time in the zone: 2026-06-01T09:00:00Z",
                                "often     1 run in the 365 days from 2026-01-02 on"]),
        (["2020-01-01T00:00Z"],
         ["at     2020-01-01T00:00:00Z  an instant",
          "next      no slot: its only slot, 2020-01-01T00:00:00Z, is not after 2026-01-01T12:00:00Z"]),
        (["@monthly"], ["schedule  cron: '@monthly'", "day of month  1     1       1",
                        ("clock     fixed-time: wall times that the clock skips run once, right after the gap; "
                        "repeated ones run in the first pass only"),
                        "          UTC: no shift of the clock is ahead"]),
        (["--cron", "H H(1-5) * * *", "--hash-id", "x"],
         ["minute        H       3       3, which H drew by hash_id x",
          "schedule  cron: 'H H(1-5) * * *', hash_id: x"]),
        (["report", "--cron", "H 2 * * *"], ["minute        H     44      44, which H drew by the entry's name"]),
    ],
)  # fmt: skip
def test_every_kind_is_explained(beatd: Any, words: list[str], lines: list[str]) -> None:
    done = beatd("explain", *words, "--from", "2026-01-01T12:00")
    assert done.code == 0, done.err
    for line in lines:
        assert line in done.lines


def test_json_holds_all_of_it(beatd: Any) -> None:
    found = beatd("explain", "30 1,2 */2 * mon", *PARIS, "-n", "1", "-o", "json").json
    assert list(found) == [
        *("schedule", "kind", "words", "zone", "anchor_assumed", "fields", "readings", "clock", "shifts", "often"),
        *("warnings", "next"),
    ]
    assert found["schedule"] == {"cron": "30 1,2 */2 * mon", "timezone": "Europe/Paris"}
    assert found["fields"][1] == {"name": "hour", "text": "1,2", "values": [1, 2], "meaning": "1; 2", "notes": []}
    assert found["fields"][2]["notes"] == [
        "day of month: */2 starts anew with each month, so the last gap is uneven",
    ]
    assert [(reading["day"], reading["chosen"], reading["spec"]) for reading in found["readings"]] == [
        ("and", True, {}),
        ("or", False, {"cron": "30 1,2 1-31/2 * mon"}),
    ]
    assert found["shifts"][0] == {
        "at": "2026-03-29T01:00:00Z",
        "from": "Sun 2026-03-29 02:00",
        "to": "Sun 2026-03-29 03:00",
        "effect": None,
    }
    assert found["often"]["runs"] == found["readings"][0]["runs"]
    assert found["often"]["a_day"] == {"least": 2, "usual": 2, "most": 2}
    assert [row["local"] for row in found["next"]] == ["2026-01-05T01:30:00+01:00"]


def test_a_bad_schedule_ends_with_3(beatd: Any) -> None:
    error = beatd("explain", "0 0 30 2 *", "-o", "json").error
    assert (error["code"], error["hint"]) == (3, "L is the last day of a month")


def test_an_entry_is_explained_by_its_name(beatd: Any, schedules: Any) -> None:
    schedules("schedules: {spread: {task: t, every: 1d}}")
    done = beatd("explain", "spread")
    assert "chooses when it runs" in done.out
    assert (done.code, done.err) == (0, "")
