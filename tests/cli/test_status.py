"""`beatd status` on a real server: what it counts, what it says, and how it ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from beatd.cli.status import OTHERS, REFUSING, about_files
from beatd.client.blocking import Client
from beatd.core.census import STATES
from beatd.core.overview import Counts, Overview, files_of, judged
from beatd.core.registration import Applied
from beatd.core.timetable import PlanItem
from beatd.store.key_types import TYPES
from beatd.store.overview import COUNTED, read_overview, told_counts
from tests.support.servers import RedisServer
from tests.support.store import REV, Store, fire_item, put_item

Beatd = Callable[..., Any]
NOW = 1_800_000_000_000


def test_each_entry_is_counted_in_exactly_one_state(at_redis: Beatd, store: Store) -> None:
    term = store.lead()
    hour = store.now() + 3_600_000
    names = ("scheduled", "paused", "until", "disabled", "held disabled", "finished", "held finished", "invalid")
    store.put(*[put_item(name, enabled="disabled" not in name) for name in names])
    store.pause("paused", nonce="p1")
    store.pause("until", "held disabled", "held finished", nonce="p2", until=hour)
    for name, verdict in (("finished", "F"), ("invalid", "I")):
        detail = '{"why":"no task","at":"1"}' if verdict == "I" else ""
        store.plan(term, PlanItem(name, REV, store.scores()[name], verdict, detail))
    store.do("HSET", store.key("out"), "held finished", '{"finished":{"at":"1"},"owed":"-1"}')
    store.do("ZREM", store.key("due"), "held finished")
    store.plant("blocked", 1_000, kind="blocked")
    store.plant("held blocked", 1_000, kind="blocked", hold=f'{{"until":"{hour}"}}')
    shown = at_redis("status", "-o", "json").json
    assert shown["entries"] == {
        "total": 10, "scheduled": 1, "paused": 4, "disabled": 2, "finished": 1, "blocked": 1, "invalid": 1,
    }  # fmt: skip
    assert at_redis("status").code == 1
    assert {each["name"]: each["reason"] for each in shown["refusals"]} == {
        "blocked": "blocked", "held blocked": "blocked", "invalid": "invalid",
    }  # fmt: skip


def test_an_end_of_a_pause_that_has_passed_counts_no_more(at_redis: Beatd, store: Store) -> None:
    store.plant("a", store.now() + 60_000, hold='{"until":"5"}')
    shown = at_redis("status", "-o", "json").json
    assert (shown["entries"]["scheduled"], shown["entries"]["paused"]) == (1, 0)


def test_lateness_is_that_of_the_last_fires_without_their_jitter(at_redis: Beatd, store: Store) -> None:
    term = store.lead()
    due = store.now() - 5_000
    store.plant("a", due, jit=2_000)
    assert store.fire(term, fire_item("a", due, due + 60_000)) == "0"
    late = at_redis("status", "-o", "json").json["lateness_ms"]
    assert late["fires"] == 1
    assert 5_000 <= late["p50"] == late["p99"] < 6_900
    assert "lateness       p50 5." in at_redis("status").out


def test_the_last_refusal_is_the_newest_skip_that_nobody_asked_for(at_redis: Beatd, store: Store) -> None:
    for at, row in ((5, "old\x1fmissed:3:1:2"), (6, "a\x1fexpired:1:3:3"), (7, "b\x1fpaused:1:4:4;coalesced:1:1:1")):
        store.do("XADD", store.key("skip"), f"{at}-0", "at", at, "skips", row)
    shown = at_redis("status", "-o", "json").json
    assert shown["last_refusal"] == {
        "at": "1970-01-01T00:00:00.006Z",
        "name": "a",
        "reason": "expired",
        "why": "it was past its deadline, or its message had expired",
    }
    assert [each["name"] for each in shown["refusals"]] == ["a", "old"]


def test_a_name_in_no_encoding_of_ours_is_shown_escaped(at_redis: Beatd, store: Store) -> None:
    store.do("XADD", store.key("skip"), "*", "skips", b"\xff\x1fmissed:1:2:3")
    assert "\\udcff: missed" in at_redis("status").out
    assert at_redis("status", "-o", "json").json["last_refusal"]["name"] == "\udcff"


def test_what_an_instance_says_of_itself_begins_no_line(at_redis: Beatd, store: Store) -> None:
    term = store.lead()
    told = {"seen": term.now, "version": "1\r\nstate: fine\x07"}
    store.do("HSET", store.key("inst"), "here\nleader: me", json.dumps(told))
    for command in ("status", "doctor"):
        assert not {"leader: me", "state: fine"} & {line[:11] for line in at_redis(command).lines}
    assert "1\\r\\nstate: fine\\x07" in at_redis("status").out


def test_what_an_instance_was_refused_is_among_the_refusals(at_redis: Beatd, store: Store) -> None:
    term = store.lead()
    told = {"seen": term.now, "last_refusal": {"at": 7, "error": "Redis is away"}}
    store.do("HSET", store.key("inst"), "here", json.dumps(told))
    assert at_redis("status", "-o", "json").json["last_refusal"] == {
        "at": "1970-01-01T00:00:00.007Z", "name": "here", "reason": "instance", "why": "Redis is away",
    }  # fmt: skip
    assert "last refusal   1970-01-01T00:00:00.007Z instance here: Redis is away" in at_redis("status").lines


def test_it_ends_with_0_with_a_leader_and_with_2_without(at_redis: Beatd, store: Store) -> None:
    done = at_redis("status")
    assert done.code == 2
    assert "no leader:     nobody leads, and nobody has ever led in this namespace" in done.out
    term = store.lead()
    done = at_redis("status")
    assert (done.code, done.lines[0].split(",")[0]) == (0, "leader         here")
    store.release(term)
    assert "nobody leads: here gave the lease back" in at_redis("status").out


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_key_that_somebody_has_overwritten_is_told_and_the_rest_is_shown(
    at_redis: Beatd, store: Store, kind: str
) -> None:
    store.lead()
    store.plant("a", 5)
    store.do("SET", store.key(kind), "x")
    done = at_redis("status")
    assert done.code == (2 if kind == "lease" else 1)
    assert f"degraded:      {store.key(kind)} holds a string, beatd keeps a {TYPES[kind]} there" in done.out


COUNT = dict.fromkeys(STATES, 1)


@pytest.mark.parametrize(
    "leader, counts",
    [
        ({"entries": COUNT, "counted_at": NOW}, Counts(COUNT, NOW)),
        ({"entries": COUNT, "counted_at": NOW - 600_001}, None),
        ({"entries": COUNT, "counted_at": "x"}, None),
        ({"entries": {"scheduled": 1}, "counted_at": NOW}, None),
        ({"entries": 5, "counted_at": NOW}, None),
        ({}, None),
    ],
)
def test_what_the_leader_has_counted_counts_while_it_is_fresh(leader: dict[str, Any], counts: Counts | None) -> None:
    assert told_counts(leader, NOW) == counts


def test_with_many_entries_out_of_the_timetable_the_leaders_count_is_taken(
    clean_redis: RedisServer, store: Store
) -> None:
    store.lead()
    names = [f"e{number}" for number in range(COUNTED + 1)]
    for start in range(0, len(names), 1_000):
        part = names[start : start + 1_000]
        store.do("HSET", store.key("out"), *[word for name in part for word in (name, '{"paused":{}}')])
    with Client(clean_redis.url, "default") as client:
        assert read_overview(client.link).counts.states["paused"] == COUNTED + 1
        told = {"entries": {**COUNT, "paused": 7}, "counted_at": store.now() - 20_000, "seen": store.now()}
        store.do("HSET", store.key("inst"), "here", json.dumps(told))
        found = read_overview(client.link)
    assert found.counts.states["paused"] == 7
    assert judged(found)["entries"]["total"] == 12


def record(file: str, at: int, **more: Any) -> dict[str, Any]:
    return {"file": file, "registered": at, "config_ok": True, "seen": NOW, **more}


def files(applied: Applied | None = None, **instances: Any) -> dict[str, Any]:
    applied = applied or Applied("h2", NOW - 50_000, "a:1")
    return files_of(Overview(NOW, {}, Counts({}, NOW), instances, applied))


def test_each_instance_with_other_files_has_a_line() -> None:
    found = files(a=record("h2", NOW - 50_000), b=record("h3", NOW), c=record("h1", 5, config_ok=False))
    assert list(about_files(found)) == [
        "applied by a:1, registered last at 2027-01-15T07:59:10Z",
        f"b has others, registered 2027-01-15T08:00:00Z, {OTHERS['newer']}",
        f"c has others, registered 1970-01-01T00:00:00.005Z, {OTHERS['older']}",
        "c can't use its files as they are now and goes on with the last good ones: beatd check",
    ]


def test_a_leader_that_refuses_its_own_files_is_sent_to_its_log() -> None:
    found = files(a=record("h2", NOW - 50_000), b=record("h3", NOW))
    assert list(about_files(found, "b"))[1].endswith(f", {REFUSING}")


def test_files_that_are_stored_in_part_are_told() -> None:
    found = files(Applied(begun=True), a=record("h2", NOW - 50_000))
    assert (found["agree"], next(iter(about_files(found)))) == (False, "none are applied in full")


def test_a_broken_file_is_not_needed_where_flags_say_what_is_meant(
    beatd: Any, schedules: Any, clean_redis: RedisServer
) -> None:
    schedules("namespace: [\nschedules: {}\n")
    assert beatd("status", "--redis", clean_redis.url).code == 3
    done = beatd("status", "--redis", clean_redis.url, "--namespace", "other")
    assert (done.code, done.err) == (2, "")
