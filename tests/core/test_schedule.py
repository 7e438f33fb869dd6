"""parse_schedule and the Schedule it gives: bounds, specs, equality, refusals."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import beatd
from beatd.core.instant import FIRST_MS, LAST_MS
from beatd.core.schedules import SCHEDULE_KEYS, Schedule, parse_schedule
from beatd.core.zone import folder_data, package_data, use_zone_data
from beatd.errors import ScheduleInvalid

SPECS: list[dict[str, Any]] = [
    {"cron": "0 9 * * mon-fri", "timezone": "Europe/Paris"},
    {"cron": "*/10 * * * * *", "start": "2026-01-01T00:00", "end": "2027-01-01T00:00Z"},
    {"cron": "0 0 1-7 * mon", "day": "and"},
    {"cron": "H H(1-5) * * *", "hash_id": "x"},
    {"cron": "H H * * *"},
    {"cron": "@daily"},
    {"every": "90s"},
    {"every": 1.5},
    {"every": "200ms", "fast": True, "anchor": "2026-01-01T00:00:00.123Z"},
    {"every": "1d", "timezone": "Europe/Paris", "start": "2026-03-29T02:30"},
    {"at": "2026-12-01T09:00", "timezone": "Asia/Tokyo"},
    {"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18", "timezone": "Europe/Paris"},
    {"rrule": "DTSTART:20260101T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=20"},
]


def test_the_keys_of_all_kinds_are_known() -> None:
    kinds, options = {"cron", "every", "at", "rrule"}, {"day", "hash_id", "anchor", "fast"}
    assert kinds | options | {"timezone", "start", "end"} == SCHEDULE_KEYS


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_reads_back_as_an_equal_schedule(spec: dict[str, Any]) -> None:
    first = parse_schedule(spec, name="n")
    again = parse_schedule(first.to_spec(), name="n")
    assert again == first
    assert hash(again) == hash(first)
    assert again.to_spec() == first.to_spec()
    assert again.next_ms(0) == first.next_ms(0)
    assert repr(again) == repr(first)


def test_schedules_that_differ_are_not_equal() -> None:
    schedules = [parse_schedule(spec, name="n") for spec in SPECS]
    assert len(set(schedules)) == len(SPECS)
    assert parse_schedule({"cron": "0 9 * * *"}) != parse_schedule({"cron": "0 9 * * *", "timezone": "Asia/Tokyo"})
    assert parse_schedule({"every": "1m"}, name="a") != parse_schedule({"every": "1m"}, name="b")


def test_the_kind_is_the_key() -> None:
    assert [parse_schedule(spec, name="n").kind for spec in SPECS[-4:]] == ["every", "at", "rrule", "rrule"]
    assert parse_schedule(SPECS[0]).kind == "cron"
    assert parse_schedule(SPECS[0]).timezone == "Europe/Paris"


def test_equal_specs_of_texts_are_one_object() -> None:
    assert parse_schedule({"cron": "1 2 3 4 *"}) is parse_schedule({"cron": "1 2 3 4 *"}, name="x")
    assert parse_schedule({"cron": "1 2 * * thu"}, name="a").rule is parse_schedule({"cron": "1 2 * * thu"}).rule
    assert parse_schedule({"cron": "H 2 * * *"}, name="a") is not parse_schedule({"cron": "H 2 * * *"}, name="b")


def test_bounds_are_inclusive_and_wall_time_in_the_zone() -> None:
    spec = {
        "cron": "30 2 * * *",
        "timezone": "America/New_York",
        "start": "2026-03-08T02:30",
        "end": "2026-03-10T02:30",
    }
    slots = list(parse_schedule(spec).between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert [f"{slot:%m-%d %H:%M}" for slot in slots] == ["03-08 07:00", "03-09 06:30", "03-10 06:30"]
    assert parse_schedule(spec).last_ms(LAST_MS) == int(slots[-1].timestamp()) * 1_000
    assert parse_schedule(spec).last_ms(int(slots[0].timestamp()) * 1_000 - 1) is None
    assert parse_schedule(spec).count_ms(0, LAST_MS, 100) == 3


def test_between_leaves_its_first_bound_out_and_takes_its_last() -> None:
    schedule = parse_schedule({"cron": "0 * * * *"})
    low = datetime(2026, 1, 1, tzinfo=UTC)
    assert list(schedule.between(low, low + timedelta(hours=2))) == [low + timedelta(hours=n) for n in (1, 2)]
    assert list(schedule.between(low, low)) == []
    assert list(schedule.between(low + timedelta(hours=2), low)) == []


def test_a_month_of_missed_seconds_is_cheap() -> None:
    schedule = parse_schedule({"cron": "* * * * * *", "timezone": "Europe/Paris"})
    now = 1_800_000_000_999
    assert schedule.last_ms(now) == 1_800_000_000_000
    assert schedule.count_ms(now - 30 * 86_400_000, now, 10_000) == 10_000
    assert schedule.count_ms(now - 30 * 86_400_000, now, 10**9) == 30 * 86_400


def test_counts_reach_the_ends_of_the_calendar() -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        for text in ("0 0 1 1 *", "0 */12 1 1 *"):
            schedule = parse_schedule({"cron": text, "timezone": zone})
            slots = sum(1 for _ in schedule.between(utc(FIRST_MS), utc(LAST_MS)))
            first = schedule.next_ms(FIRST_MS - 1) == FIRST_MS
            assert schedule.count_ms(FIRST_MS - 1, LAST_MS, 10**6) == slots + first
    last_second = parse_schedule({"cron": "59 59 23 31 12 *"})
    assert last_second.count_ms(LAST_MS - 1_000, 10**30, 9) == 1
    assert parse_schedule({"cron": "0 0 1 1 *"}).count_ms(-(10**30), FIRST_MS, 9) == 1


def utc(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def test_a_gap_counts_once_and_a_fold_as_often_as_it_runs() -> None:
    def count(text: str, day: str) -> int:
        low = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000
        return parse_schedule({"cron": text, "timezone": "America/New_York"}).count_ms(low, low + 86_400_000, 99)

    assert count("0,15,30 2,3 * * *", "2026-03-08T05:30") == 3
    assert count("0,15,30 2 * * *", "2026-03-08T05:30") == 1
    assert count("*/15 2 * * *", "2026-03-08T03:30") == 0
    assert count("*/15 1 * * *", "2026-11-01T03:30") == 8
    assert count("0,15 1 * * *", "2026-11-01T03:30") == 2


def test_a_far_last_slot_is_found_without_a_walk() -> None:
    leap = parse_schedule({"cron": "* * 29 2 */7", "timezone": "America/New_York"})
    assert leap.last_ms(1_800_000_000_000) == int(datetime(2004, 3, 1, 4, 59, tzinfo=UTC).timestamp()) * 1_000


def test_slots_end_with_the_calendar_in_any_zone() -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"):
        for text in ("* * * * *", "0 0 * * *", "59 23 31 12 *", "0 0 29 2 *"):
            schedule = parse_schedule({"cron": text, "timezone": zone})
            last = schedule.last_ms(10**30)
            assert last is not None
            assert last <= LAST_MS
            assert schedule.next_ms(last) is None
            assert schedule.next_ms(10**30) is None
            first = schedule.next_ms(-(10**30))
            assert first is not None
            assert first >= FIRST_MS
            assert schedule.last_ms(first - 1) is None
            assert schedule.last_ms(-(10**30)) is None


@pytest.mark.parametrize(
    "spec,found",
    [
        ({}, "found none"),
        ({"timezone": "UTC"}, "found none"),
        ({"cron": "* * * * *", "every": "1m"}, "found cron and every"),
        ({"crom": "* * * * *"}, "unknown key 'crom'"),
        ({"cron": "* * * * *", "zone": "UTC"}, "unknown key 'zone'"),
        ({"cron": "* * * * *", 5: "UTC"}, "unknown key 5"),
        ({"cron": "* * * * *", ("a",): "UTC"}, "unknown key a value of type tuple"),
        ({"every": "1m", "day": "and"}, "day: not a key of every, but of cron"),
        ({"at": "2026-01-01T00:00", "fast": True}, "fast: not a key of at, but of every"),
        ({"cron": "* * * * *", "anchor": "2026-01-01T00:00"}, "anchor: not a key of cron"),
        ({"cron": None}, "cron: found None"),
        ({"cron": 5}, "cron: found 5"),
        ({"cron": ["* * * * *"]}, "cron: found a value of type list"),
        ({"cron": {"minute": 0}}, "cron: found a value of type dict"),
        ({"cron": "* * * * *", "day": "AND"}, "day: found 'AND'"),
        ({"cron": "* * * * *", "day": True}, "day: found True"),
        ({"cron": "* * * * *", "day": []}, "day: found a value of type list"),
        ({"cron": "* * * * *", "hash_id": ""}, "hash_id: found ''"),
        ({"cron": "* * * * *", "hash_id": 5}, "hash_id: found 5"),
        ({"cron": "* * * * *", "hash_id": "\ud800"}, "hash_id: found"),
        ({"cron": "* * * * *", "timezone": None}, "timezone: found None"),
        ({"cron": "* * * * *", "timezone": 3}, "timezone: found 3"),
        ({"cron": "* * * * *", "timezone": ["UTC"]}, "timezone: found a value of type list"),
        ({"cron": "* * * * *", "start": None}, "start: found None"),
        ({"cron": "* * * * *", "start": "2027-01-01"}, "start: found '2027-01-01'"),
        ({"cron": "* * * * *", "start": "2027-01-01T00:00", "end": "2026-01-01T00:00"}, "which lies before start"),
        ({"every": "1m", "anchor": 5}, "anchor: found 5"),
    ],
)
def test_what_is_refused_says_what_was_found(spec: dict[Any, Any], found: str) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        parse_schedule(spec)
    assert found in refused.value.message


@pytest.mark.parametrize("spec", [None, "* * * * *", 5, [], [("cron", "* * * * *")]])
def test_a_spec_is_a_mapping(spec: Any) -> None:
    with pytest.raises(ScheduleInvalid, match="a mapping with one of"):
        parse_schedule(spec)


@pytest.mark.parametrize("name", [5, b"x", "\ud800", []])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(ScheduleInvalid, match="name: found"):
        parse_schedule({"every": "1m"}, name=name)


def test_the_nearest_key_is_named() -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        parse_schedule({"cron": "* * * * *", "timezon": "UTC"})
    assert refused.value.hint == "did you mean timezone?"


def test_parse_schedule_is_public_and_import_stays_cheap() -> None:
    assert beatd.parse_schedule is parse_schedule
    assert beatd.Schedule is Schedule
    with pytest.raises(AttributeError, match="nothing_of_the_sort"):
        beatd.nothing_of_the_sort  # noqa: B018
    code = "import sys, beatd; sys.exit(any(name.startswith('beatd.core') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_core_reads_no_cron_without_loading_dateutil_or_croniter() -> None:
    code = (
        "import sys, beatd; beatd.parse_schedule({'cron': '* * * * *'});"
        "sys.exit(any(name.split('.')[0] in ('dateutil', 'croniter') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_zone_data_hold_for_schedules_read_before_and_after(tmp_path: Path) -> None:
    spec = {"cron": "0 0 * * *", "timezone": "Europe/Paris"}
    before = parse_schedule(spec)
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Paris").write_bytes(package_data().read("Asia/Tokyo"))
    (tmp_path / "UTC").write_bytes(package_data().read("UTC"))
    use_zone_data(folder_data(tmp_path))
    try:
        now = datetime(2026, 6, 1, tzinfo=UTC)
        assert parse_schedule(spec).next_after(now) == datetime(2026, 6, 1, 15, tzinfo=UTC)
        assert before.next_after(now) == datetime(2026, 6, 1, 22, tzinfo=UTC)
    finally:
        use_zone_data(None)


KIND = """
from dataclasses import dataclass
from typing import ClassVar

from beatd.core.schedules.rule import Kind, Rule


@dataclass(frozen=True)
class Doubling(Rule):
    kind: ClassVar[str] = "doubling"

    def next_ms(self, after):
        return 1 << max(after, 0).bit_length()

    def last_ms(self, until):
        return 1 << until.bit_length() - 1 if until > 0 else None

    def spec(self):
        return {"doubling": True}

    def words(self):
        return "ever more rarely"


KIND = Kind("doubling", frozenset({"pace"}), lambda request: Doubling())
"""


def test_a_new_kind_is_one_new_file(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(KIND, encoding="utf-8")
    code = f"""
import importlib.util, sys
import beatd.core
spec = importlib.util.find_spec("beatd.core.schedules")
spec.submodule_search_locations.append({str(tmp_path)!r})
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = beatd.core.schedules = package
spec.loader.exec_module(package)
schedule = package.parse_schedule({{"doubling": True, "start": "1970-01-01T00:00:01Z"}})
assert {{"doubling", "pace"}} <= package.SCHEDULE_KEYS
assert (schedule.kind, schedule.next_ms(0), schedule.count_ms(0, 5_000, 9)) == ("doubling", 1_024, 3)
assert package.parse_schedule(schedule.to_spec()) == schedule
assert package.parse_schedule({{"cron": "* * * * *"}}).next_ms(0) == 60_000
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
