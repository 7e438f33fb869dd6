"""Findings: what each fact is taken for, and that whatever is not ok comes with something to do."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from beatd.core.census import Sizes
from beatd.core.doctor import Finding, fail, ok, verdict, warn
from beatd.core.doctor.fleet import (
    ZoneVersions,
    entry_findings,
    instance_findings,
    key_findings,
    lease_findings,
    zone_findings,
)
from beatd.core.doctor.host import (
    ConfigFacts,
    EndpointFacts,
    FolderFacts,
    UnitFacts,
    config_finding,
    endpoint_finding,
    folder_finding,
    parser_finding,
    unit_findings,
)
from beatd.core.doctor.queues import QueueFacts, Tried, publish_finding, queue_findings, slot_of
from beatd.core.doctor.sentinel import SentinelFacts, sentinel_findings
from beatd.core.doctor.server import ServerHealth, server_findings
from beatd.core.overview import Counts, Overview
from beatd.core.registration import Applied
from beatd.core.server import ServerFacts

NOW = 1_800_000_000_000
SOUND = {"version": "7.0.15", "cluster": False, "policy": "noeviction", "append_only": True, "saves": ""}
LEASE = {"owner": "o", "until": str(NOW + 2_000), "ttl": "6000", "host": "a", "epoch": "7"}


def levels(findings: Iterable[Finding]) -> dict[str, str]:
    """Check -> level; whatever is not ok says what to do."""
    found = list(findings)
    assert all(bool(finding.fix) is (finding.level != "ok") for finding in found)
    return {finding.check: finding.level for finding in found}


def health(facts: dict[str, Any] | None = None, **changes: Any) -> ServerHealth:
    given = {"ping_ms": 0.2, "role": "master", "used": 10, "most": 0, **changes}
    return ServerHealth(ServerFacts(**{**SOUND, **(facts or {})}), **given)


@pytest.mark.parametrize(
    "given, check, level",
    [
        (health(), "version", "ok"),
        (health({"version": "6.0.16"}), "version", "fail"),
        (health({"cluster": True}), "version", "fail"),
        (health({"version": None}), "version", "ok"),
        (health(role="slave"), "role", "fail"),
        (health(ping_ms=50.1), "latency", "warn"),
        (health(unsaved=("aof_last_write_status",)), "persistence", "fail"),
        (health({"append_only": False}), "persistence", "warn"),
        (health({"append_only": False, "saves": "3600 1"}), "persistence", "ok"),
        (health({"policy": "allkeys-lru"}), "eviction", "warn"),
        (health(used=89, most=100), "memory", "ok"),
        (health(used=91, most=100), "memory", "warn"),
        (health(used=100, most=100), "memory", "fail"),
        (health(used=None), "memory", "ok"),
        (health(denied=("lpush",), acl_line="ACL SETUSER x"), "rights", "fail"),
        (health({"lacks": ("publish",)}), "rights", "warn"),
        (health({"ahead_ms": -5_001}), "clock", "warn"),
        (health({"ahead_ms": 5_000}), "clock", "ok"),
        (health({"policy": None}), "server", "warn"),
    ],
)
def test_a_server_is_judged_by_what_it_says(given: ServerHealth, check: str, level: str) -> None:
    found = levels(server_findings(given, "Redis at x"))
    assert found.pop(check) == level
    assert set(found.values()) <= {"ok"}


def overview(instances: dict[str, Any] | None = None, **changes: Any) -> Overview:
    living = {"a": {"seen": NOW, "version": "1", "tzdata": "2026b"}} if instances is None else instances
    return Overview(now=NOW, lease=changes.pop("lease", LEASE), counts=Counts({}, NOW), instances=living, **changes)


def test_a_healthy_fleet_has_nothing_to_mend() -> None:
    found = overview()
    findings = [*lease_findings(found), *instance_findings(found), *zone_findings(found, ZoneVersions("2026b", ""))]
    assert set(levels(findings).values()) == {"ok"}
    assert [f.text for f in findings if f.check == "instances"] == ["1 alive, no standby"]


def test_nobody_who_leads_and_nothing_that_fires_are_failures() -> None:
    assert levels(lease_findings(overview(lease={}))) == {"lease": "fail", "lag": "ok"}
    assert levels(lease_findings(overview(oldest_due=NOW - 60_001))) == {"lease": "ok", "lag": "fail"}


@pytest.mark.parametrize(
    "b, expected",
    [
        ({"version": "1"}, {"instances": "ok", "files": "ok"}),
        ({"version": "2"}, {"instances": "warn", "files": "ok"}),
        ({"version": "1", "seen": NOW - 7_000}, {"instances": "warn", "files": "ok"}),
        ({"version": "1", "file": "h9", "registered": 5}, {"instances": "ok", "files": "fail"}),
        ({"version": "1", "config_ok": False}, {"instances": "ok", "files": "fail"}),
    ],
)
def test_instances_that_are_not_one_fleet_are_told(b: dict[str, Any], expected: dict[str, str]) -> None:
    instances = {"a": {"seen": NOW, "version": "1"}, "b": {"seen": NOW, **b}}
    assert levels(instance_findings(overview(instances, applied=Applied("h", NOW, "a")))) == expected


@pytest.mark.parametrize(
    "here, stored, theirs, level",
    [
        ("2026b", "2026b", "2026b", "ok"),
        ("2026b", "2026c", "2026b", "warn"),
        ("2026b", "", "2026c", "warn"),  # two instances, two versions
        ("2026a", "2026a", "2026b", "ok"),
        ("", "", "2026b", "ok"),
    ],
)
def test_zone_data_that_differ_or_are_old_are_told(here: str, stored: str, theirs: str, level: str) -> None:
    instances = {"a": {"seen": NOW, "tzdata": "2026b"}, "b": {"seen": NOW, "tzdata": theirs}}
    (finding,) = zone_findings(overview(instances), ZoneVersions(here, stored))
    assert (finding.level, bool(finding.fix)) == (level, level != "ok")


def test_zone_data_of_two_years_ago_are_old() -> None:
    (finding,) = zone_findings(overview({}), ZoneVersions("2025a", ""))  # NOW lies in 2027
    assert finding.level == "warn"


def test_an_entry_in_no_place_is_told() -> None:
    assert levels(entry_findings(Sizes(3, 3, 1, 1, 1))) == {"entries": "ok"}
    (finding,) = entry_findings(Sizes(3, 4, 1, 1, 0))
    assert (finding.level, finding.text) == (
        "warn", "3 entries, +1 definitions and -1 places that belong to none",
    )  # fmt: skip


def test_a_key_that_somebody_has_overwritten_fails_with_its_name() -> None:
    assert levels(key_findings({})) == {"keys": "ok"}
    (finding,) = key_findings({"due": "T:due holds a hash, beatd keeps a zset there: rename or delete that key"})
    assert finding == fail("keys", "T:due holds a hash, beatd keeps a zset there", "rename or delete that key")


@pytest.mark.parametrize(
    "queue, level, says",
    [
        (QueueFacts("q", "none", 0, 0), "ok", "q (0 waiting)"),
        (QueueFacts("q", "list", None, None), "ok", "q (may not be read)"),
        (QueueFacts("q", "list", 5, 5, NOW - 60_000), "ok", "q (5 waiting)"),
        (QueueFacts("q", "list", 5, 5, NOW - 60_001), "warn", "nobody takes the next one"),
        (QueueFacts("q", "list", 999, 999), "ok", "q (999 waiting)"),
        (QueueFacts("q", "list", 1_000, 1_003), "warn", "1,003 messages wait, 3 more than a moment ago"),
        (QueueFacts("q", "list", 5_000, 4_000), "ok", "q (4,000 waiting)"),  # a worker is at it
        (QueueFacts("q", "string", None, None), "fail", "the key q is a string, no list"),
    ],
)
def test_a_queue_that_nobody_consumes_is_told(queue: QueueFacts, level: str, says: str) -> None:
    (finding,) = queue_findings([queue], NOW)
    assert (finding.level, bool(finding.fix)) == (level, level != "ok")
    assert says in finding.text


def test_a_queue_of_a_priority_is_named_as_people_know_it() -> None:
    key = "celery\x06\x163"
    fine, full, odd = queue_findings(
        [QueueFacts(key, "list", 1_000, 1_000), QueueFacts(key, "string", None, None), QueueFacts(key, "none", 0, 0)],
        NOW,
    )
    assert fine.text.startswith("celery, priority 3: 1,000 messages wait")
    assert fine.fix.endswith("-Q celery")
    assert full.text == "the key celery, priority 3 is a string, no list: its entries are blocked"
    assert full.fix == "rename it: redis-cli RENAME $'celery\\x06\\x163' $'celery\\x06\\x163'.old"
    assert odd.text == "celery, priority 3 (0 waiting)"


def test_many_queues_are_one_line() -> None:
    (finding,) = queue_findings([QueueFacts(f"q{n}", "none", 0, 0) for n in range(7)], NOW)
    assert finding.text.endswith("q4 (0 waiting) and 2 more")
    assert levels(queue_findings([], NOW)) == {"queues": "ok"}


@pytest.mark.parametrize(
    "tried, level",
    [(Tried(1.0), "ok"), (Tried(201.0), "warn"), (Tried(denied=True), "warn"), (Tried(1.0, "no", "do"), "fail")],
)
def test_putting_a_message_on_a_queue_is_judged(tried: Tried, level: str) -> None:
    assert levels([publish_finding(tried)]) == {"publish": level}


@pytest.mark.parametrize(
    "message, slot",
    [
        (json.dumps({"headers": {"beatd_slot": "2027-01-15T08:00:00.000Z"}}).encode(), NOW),
        (b'{"headers": {}}', None),
        (b'{"headers": {"beatd_slot": 5}}', None),
        (b"[]", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_the_slot_is_read_from_messages_of_ours_only(message: bytes, slot: int | None) -> None:
    assert slot_of(message) == slot


@pytest.mark.parametrize(
    "finding, level",
    [
        (config_finding(ConfigFacts(())), "ok"),
        (config_finding(ConfigFacts(("s.yaml",), 2)), "ok"),
        (config_finding(ConfigFacts(("s.yaml",), 2, warnings=("s.yaml:1: W1 x", "y"))), "warn"),
        (config_finding(ConfigFacts(("s.yaml",), 2, errors=("s.yaml:1: E1 x",))), "fail"),
        (parser_finding("3.0"), "ok"),
        (parser_finding(None), "warn"),
        (folder_finding(None), "ok"),
        (folder_finding(FolderFacts("/x/.beatd", None)), "ok"),
        (folder_finding(FolderFacts("/x/.beatd", 0o700, 5, 5)), "ok"),
        (folder_finding(FolderFacts("/x/.beatd", 0o750, 5, 5)), "fail"),
        (folder_finding(FolderFacts("/x/.beatd", 0o700, 5, 6)), "fail"),
        (endpoint_finding(None, daemons_here=1), "ok"),
        (endpoint_finding(EndpointFacts("x:1", 200, '{"role": "leader"}'), daemons_here=1), "ok"),
        (endpoint_finding(EndpointFacts("x:1", 503), daemons_here=1), "fail"),
        (endpoint_finding(EndpointFacts("x:1", 404), daemons_here=1), "warn"),
        (endpoint_finding(EndpointFacts("x:1", problem="refused"), daemons_here=1), "warn"),
        (endpoint_finding(EndpointFacts("x:1", problem="refused"), daemons_here=0), "ok"),
        (endpoint_finding(EndpointFacts("x:1", problem="refused"), daemons_here=None), "ok"),
        (endpoint_finding(EndpointFacts("x:1", silent=True), daemons_here=1), "fail"),
    ],
)
def test_this_host_is_judged_by_what_is_found_there(finding: Finding, level: str) -> None:
    assert (finding.level, bool(finding.fix)) == (level, level != "ok")


@pytest.mark.parametrize(
    "unit, level",
    [
        (UnitFacts("beatd.service", "enabled", "active", "30s", 0), "ok"),
        (UnitFacts("beatd.service", "enabled", "failed", "30s", 0), "fail"),
        (UnitFacts("beatd.service", "disabled", "active", "30s", 0), "warn"),
        (UnitFacts("beatd.service", "enabled", "active", "0", 0), "warn"),
        (UnitFacts("beatd.service", "enabled", "active", "30s", 5), "warn"),
    ],
)
def test_a_unit_of_systemd_is_judged(unit: UnitFacts, level: str) -> None:
    assert levels(unit_findings([unit])) == {"systemd": level}
    assert levels(unit_findings(None)) == levels(unit_findings([])) == {"systemd": "ok"}


@pytest.mark.parametrize("here, why", [
    (0, ": no daemon runs on this host"), (None, "; whether a daemon runs on this host is not known"),
])  # fmt: skip
def test_where_nobody_serves_http_and_nobody_should_it_says_why_that_is_fine(here: int | None, why: str) -> None:
    finding = endpoint_finding(EndpointFacts("x:1", problem="refused"), daemons_here=here)
    assert (finding.level, finding.text) == ("ok", f"nobody serves HTTP at x:1{why}")


def test_what_the_endpoint_finds_wrong_is_passed_on() -> None:
    body = {"role": "standby", "checks": {"redis": {"ok": False, "detail": "silent for 5 s"}, "loop": {"ok": True}}}
    finding = endpoint_finding(EndpointFacts("x:1", 503, json.dumps(body)), daemons_here=1)
    assert finding.text == "x:1/readyz says not ready: role standby, redis: silent for 5 s"


@pytest.mark.parametrize(
    "findings, reachable, code",
    [
        ([ok("a", "b"), warn("a", "b", "c")], True, 0),
        ([ok("a", "b"), fail("a", "b", "c")], True, 1),
        ([fail("a", "b", "c")], False, 6),
    ],
)
def test_warnings_are_allowed_and_a_failure_is_not(findings: list[Finding], reachable: bool, code: int) -> None:
    assert verdict(findings, reachable=reachable) == code


@pytest.mark.parametrize(
    "told, level, said",
    [
        ({"a:1": (3, "p:1"), "b:1": (3, "p:1")}, "ok", "2 of 2 answer; the primary is p:1"),
        ({"a:1": (3, "p:1"), "b:1": (4, "q:1")}, "warn", "the primary is q:1; a:1 names p:1"),
        (
            {"a:1": (3, "p:1"), "b:1": "b:1 gave no answer in time"},
            "warn",
            "1 of 2 answer; the primary is p:1; b:1 gave",
        ),
        ({"a:1": (3, "p:1")}, "warn", "without it nobody tells"),
    ],
)
def test_sentinels_that_are_silent_or_of_several_minds(told: dict[str, Any], level: str, said: str) -> None:
    found = next(sentinel_findings(SentinelFacts(told)))
    assert (found.level, said in found.text) == (level, True)


@pytest.mark.parametrize(
    "replicas, least, level, said",
    [
        (None, None, "ok", "may not be read"),
        (0, 1, "warn", "nothing to fail over to"),
        (2, 0, "warn", "min-replicas-to-write is 0"),
        (2, 1, "ok", "2 connected"),
        (2, None, "ok", "2 connected"),
    ],
)
def test_what_a_failover_would_cost(replicas: int | None, least: int | None, level: str, said: str) -> None:
    found = list(sentinel_findings(SentinelFacts({"a:1": (3, "p:1")}, replicas, least)))[1]
    assert (found.level, said in found.text) == (level, True)
