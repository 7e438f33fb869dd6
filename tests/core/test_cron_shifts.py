"""What cron does when a zone's clock shifts: the table of facts, zone by zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from beatd.core.schedules import Schedule, parse_schedule

NEW_YORK, LONDON, DUBLIN = "America/New_York", "Europe/London", "Europe/Dublin"
LORD_HOWE, SAO_PAULO, CASABLANCA = "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca"
TEHRAN, APIA, BEIRUT, TROLL = "Asia/Tehran", "Pacific/Apia", "Asia/Beirut", "Antarctica/Troll"


def cron(text: str, zone: str = "UTC") -> Schedule:
    return parse_schedule({"cron": text, "timezone": zone})


def local_slots(text: str, zone: str, after: str, count: int) -> list[str]:
    """The next slots after a wall time, on the zone's own clock with its offset in hours."""
    info = ZoneInfo(zone)
    schedule, slot, out = cron(text, zone), datetime.fromisoformat(after).replace(tzinfo=info), []
    for _ in range(count):
        found = schedule.next_after(slot)
        assert found is not None
        slot = found
        local = slot.astimezone(info)
        offset = local.utcoffset()
        assert offset is not None
        out.append(f"{local:%d %H:%M}{offset.total_seconds() / 3600:+g}")
    return out


ROWS = [
    # New York 2026-03-08: 02:00 to 03:00 does not exist
    (NEW_YORK, "30 2 * * *", "2026-03-07 12:00", "08 03:00-4, 09 02:30-4"),
    (NEW_YORK, "0 2,3 * * *", "2026-03-07 12:00", "08 03:00-4, 09 02:00-4, 09 03:00-4"),
    (NEW_YORK, "*/30 2 * * *", "2026-03-07 12:00", "09 02:00-4, 09 02:30-4"),
    (NEW_YORK, "30 */2 * * *", "2026-03-08 00:45", "08 04:30-4, 08 06:30-4"),
    (NEW_YORK, "0 * * * *", "2026-03-08 00:30", "08 01:00-5, 08 03:00-4, 08 04:00-4"),
    (NEW_YORK, "@hourly", "2026-03-08 00:30", "08 01:00-5, 08 03:00-4"),
    (NEW_YORK, "0 30 2 * * *", "2026-03-07 12:00", "08 03:00-4, 09 02:30-4"),
    (NEW_YORK, "*/20 30 2 * * *", "2026-03-07 12:00", "09 02:30-4, 09 02:30-4, 09 02:30-4"),
    # New York 2026-11-01: 01:00 to 02:00 comes twice
    (NEW_YORK, "30 1 * * *", "2026-10-31 12:00", "01 01:30-4, 02 01:30-5"),
    (NEW_YORK, "0 * * * *", "2026-11-01 00:30", "01 01:00-4, 01 01:00-5, 01 02:00-5"),
    (NEW_YORK, "*/30 1 * * *", "2026-11-01 00:30", "01 01:00-4, 01 01:30-4, 01 01:00-5, 01 01:30-5"),
    (NEW_YORK, "0,30 1 * * *", "2026-11-01 00:30", "01 01:00-4, 01 01:30-4, 02 01:00-5"),
    # London and Dublin 2026-10-25: 01:00 to 02:00 comes twice, in Dublin by leaving negative DST behind
    (LONDON, "30 1 * * *", "2026-10-24 12:00", "25 01:30+1, 26 01:30+0"),
    (DUBLIN, "30 1 * * *", "2026-10-24 12:00", "25 01:30+1, 26 01:30+0"),
    (DUBLIN, "30 1 * * *", "2026-03-28 12:00", "29 02:00+1, 30 01:30+1"),
    # Lord Howe: half an hour, forward on 2026-10-04 at 02:00, back on 2026-04-05 at 02:00
    (LORD_HOWE, "15 2 * * *", "2026-10-03 12:00", "04 02:30+11, 05 02:15+11"),
    (LORD_HOWE, "0 * * * *", "2026-10-04 00:30", "04 01:00+10.5, 04 03:00+11, 04 04:00+11"),
    (LORD_HOWE, "45 * * * *", "2026-04-05 00:50", "05 01:45+11, 05 01:45+10.5, 05 02:45+10.5"),
    (LORD_HOWE, "*/15 2 * * *", "2026-04-05 00:50", "05 02:00+10.5, 05 02:15+10.5, 05 02:30+10.5"),
    # Sao Paulo: midnight does not exist on 2018-11-04, 23:00 to 24:00 comes twice on 2018-02-17
    (SAO_PAULO, "0 0 * * *", "2018-11-03 12:00", "04 01:00-2, 05 00:00-2"),
    (SAO_PAULO, "30 23 * * *", "2018-02-17 12:00", "17 23:30-2, 18 23:30-3"),
    # Casablanca: back for Ramadan on 2026-02-15, forward on 2026-03-22
    (CASABLANCA, "30 2 * * *", "2026-02-14 12:00", "15 02:30+1, 16 02:30+0"),
    (CASABLANCA, "30 2 * * *", "2026-03-21 12:00", "22 03:00+1, 23 02:30+1"),
    # Tehran 2022-03-22: midnight does not exist
    (TEHRAN, "0 0 * * *", "2022-03-21 12:00", "22 01:00+4.5, 23 00:00+4.5"),
    # Apia: 2011-12-30 does not exist
    (APIA, "30 4 * * *", "2011-12-29 12:00", "31 00:00+14, 31 04:30+14, 01 04:30+14"),
    (APIA, "0 0 30 * *", "2011-12-29 12:00", "31 00:00+14, 30 00:00+14"),
    (APIA, "0 */6 * * *", "2011-12-29 12:00", "29 18:00-10, 31 00:00+14, 31 06:00+14"),
    # Beirut 2026-03-29: midnight does not exist
    (BEIRUT, "*/30 0 * * *", "2026-03-28 12:00", "30 00:00+3, 30 00:30+3"),
    (BEIRUT, "0 0 * * *", "2026-03-28 12:00", "29 01:00+3, 30 00:00+3"),
    # Troll: two hours, forward on 2026-03-29 at 01:00, back on 2026-10-25 at 03:00
    (TROLL, "30 2 * * *", "2026-03-28 12:00", "29 03:00+2, 30 02:30+2"),
    (TROLL, "0 * * * *", "2026-03-29 00:30", "29 03:00+2, 29 04:00+2, 29 05:00+2"),
    (TROLL, "0 * * * *", "2026-10-25 00:30", "25 01:00+2, 25 02:00+2, 25 01:00+0, 25 02:00+0, 25 03:00+0"),
    (TROLL, "30 1 * * *", "2026-10-24 12:00", "25 01:30+2, 26 01:30+0"),
]


@pytest.mark.parametrize("zone,text,after,wanted", ROWS)
def test_shifts_of_the_clock(zone: str, text: str, after: str, wanted: str) -> None:
    slots = wanted.split(", ")
    assert local_slots(text, zone, after, len(slots)) == slots


def test_a_start_in_the_second_pass_looks_past_it() -> None:
    after = datetime(2026, 11, 1, 6, 15, tzinfo=UTC)  # 01:15 for the second time
    found = cron("30 1 * * *", NEW_YORK).next_after(after)
    assert found == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


def test_a_fold_does_not_keep_the_search_in_a_circle() -> None:
    schedule, slot = cron("* 51 3 * * 0-5", "Pacific/Chatham"), datetime(2024, 4, 6, 13, 59, tzinfo=UTC)
    for _ in range(200):
        found = schedule.next_after(slot)
        assert found is not None
        assert found > slot
        slot = found


def test_a_half_hour_back_gives_both_passes() -> None:
    slots = local_slots("*/20 2 * dec */7", "America/Caracas", "2007-12-09 01:50", 6)
    assert slots == ["09 02:00-4", "09 02:20-4", "09 02:40-4", "09 02:40-4.5", "16 02:00-4.5", "16 02:20-4.5"]


@pytest.mark.parametrize(
    "text,moment,remark",
    [
        ("30 2 * * *", "2026-03-08T07:00:00+00:00", "02:30 is skipped by the clock: runs at 03:00"),
        ("30 1 * * *", "2026-11-01T05:30:00+00:00", "01:30 comes twice: first pass"),
        ("*/30 * * * *", "2026-11-01T06:30:00+00:00", "01:30 comes twice: second pass"),
        ("*/30 * * * *", "2026-03-08T07:00:00+00:00", None),
        ("0 3 * * *", "2026-03-08T07:00:00+00:00", None),
        ("30 2 * * *", "2026-03-09T06:30:00+00:00", None),
    ],
)
def test_a_slot_tells_what_the_clock_did(text: str, moment: str, remark: str | None) -> None:
    schedule = cron(text, NEW_YORK)
    slot = int(datetime.fromisoformat(moment).timestamp()) * 1_000
    assert schedule.next_ms(slot - 1) == slot
    assert schedule.slot_remark(slot) == remark
