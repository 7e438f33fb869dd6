"""`beatd next`: what it takes, what it shows, and how it says no."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from beatd.cli.show import coloured
from tests.support.servers import RedisServer, free_port

NEW_YORK = ("--tz", "America/New_York")
SPRING = ("--from", "2026-03-08T00:00:00Z")
Write = Callable[[str], None]


def slots(done: Any) -> list[str]:
    assert done.code == 0, done.err
    return [row["slot"] for row in done.json]


def test_json_tells_each_slot_in_utc_on_the_wall_and_from_the_given_instant(beatd: Any) -> None:
    done = beatd("next", "--cron", "30 2 * * *", *NEW_YORK, *SPRING, "-n", "2", "-o", "json")
    assert done.json == [
        {
            "slot": "2026-03-08T07:00:00Z",
            "local": "2026-03-08T03:00:00-04:00",
            "zone": "America/New_York",
            "in_s": 7 * 3600,
            "dst": "02:30 is skipped by the clock: runs at 03:00",
            "words": "at 02:30 every day",
        },
        {
            "slot": "2026-03-09T06:30:00Z",
            "local": "2026-03-09T02:30:00-04:00",
            "zone": "America/New_York",
            "in_s": 109_800,
            "dst": None,
            "words": "at 02:30 every day",
        },
    ]
    assert done.err == ""


def test_a_gap_is_marked_in_the_table(beatd: Any) -> None:
    done = beatd("next", "30 2 * * *", *NEW_YORK, *SPRING, "-n", "3")
    assert done.out == (
        "at 02:30 every day, America/New_York\n"
        "\n"
        "America/New_York                UTC                   LATER      DST\n"
        "Sun 2026-03-08 03:00:00 -04:00  2026-03-08T07:00:00Z  7 h later  "
        "02:30 is skipped by the clock: runs at 03:00\n"
        "Mon 2026-03-09 02:30:00 -04:00  2026-03-09T06:30:00Z  1 d later\n"
        "Tue 2026-03-10 02:30:00 -04:00  2026-03-10T06:30:00Z  2 d later\n"
    )


def test_a_fold_is_marked_in_both_passes(beatd: Any) -> None:
    rows = beatd("next", "30 * * * *", *NEW_YORK, "--from", "2026-11-01T00:45", "-n", "3", "-o", "json").json
    assert [(row["local"], row["dst"]) for row in rows] == [
        ("2026-11-01T01:30:00-04:00", "01:30 comes twice: first pass"),
        ("2026-11-01T01:30:00-05:00", "01:30 comes twice: second pass"),
        ("2026-11-01T02:30:00-05:00", None),
    ]


@pytest.mark.parametrize(
    "zone, since, local, slot",
    [
        ("Australia/Lord_Howe", "2026-10-04T00:00", "2026-10-04T02:30:00+11:00", "2026-10-03T15:30:00Z"),
        ("Asia/Kathmandu", "2026-10-04T00:00", "2026-10-04T02:15:00+05:45", "2026-10-03T20:30:00Z"),
        ("Pacific/Apia", "2011-12-29T12:00", "2011-12-31T00:00:00+14:00", "2011-12-30T10:00:00Z"),
        ("America/New_York", "1800-01-01T00:00", "1800-01-01T02:15:00-04:56:02", "1800-01-01T07:11:02Z"),
        ("Etc/GMT-14", "2026-10-04T00:00", "2026-10-04T02:15:00+14:00", "2026-10-03T12:15:00Z"),
    ],
)
def test_odd_zones_keep_their_offsets(beatd: Any, zone: str, since: str, local: str, slot: str) -> None:
    (row,) = beatd("next", "15 2 * * *", "--tz", zone, "--from", since, "-n", "1", "-o", "json").json
    assert (row["local"], row["slot"]) == (local, slot)
    assert datetime.fromisoformat(row["local"]) == datetime.fromisoformat(row["slot"])


def test_the_last_hours_of_the_calendar_are_shown_in_utc_where_the_wall_has_no_year(beatd: Any) -> None:
    given = ("--at", "9999-12-31T20:00:00Z", "--tz", "Asia/Tokyo", "--from", "9999-01-01T00:00")
    (row,) = beatd("next", *given, "-o", "json").json
    assert row["local"] == row["slot"] == "9999-12-31T20:00:00Z"
    assert beatd("next", *given).code == 0


def test_without_from_it_counts_from_now(beatd: Any) -> None:
    before = time.time()
    (row,) = beatd("next", "* * * * *", "-n", "1", "-o", "json").json
    after = time.time()
    slot = datetime.fromisoformat(row["slot"]).timestamp()
    assert slot - after - 0.001 <= row["in_s"] <= slot - before + 0.001
    assert slot > before
    assert "FROM NOW" in beatd("next", "* * * * *").out


def test_from_is_exclusive_and_until_inclusive(beatd: Any) -> None:
    bounds = ("--from", "2026-01-01T00:00", "--until", "2026-01-01T03:00")
    found = slots(beatd("next", "0 * * * *", *bounds, "-o", "json"))
    assert found == ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]


def test_bounds_without_an_offset_are_wall_time_in_the_schedules_zone(beatd: Any) -> None:
    found = slots(beatd("next", "0 9 * * *", "--tz", "Asia/Tokyo", "--from", "2026-01-01T08:59", "-n1", "-o", "json"))
    assert found == ["2026-01-01T00:00:00Z"]


def test_until_tells_how_many_more_there_are(beatd: Any) -> None:
    done = beatd("next", "0 * * * *", "--from", "2026-01-01T00:00Z", "--until", "2026-01-03T00:00Z", "-n", "8")
    assert done.err == "note: 40 more up to --until: -n shows more\n"
    done = beatd("next", "* * * * * *", "--from", "2026-01-01T00:00Z", "--until", "2026-01-03T00:00Z")
    assert done.err == "note: at least 10,000 more up to --until: -n shows more\n"


@pytest.mark.parametrize(
    "words, first",
    [
        (["@daily"], "2026-01-02T00:00:00Z"),
        (["*/5 * * * *"], "2026-01-01T00:05:00Z"),
        (["0 30 9 * * mon"], "2026-01-05T09:30:00Z"),
        (["0 9 1 2 tue"], "2026-02-01T09:00:00Z"),
        (["90s", "--start", "2026-01-01T00:00:30Z"], "2026-01-01T00:00:30Z"),
        (["PT15M", "--anchor", "2025-01-01T00:05Z"], "2026-01-01T00:05:00Z"),
        (["1h30m", "--anchor", "2026-01-01T01:00Z"], "2026-01-01T01:00:00Z"),
        (["--every", "200ms", "--fast", "--anchor", "2026-01-01T00:00Z"], "2026-01-01T00:00:00.200Z"),
        (["2026-12-01T09:00", "--tz", "Europe/Paris"], "2026-12-01T08:00:00Z"),
        (["FREQ=WEEKLY;BYDAY=FR;BYHOUR=18"], "2026-01-02T18:00:00Z"),
        (["--cron", "0 0 1 * mon", "--day", "and"], "2026-06-01T00:00:00Z"),
        (["--cron", "H 3 * * *", "--hash-id", "x"], "2026-01-01T03:03:00Z"),
        (["nightly", "--cron", "H 3 * * *"], "2026-01-01T03:06:00Z"),
    ],
)
def test_every_kind_of_schedule_is_taken(beatd: Any, words: list[str], first: str) -> None:
    assert slots(beatd("next", *words, "--from", "2026-01-01T00:00:00Z", "-n", "1", "-o", "json")) == [first]


def test_a_name_decides_the_grid_of_an_interval(beatd: Any) -> None:
    named = beatd("next", "backup", "--every", "1d", "-n", "1", "-o", "json")
    bare = beatd("next", "1d", "-n", "1", "-o", "json")
    assert not named.json[0]["slot"].endswith("T00:00:00Z")
    assert "anchor_assumed" not in named.json[0]
    assert named.err == ""
    assert bare.json[0]["slot"].endswith("T00:00:00Z")
    assert bare.json[0]["anchor_assumed"] is True
    assert "assumed to count from 1970-01-01T00:00:00Z" in bare.err


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--at", "2020-01-01T00:00Z"], "its only slot, 2020-01-01T00:00:00Z, is not after 2026-01-01T00:00:00Z"),
        (["* * * * *", "--end", "2025-06-01T00:00Z"],
         "the schedule ends 2025-06-01T00:00:00Z; its last slot was 2025-06-01T00:00:00Z"),
        (["0 0 1 6 *", "--until", "2026-02-01T00:00Z"],
         "the next slot is 2026-06-01T00:00:00Z, after 2026-02-01T00:00:00Z"),
        (["FREQ=DAILY;COUNT=3", "--start", "2025-01-01T00:00Z"], "its last slot was 2025-01-03T00:00:00Z"),
        (["0 0 1 1 *", "--start", "2025-02-01T00:00Z", "--end", "2025-03-01T00:00Z"],
         "no slot lies between start and end"),
    ],
)  # fmt: skip
def test_without_a_slot_it_says_why_and_ends_with_1(beatd: Any, words: list[str], reason: str) -> None:
    done = beatd("next", *words, "--from", "2026-01-01T00:00:00Z")
    assert (done.code, done.out, done.err) == (1, "", f"beatd: no slot: {reason}\n")
    done = beatd("next", *words, "--from", "2026-01-01T00:00:00Z", "-o", "json")
    assert (done.code, done.json) == (1, [])
    assert done.error == {"error": "no_slot", "code": 1, "message": f"no slot: {reason}", "hint": None}
    done = beatd("next", *words, "--from", "2026-01-01T00:00:00Z", "-o", "ndjson")
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize(
    "words, message, hint",
    [
        (["61 * * * *"], "cron: minute: found '61'; accepted are *, 0-59, H, with lists, ranges and steps", None),
        (["* * * *"], "cron: found 4 fields", None),
        (["@reboot"], "cron: found '@reboot'", "a scheduler has no boot"),
        (["0 0 31 2 *"], "never fires", "L is the last day"),
        (["H 2 * * *"], "nothing to spread by", "hash_id"),
        (["30"], "'30' has no unit", "write 30s"),
        (["10ms"], "at least 1s is accepted", "fast"),
        (["* * * * *", "--tz", "Europe/Pariss"], "timezone: found 'Europe/Pariss'", "did you mean Europe/Paris?"),
        (["2026-13-01T00:00"], "at: '2026-13-01T00:00' is no instant", None),
        (["2026-12-01T25:00"], "is no instant: a time of day lies between 00:00 and 23:59:59.999", None),
        (["2026-02-30T00:00"], "is no instant: there is no day 2026-02-30", None),
        (["--every", "5m", "--anchor", "2026-01-01T00:00+25:00"], "an offset lies between -23:59 and +23:59", None),
        (["--every", "5m", "--start", "2026-12-01T09:00+01"], "; write 2026-12-01T09:00+01:00; accepted", None),
        (["--every", "5m", "--start", "2026-12-01T09:00-0530"], "; write 2026-12-01T09:00-05:30; accepted", None),
        (["--cron", "* * * * *", "--every", "5m"], "found cron and every", None),
        (["* * * * *", "--anchor", "2026-01-01T00:00"], "anchor: not a key of cron, but of every", None),
    ],
)
def test_a_bad_schedule_ends_with_3_and_a_hint(beatd: Any, words: list[str], message: str, hint: str | None) -> None:
    done = beatd("next", *words)
    assert (done.code, done.out) == (3, "")
    assert message in done.err
    error = beatd("next", *words, "-o", "json").error
    assert error["code"] == 3
    assert message in error["message"]
    assert hint in error["hint"] if hint else error["hint"] is None


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "say which schedule"),
        (["--tz", "UTC"], "say which schedule"),
        (["*/5", "*", "*", "*", "*"], "found 5 words; a cron expression is one, in quotes"),
        (["*/5 * * * *", "--every", "5m"], "found two schedules"),
        (["* * * * *", "--from", "yesterday"], "--from: found 'yesterday'"),
        (["* * * * *", "--from", "2026-01-01"], "--from: found '2026-01-01'"),
        (["* * * * *", "--until", "2020-01-01T00:00"], "--until lies before now"),
        (["* * * * *", "-n", "0"], "'-n'"),
    ],
)
def test_misuse_ends_with_2(beatd: Any, words: list[str], message: str) -> None:
    done = beatd("next", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    error = beatd("next", *words, "--output=ndjson").error
    assert (error["error"], error["code"]) == ("usage", 2)
    assert message in error["message"]


FILE = """
timezone: Europe/Paris
schedules:
  nightly-report: {task: t, cron: "0 2 * * *"}
  spread: {task: t, every: 1h, jitter: 10m, enabled: false}
  "@nightly": {task: t, cron: "0 3 * * *"}
"""


def test_an_entry_of_the_file_is_found_by_name(beatd: Any, schedules: Write) -> None:
    schedules(FILE)
    done = beatd("next", "nightly-report", "--from", "2026-01-01T00:00:00Z", "-n", "1", "-o", "json")
    assert (done.json[0]["local"], done.json[0]["zone"]) == ("2026-01-01T02:00:00+01:00", "Europe/Paris")


def test_options_change_an_entrys_schedule_for_one_look(beatd: Any, schedules: Write) -> None:
    schedules(FILE)
    look = ("next", "nightly-report", "--tz", "Asia/Tokyo", "--end", "2026-01-02T03:00")
    done = beatd(*look, "--from", "2026-01-01T00:00:00Z", "-o", "json")
    assert [row["local"] for row in done.json] == ["2026-01-02T02:00:00+09:00"]


def test_the_file_is_named_with_c(beatd: Any, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(FILE)
    assert beatd("next", "nightly-report").code == 4
    assert beatd("next", "nightly-report", "-c", "other.yaml").code == 0


def test_a_name_that_looks_like_a_schedule_and_is_none_is_looked_up(beatd: Any, schedules: Write) -> None:
    schedules(FILE)
    assert beatd("next", "@nightly", "-n", "1", "-o", "json").json[0]["words"] == "at 03:00 every day"


def test_what_else_decides_about_an_entrys_runs_is_told(beatd: Any, schedules: Write) -> None:
    schedules(FILE)
    err = beatd("next", "spread", "-n", "1").err
    assert "note: 'spread' is disabled: none of this runs as things are" in err
    assert "note: jitter: each run is sent 4m50s899ms after its slot" in err


def test_an_unknown_name_ends_with_4_and_the_nearest_one(beatd: Any, schedules: Write) -> None:
    assert beatd("next", "nightly").code == 4
    schedules(FILE)
    done = beatd("next", "nightly-reprot", "-o", "json")
    assert (done.code, done.out) == (4, "")
    assert done.error == {
        "error": "not_found",
        "code": 4,
        "message": "there is no entry 'nightly-reprot' in schedules.yaml",
        "hint": "did you mean 'nightly-report'?",
    }


def test_where_there_are_no_entries_at_all_a_name_is_answered_with_how_to_create_one(
    beatd: Any, clean_redis: RedisServer
) -> None:
    done = beatd("next", "nightly", "--redis", clean_redis.url, "-o", "json")
    assert (done.code, done.error["message"]) == (4, "there is no entry 'nightly' in Redis")
    assert done.error["hint"].startswith("there are no entries yet; create one: beatd set NAME --task")


def test_a_broken_file_does_not_stand_in_the_way_of_a_bare_schedule(beatd: Any, schedules: Write) -> None:
    schedules("schedules: [")
    assert beatd("next", "* * * * *").code == 0
    assert beatd("next", "61 * * * *").err.startswith("beatd: cron: minute")
    assert beatd("next", "nightly").code == 3


def test_an_entry_of_redis_is_found_by_name(beatd: Any, schedules: Write, clean_redis: RedisServer) -> None:
    schedules(FILE)
    given = ("--redis", clean_redis.url)
    assert beatd("set", "stored", "--task", "t", "--cron", "15 4 * * *", "--tz", "Asia/Tokyo", *given).code == 0
    done = beatd("next", "stored", *given, "-n", "1", "-o", "json")
    assert (done.json[0]["words"], done.json[0]["zone"]) == ("at 04:15 every day", "Asia/Tokyo")
    missing = beatd("next", "storde", *given)
    assert (missing.code, missing.err) == (
        4,
        "beatd: there is no entry 'storde' in schedules.yaml or Redis\n  hint: did you mean 'stored'?\n",
    )


def test_an_unreachable_redis_matters_only_to_a_name_that_is_not_in_the_file(beatd: Any, schedules: Write) -> None:
    schedules(FILE)
    given = ("--redis", f"redis://127.0.0.1:{free_port()}/0")
    assert beatd("next", "nightly-report", *given).code == 0
    assert beatd("next", "* * * * *", *given).code == 0
    assert beatd("next", "stored", *given).code == 6


def test_beatd_tz_adds_a_column_and_changes_no_slot(beatd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    look = ("next", "0 9 * * *", "--tz", "Asia/Tokyo", "--from", "2026-01-01T00:00Z", "-n", "1")
    rows = beatd(*look, "-o", "json").out
    monkeypatch.setenv("BEATD_TZ", "Europe/Paris")
    assert beatd(*look).lines[2:] == [
        "Asia/Tokyo                      UTC                   Europe/Paris                LATER",
        "Fri 2026-01-02 09:00:00 +09:00  2026-01-02T00:00:00Z  2026-01-02 01:00:00 +01:00  1 d later",
    ]
    assert beatd(*look, "-o", "json").out == rows
    monkeypatch.setenv("BEATD_TZ", "Paris")
    done = beatd(*look)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("beatd: BEATD_TZ: found 'Paris'")


@pytest.mark.process
def test_zone_data_come_from_beatd_tzpath(tmp_path: Path) -> None:
    folder = tmp_path / "Test"
    folder.mkdir()
    head = b"TZif2" + bytes(15) + bytes(16) + b"\0\0\0\1\0\0\0\4" + b"\0\0\x62\x70\0\0TST\0"
    (folder / "Odd").write_bytes(head + head + b"\n<+07>-7\n")
    command = [sys.executable, "-m", "beatd", "next", "0 9 * * *", "--tz", "Test/Odd", "-n1", "-o", "json"]
    env = {**os.environ, "BEATD_TZPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)
    assert "T02:00:00Z" in done.stdout, done.stderr


def test_a_folder_without_zone_files_ends_with_3(beatd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATD_TZPATH", "none")
    done = beatd("next", "* * * * *")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("beatd: BEATD_TZPATH: none holds no zone files")


def test_ndjson_is_an_object_a_line(beatd: Any) -> None:
    done = beatd("next", "* * * * * *", "-n", "1001", "-o", "ndjson")
    assert len(done.lines) == 1001
    assert all(line.startswith('{"slot": "') for line in done.lines)


@pytest.mark.process
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "beatd", "next", "* * * * *", "-n", "20000", "-o", "ndjson"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=_env()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def _env(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm", **more}


@pytest.mark.process
def test_on_a_terminal_rows_that_the_clock_touches_are_coloured(tmp_path: Path) -> None:
    words = ["next", "30 2 * * *", *NEW_YORK, *SPRING, "-n", "2"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "beatd", *words], stdout=theirs, stderr=subprocess.PIPE, cwd=tmp_path, env=_env()
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65_536)
        except OSError:  # the other side is closed: all is read
            break
    os.close(ours)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"\x1b[33mSun 2026-03-08" in shown
    assert b"\x1b[33mMon 2026-03-09" not in shown


@pytest.mark.parametrize(
    "env, wanted",
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(tmp_path: Path, env: dict[str, str], wanted: bool) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, (tmp_path / "file").open("w") as file:
        assert coloured(terminal, env) is wanted
        assert not coloured(file, env)
    os.close(ours)


@pytest.mark.process
def test_a_bare_schedule_loads_neither_redis_nor_yaml(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['beatd', 'next', '* * * * *']\n"
        "from beatd.cli import main\n"
        "heavy = {'redis', 'yaml', 'asyncio', 'croniter', 'dateutil'}\n"
        "try: main()\n"
        "finally: print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=_env(),
        timeout=30,
        check=True,
    )
    assert done.stderr == "\n"


def test_the_clock_of_the_answer_is_utc(beatd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (row,) = beatd("next", "* * * * *", "-n", "1", "-o", "json").json
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert 0 <= (datetime.fromisoformat(row["slot"]) - datetime.now(UTC)).total_seconds() <= 60
