"""What `beatd status` makes of what is stored, above all of files that differ between instances."""

from typing import Any

import pytest

from beatd.cli.status import OTHERS, REFUSING, about_files, judged
from beatd.core.registration import Applied
from tests.support.servers import RedisServer

NOW = 1_800_000_100_000
APPLIED = Applied("h2", NOW - 50_000, "a:1")


def record(file: str | None, at: int, **more: Any) -> dict[str, Any]:
    return {"file": file, "registered": at, "config_ok": True, "tzdata": "2025b", "seen": NOW - 100, **more}


def found(applied: Applied = APPLIED, **instances: dict[str, Any]) -> dict[str, Any]:
    lease = {"owner": "o", "until": str(NOW + 2_000), "ttl": "6000", "host": "a", "epoch": "7"}
    counts = {"total": 1, "out": 0, "blocked": 0}
    raw = {"lease": lease, "instances": instances, "entries": counts, "applied": applied, "oldest_due": None}
    return judged({**raw, "now": NOW})


@pytest.mark.parametrize(
    "other, code, stands",
    [
        (record("h2", NOW - 90_000), 0, "stored"),
        (record(None, 0), 0, "none"),
        (record("h3", NOW - 1_000), 1, "newer"),
        (record("h1", NOW - 90_000), 1, "older"),
        (record("h1", NOW - 90_000, seen=NOW - 18_000), 0, None),  # gone for three times the TTL
        (record("h2", NOW - 90_000, config_ok=False), 1, "stored"),
        ({"seen": NOW}, 0, "none"),  # of an earlier version
    ],
)
def test_files_that_differ_are_shown_and_end_it_with_1(other: dict[str, Any], code: int, stands: str | None) -> None:
    shown = found(a=record("h2", NOW - 50_000), b=other)
    assert shown["code"] == code
    assert shown["files"]["instances"].get("b", {}).get("stands") == stands
    assert shown["files"]["agree"] is (code == 0)


def test_each_instance_with_other_files_has_a_line() -> None:
    shown = found(a=record("h2", NOW - 50_000), b=record("h3", NOW), c=record("h1", 5, config_ok=False))
    assert list(about_files(shown["files"])) == [
        "of a:1, registered 2027-01-15T08:00:50Z",
        f"b has others, registered 2027-01-15T08:01:40Z, {OTHERS['newer']}",
        "c has others, registered 1970-01-01T00:00:00.005Z, " + OTHERS["older"],
        "c can't use its files as they are now and goes on with the last good ones: beatd check",
    ]


def test_a_leader_that_refuses_its_own_files_is_sent_to_its_log() -> None:
    shown = found(a=record("h2", NOW - 50_000), b=record("h3", NOW))
    assert list(about_files(shown["files"], "b"))[1].endswith(f", {REFUSING}")


def test_who_is_silent_is_no_standby() -> None:
    shown = found(a=record("h2", NOW - 50_000, seen=NOW - 100), b=record("h2", NOW - 50_000, seen=NOW - 7_000))
    assert (shown["standbys"], shown["silent"]) == ([], ["b"])


def test_files_that_are_stored_in_part_are_told() -> None:
    shown = found(Applied(begun=True), a=record("h2", NOW - 50_000))
    assert (shown["code"], next(iter(about_files(shown["files"])))) == (1, "none are applied in full")


def test_a_broken_file_is_not_needed_where_flags_say_what_is_meant(
    beatd: Any, schedules: Any, clean_redis: RedisServer
) -> None:
    schedules("schedules:\n  a: {task: t, every: 1h\n b: [")
    assert beatd("status", "--redis", clean_redis.url).code == 3
    done = beatd("status", "--redis", clean_redis.url, "--namespace", "other")
    assert done.code == 2
    assert "beatd check tells more" in done.err
