"""Zones as segments of offsets: the same offsets as zoneinfo, and one rule for gaps and folds."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from beatd.core.tzif import read_footer, read_tzif
from beatd.core.zone import (
    FIRST_SECOND,
    LAST_SECOND,
    Zone,
    folder_data,
    naive_of,
    package_data,
    use_zone_data,
    wall_of,
    zone_data,
    zone_named,
)
from beatd.errors import ScheduleInvalid


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def oracle(info: ZoneInfo, instant: int) -> int:
    offset = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant)).astimezone(info).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@pytest.mark.parametrize("part", range(4))
def test_every_zone_has_the_offsets_of_zoneinfo_at_all_times(part: int) -> None:
    rng = Random(part)
    for name in sorted(zone_data().names)[part::4]:
        if name == "Factory":
            continue
        zone, info = zone_named(name), ZoneInfo(name)
        edges = [start + d for start in zone.segments.starts[1:] for d in (-1, 0)]
        anywhere = [rng.randrange(seconds("1850-01-01"), seconds("2150-01-01")) for _ in range(40)]
        for instant in [*edges, *anywhere, seconds("2999-07-01")]:
            assert zone.offset(instant) == oracle(info, instant), (name, naive_of(instant))


def test_the_ends_of_the_calendar_have_offsets() -> None:
    zone = zone_named("America/New_York")
    assert zone.offset(FIRST_SECOND) == -17_762  # local mean time
    assert zone.offset(LAST_SECOND) == -18_000
    assert zone.reached(LAST_SECOND) == LAST_SECOND + 18_000


def test_a_wall_time_in_a_gap_is_reached_at_the_end_of_the_gap() -> None:
    zone = zone_named("America/New_York")
    for wall in ("2026-03-08T02:00", "2026-03-08T02:30", "2026-03-08T02:59:59", "2026-03-08T03:00"):
        assert zone.reached(seconds(wall)) == seconds("2026-03-08T07:00")
    assert zone.reached(seconds("2026-03-08T01:59:59")) == seconds("2026-03-08T06:59:59")


def test_a_wall_time_that_comes_twice_is_reached_in_its_first_pass() -> None:
    zone = zone_named("America/New_York")
    assert zone.reached(seconds("2026-11-01T01:30")) == seconds("2026-11-01T05:30")
    assert zone.reached(seconds("2026-11-01T02:00")) == seconds("2026-11-01T07:00")


@pytest.mark.parametrize("name", ["America/New_York", "Europe/Dublin", "Pacific/Chatham", "Antarctica/Troll"])
def test_the_clock_is_laid_out_as_far_as_it_is_asked_for(name: str) -> None:
    data = package_data().read(name)
    far = Zone(name, data)
    far.extend(seconds("2090-01-01"))
    for shift in far.segments.starts[far.index(seconds("2039-01-01")) : far.index(seconds("2043-01-01"))]:
        for wall in range(shift - 86_400, shift + 86_400, 7_200):
            assert Zone(name, data).reached(wall) == far.reached(wall)
            assert Zone(name, data).mark(wall) == far.mark(wall)
            assert Zone(name, data).offset(wall) == far.offset(wall)


def test_neighbouring_segments_have_different_offsets() -> None:
    for name in zone_data().names - {"Factory"}:
        offsets = zone_named(name).segments.offsets
        assert all(a != b for a, b in pairwise(offsets)), name


def test_a_lost_day_is_reached_when_the_next_one_begins() -> None:
    assert zone_named("Pacific/Apia").reached(seconds("2011-12-30T12:00")) == seconds("2011-12-30T10:00")


@pytest.mark.parametrize("name", ["America/New_York", "Pacific/Apia", "Antarctica/Troll", "Africa/Casablanca", "UTC"])
def test_reached_and_mark_say_the_same(name: str) -> None:
    zone, rng = zone_named(name), Random(1)
    for _ in range(2_000):
        instant = rng.randrange(seconds("2008-01-01"), seconds("2090-01-01"))
        mark = zone.mark(instant)
        assert zone.reached(mark - 1) <= instant < zone.reached(mark)


@pytest.mark.parametrize(
    "name,hint",
    [
        ("UTC+3", "Etc/GMT-3"),
        ("GMT-05:00", "Etc/GMT+5"),
        ("+01:00", "Etc/GMT-1"),
        ("localtime", "never used"),
        ("", "never used"),
        ("Europe/Pari", "Europe/Paris"),
        ("america/new_york", "America/New_York"),
        ("posix/Europe/Paris", ""),
        ("right/Europe/Paris", ""),
        ("Factory", ""),
        ("../../etc/passwd", ""),
        ("/etc/localtime", ""),
        ("tzdata.zi", ""),
        ("\ud800", ""),
        ("x" * 5_000, ""),
    ],
)
def test_what_is_no_zone_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ScheduleInvalid, match="timezone: found") as refused:
        zone_named(name)
    assert hint in (refused.value.hint or "")


def test_zone_files_may_come_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "Etc").mkdir()
    (tmp_path / "Etc" / "Here").write_bytes(package_data().read("Asia/Kolkata"))
    (tmp_path / "+VERSION").write_text("2031x\n", encoding="ascii")
    (tmp_path / "readme.txt").write_text("no zone", encoding="ascii")
    use_zone_data(folder_data(tmp_path))
    try:
        assert zone_named("Etc/Here").offset(0) == 19_800
        assert zone_data().version == "2031x"
        with pytest.raises(ScheduleInvalid):
            zone_named("UTC")
    finally:
        use_zone_data(None)
    assert zone_named("UTC").is_utc


def test_a_folder_without_zones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScheduleInvalid, match="holds no zone files"):
        folder_data(tmp_path)


def test_the_version_of_the_zone_data_is_known() -> None:
    assert zone_data().version[:2] == "20"


@pytest.mark.parametrize("size", [0, 3, 4, 43, 60, 200, 700])
def test_a_damaged_zone_file_is_a_value_error(size: int) -> None:
    data = package_data().read("Europe/Paris")
    with pytest.raises(ValueError, match="zone file"):
        read_tzif(data[:size])
    with pytest.raises(ValueError, match="zone file"):
        Zone("Damaged", b"\0" * size)


def test_the_days_of_a_yearly_rule_are_counted_as_posix_says() -> None:
    rule = read_footer("AAA0BBB,J60/0,365/24")
    assert [naive_of(at).isoformat() for at, _ in rule.shifts(2028)] == ["2028-03-01T00:00:00", "2028-12-31T23:00:00"]
    assert [naive_of(at).isoformat() for at, _ in rule.shifts(2027)] == ["2027-03-01T00:00:00", "2028-01-01T23:00:00"]


def test_wall_seconds_and_naive_datetimes_are_each_others_inverse() -> None:
    for text in ("0001-01-01T00:00:00", "1969-12-31T23:59:59", "9999-12-31T23:59:59"):
        assert naive_of(wall_of(datetime.fromisoformat(text))).isoformat() == text
