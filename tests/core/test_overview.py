"""What is made of what the store says: ok, degraded, no leader, and why."""

from typing import Any

import pytest

from beatd.core.overview import Counts, Overview, Refusal, judged
from beatd.core.registration import Applied

NOW = 1_800_000_100_000
APPLIED = Applied("h2", NOW - 50_000, "a:1")
LEASE = {"owner": "o", "until": str(NOW + 2_000), "ttl": "6000", "host": "a", "epoch": "7"}


def record(file: str | None = None, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"file": file, "registered": at, "config_ok": True, "tzdata": "2025b", "seen": NOW - 100, **more}


def overview(applied: Applied = APPLIED, lease: dict[str, str] | None = None, **changes: Any) -> Overview:
    given = {"instances": {"a": record("h2", NOW - 50_000)}, "counts": Counts({"scheduled": 1}, NOW), **changes}
    return Overview(now=NOW, lease=LEASE if lease is None else lease, applied=applied, **given)


def of_instances(applied: Applied = APPLIED, **instances: dict[str, Any]) -> dict[str, Any]:
    return judged(overview(applied, instances=instances))


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
    shown = of_instances(a=record("h2", NOW - 50_000), b=other)
    assert shown["code"] == code
    assert shown["files"]["instances"].get("b", {}).get("stands") == stands
    assert shown["files"]["agree"] is (code == 0)
    assert bool(shown["degraded"]) is (code == 1)


def test_who_is_silent_is_no_standby() -> None:
    shown = of_instances(a=record("h2", NOW - 50_000), b=record("h2", NOW - 50_000, seen=NOW - 7_000))
    assert (shown["standbys"], shown["silent"], shown["code"]) == ([], ["b"], 0)
    assert shown["warnings"] == ["b was not heard of for longer than a lease's time to live"]


@pytest.mark.parametrize("key, what", [("version", "beatd"), ("tzdata", "zone data")])
def test_different_versions_are_a_warning(key: str, what: str) -> None:
    one, two = {"seen": NOW, key: "1"}, {"seen": NOW, key: "2"}
    shown = of_instances(a=one, b=two, c=two)
    assert shown["warnings"] == [f"instances have different versions of {what}: 1 on a; 2 on b, c"]
    assert shown["code"] == 0


def test_a_loop_that_was_late_is_a_warning() -> None:
    shown = of_instances(a=record(lag_ms=2_500))
    assert shown["warnings"] == ["a was 2.5 s late in its own loop in the last minute: its host is overloaded"]
    assert shown["instances"]["a"]["loop_lag_ms"] == 2_500


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"oldest_due": NOW - 60_001}, "an entry is due since 2027-01-15T08:00:39.999Z, 60 s ago, and was not fired"),
        ({"counts": Counts({"invalid": 1}, NOW)}, "1 entry is invalid and will not fire"),
        ({"counts": Counts({"blocked": 2}, NOW)}, "2 entries are blocked: the queue is a key of another type"),
        ({"spoilt": ["T:hist holds a string"]}, "T:hist holds a string"),
    ],
)
def test_what_keeps_entries_from_firing_is_told_and_ends_it_with_1(changes: dict[str, Any], says: str) -> None:
    shown = judged(overview(**changes))
    assert (shown["code"], shown["state"], len(shown["degraded"])) == (1, "degraded", 1)
    assert shown["degraded"][0].startswith(says)


def test_a_minute_behind_is_not_degraded_yet() -> None:
    shown = judged(overview(oldest_due=NOW - 60_000))
    assert (shown["code"], shown["lag_ms"], shown["degraded"]) == (0, 60_000, [])


@pytest.mark.parametrize(
    "lease, instances, says",
    [
        (
            {},
            {},
            "nobody leads, and nobody has ever led in this namespace: no instance is alive: start one (beatd run)",
        ),
        (
            {**LEASE, "until": str(NOW - 1_500)},
            {"b": record()},
            "nobody leads: the lease of a ran out 1.5 s ago, 1 instance is alive and should take over at once",
        ),
        ({**LEASE, "owner": "", "until": "0"}, {}, "nobody leads: a gave the lease back, no instance is alive"),
        ({"owner": "o", "until": "nan"}, {}, "nobody leads: the lease of ? ran out 1,800,000,100.0 s ago"),
    ],
)
def test_without_a_leader_it_ends_with_2_and_says_why(
    lease: dict[str, str], instances: dict[str, Any], says: str
) -> None:
    shown = judged(overview(lease=lease, instances=instances))
    assert (shown["code"], shown["leader"], shown["lease_left_ms"]) == (2, None, 0)
    assert shown["degraded"][0].startswith(says)


def test_the_json_has_the_names_of_the_contract() -> None:
    refusals = [Refusal(NOW, "x", "missed", "late"), Refusal(None, "y", "invalid", "no")]
    shown = judged(overview(late_ms=[1, 2, 900], late_since=NOW - 5_000, refusals=refusals))
    names = {"leader", "epoch", "lease_left_ms", "standbys", "entries", "lateness_ms", "last_refusal"}
    assert names <= shown.keys()
    assert shown["lateness_ms"] == {"p50": 2, "p99": 900, "fires": 3, "since": "2027-01-15T08:01:35Z"}
    assert shown["last_refusal"] == {
        "at": "2027-01-15T08:01:40Z", "name": "x", "reason": "missed", "why": "late",
    }  # fmt: skip
    assert shown["entries"] == {
        "total": 1, "scheduled": 1, "paused": 0, "disabled": 0, "finished": 0, "blocked": 0, "invalid": 0,
    }  # fmt: skip


def test_a_name_of_the_files_that_others_hold_is_degraded_and_comes_with_the_way_out() -> None:
    shown = of_instances(a=record("h2", NOW - 50_000, held={"count": 1, "names": ["cleanup"]}))
    line = "1 entry of the files is not in effect, for others hold the name: cleanup; "
    assert shown["code"] == 1
    assert shown["degraded"] == [f"{line}beatd rm cleanup gives a name to the files, or take it out of them"]
    many = of_instances(a=record("h2", NOW - 50_000, held={"count": 5, "names": ["a", "b", "c"]}))
    assert (
        "5 entries of the files are not in effect, for others hold the name: a, b, c and 2 more"
        in (many["degraded"][0])
    )


@pytest.mark.parametrize("held", [None, {"count": 0, "names": []}, 7, {"count": "x"}, []])
def test_where_nobody_holds_a_name_or_the_record_is_spoilt_nothing_is_told(held: Any) -> None:
    assert of_instances(a=record("h2", NOW - 50_000, held=held))["degraded"] == []


def test_what_a_standby_says_of_held_names_does_not_count() -> None:
    ours, theirs = record("h2", NOW - 50_000), record("h2", NOW - 50_000, held={"count": 1, "names": ["x"]})
    assert of_instances(a=ours, b=theirs)["degraded"] == []


def test_a_broker_that_takes_no_messages_is_told_of_with_its_address() -> None:
    down = {"url": "amqp://ann:***@mq/", "down_s": 75, "held": 3}
    (told,) = of_instances(a=record("h2", NOW - 50_000, broker=down))["degraded"]
    assert "amqp://ann:***@mq/" in told
    assert "for 75 s" in told


@pytest.mark.parametrize("broker", [None, {"url": "amqp://mq/", "down_s": 0, "held": 0}, 7, {"down_s": "x"}, []])
def test_a_broker_that_takes_messages_or_a_spoilt_record_is_not(broker: Any) -> None:
    assert of_instances(a=record("h2", NOW - 50_000, broker=broker))["degraded"] == []
