"""`beatd show`: one entry in full, and the exact message it would send."""

import base64
import json
import time
from typing import Any

import pytest
import yaml

from beatd.core.fire import TaskIds
from tests.cli.conftest import Beatd
from tests.support.servers import RedisServer
from tests.support.store import REV, Store, put_item

FAR = 4_000_000_000_000
HOUR = 3_600_000
DEFINITION = {
    "task": "app.mail.send",
    "cron": "0 9 * * mon-fri",
    "timezone": "Europe/Paris",
    "owner": "api",
    "args": ["daily"],
    "kwargs": {"dry_run": False},
    "queue": "mail",
    "options": {"priority": 6, "expires": "1h"},
    "tags": ["mail", "eu"],
    "description": "Morning mail",
    "jitter": "30m",
    "max_runs": 9,
    "catchup": "all",
    "deadline": "2h",
}
EVERY = {"task": "t", "every": "1h", "anchor": "1970-01-01T00:00:00Z"}


def plant(store: Store, name: str, moment: int, definition: Any, **fields: Any) -> None:
    store.plant(name, moment, **fields)
    store.do("HSET", store.key("def"), name, json.dumps(definition))


def section(lines: list[str], head: str) -> list[str]:
    """The lines under a head."""
    rest = lines[lines.index(head) + 1 :]
    return [line.strip() for line in (rest[: rest.index("")] if "" in rest else rest)]


@pytest.fixture
def digest(store: Store) -> None:
    jitter = 90_000
    moment = 4_000_000_000_000 - 4_000_000_000_000 % 86_400_000 + 7 * HOUR + jitter  # 09:00 in Paris, a Tuesday
    plant(store, "digest", moment, DEFINITION, jit=jitter, left=4)


def test_everything_is_told(at_redis: Beatd, digest: None) -> None:
    done = at_redis("show", "digest")
    heads = {line[:14].strip(): line[15:] for line in done.lines[: done.lines.index("")] if line[:14].strip()}
    assert heads["name"] == "digest"
    assert heads["state"].startswith("scheduled; its next moment is 2096-10-02T07:01:30Z, in ")
    assert heads["schedule"] == "cron: 0 9 * * mon-fri"
    assert "at 09:00 on Monday to Friday, Europe/Paris" in done.out
    assert (heads["task"], heads["queue"]) == ("app.mail.send", "mail")
    assert (heads["args"], heads["kwargs"]) == ('["daily"]', '{"dry_run": false}')
    assert heads["options"] == '{"priority": 6, "expires": "1h"}'
    assert heads["policies"] == "catchup all, at most 100 at once; grace 1m"
    for text in ("deadline 2h", "jitter 30m: this one is sent 1m30s after its slots", "max_runs 9, 4 left"):
        assert text in done.out
    assert (heads["description"], heads["tags"]) == ("Morning mail", "mail eu")
    assert (heads["owner"], heads["revision"]) == ("api", REV)
    slots = section(done.lines, "next runs")
    assert len(slots) == 5  # the head and the four runs that are left
    assert slots[1].startswith("Tue 2096-10-02 09:00:00 +02:00  2096-10-02T07:00:00Z")
    assert section(done.lines, "last runs") == ["it has never run"]
    assert done.err == ""


def test_the_same_as_json_and_yaml(at_redis: Beatd, digest: None) -> None:
    found = at_redis("show", "digest", "-o", "json").json
    (listed,) = at_redis("ls", "digest", "-o", "json").json
    assert {key: found[key] for key in listed if key != "left_s"} == {k: v for k, v in listed.items() if k != "left_s"}
    assert found["definition"] == DEFINITION
    assert (found["runs_left"], found["jitter_ms"]) == (4, 90_000)
    assert found["slots"][0]["slot"] == "2096-10-02T07:00:00Z"
    assert set(found["slots"][0]) == {"slot", "local", "zone", "in_s", "dst"}
    assert (found["history"], found["history_complete"], found["requests"]) == ([], True, [])
    again = yaml.safe_load(at_redis("show", "digest", "-o", "yaml").out)
    assert {key for key in found if found[key] != again[key]} <= {"now", "left_s", "slots"}


def fired(store: Store, name: str, *slots: int) -> None:
    """What the fire script writes down."""
    for slot in slots:
        words = ("epoch", 1, "at", slot + 4, "fires", f"{name}\x1f{slot}")
        store.do("XADD", store.key("hist"), f"{slot + 4}-*", *words)
    store.do("HSET", store.key("last"), name, f"{slots[-1]}|{slots[-1] + 4}|id|")


def test_the_last_runs_are_the_newest_fires_and_skips_of_this_entry(at_redis: Beatd, store: Store) -> None:
    plant(store, "a", FAR, EVERY)
    for number in range(1, 8):
        fired(store, "a", number * HOUR)
        fired(store, "aa", number * HOUR + 1)
    skips = ("epoch", 1, "at", 10 * HOUR, "skips", f"a\x1fmissed:2:{8 * HOUR}:{9 * HOUR}")
    store.do("XADD", store.key("skip"), f"{10 * HOUR}-*", *skips)
    done = at_redis("show", "a")
    _, *runs, more = section(done.lines, "last runs")
    ids = TaskIds("default")
    assert [run.split()[0] for run in runs] == [f"1970-01-01T0{hour}:00:00Z" for hour in (4, 5, 6, 7, 8)]
    assert ids.of("a", 7 * HOUR) in runs[3]
    assert "skipped: missed" in runs[4]
    assert more == "older ones: beatd history a"
    assert len(at_redis("show", "a", "-o", "json").json["history"]) == 5


def test_only_a_part_of_a_long_history_is_read_and_the_last_fire_is_told_all_the_same(
    at_redis: Beatd, store: Store
) -> None:
    fired(store, "quiet", HOUR)
    plant(store, "quiet", FAR, EVERY, last=f"{HOUR}|{HOUR + 4}|id|")
    plant(store, "gone", FAR, EVERY, last=f"{HOUR - 5}|{HOUR}|id|")
    for number in range(1_500):
        store.do("XADD", store.key("hist"), f"{2 * HOUR + number}-*", "fires", f"noise\x1f{number}")
    runs = section(at_redis("show", "quiet").lines, "last runs")
    assert runs[1].startswith("1970-01-01T01:00:00Z")
    assert len(runs) == 2  # it begins at the entry's own last fire, and has reached the end
    assert section(at_redis("show", "gone").lines, "last runs")[1].startswith("1970-01-01T00:59:59.995Z")


@pytest.mark.parametrize("reasons", [{"paused": {"who": "ann@web-1", "note": "moves"}}, {"disabled": {}}])
def test_what_is_out_of_the_timetable_has_no_next_runs_and_says_why(
    at_redis: Beatd, store: Store, reasons: dict[str, Any]
) -> None:
    store.do("HSET", store.key("rev"), "a", REV)
    store.do("HSET", store.key("def"), "a", json.dumps(EVERY))
    store.do("HSET", store.key("out"), "a", json.dumps(reasons))
    (line,) = section(at_redis("show", "a").lines, "next runs")
    assert line.startswith(f"none: it is {next(iter(reasons))}")
    found = at_redis("show", "a", "-o", "json").json
    assert found["slots"] == []
    assert json.loads(at_redis("show", "a", "--message").out)["headers"]["task"] == "t"


def test_a_pause_with_an_end_shows_what_comes_after_it(at_redis: Beatd, store: Store) -> None:
    store.put(put_item("a", definition=json.dumps(EVERY)))
    until = int(time.time() + 86_400) * 1_000
    store.pause("a", until=until)
    found = at_redis("show", "a", "-o", "json").json
    assert found["state"] == "paused"
    first = until - until % HOUR + (HOUR if until % HOUR else 0)
    assert found["slots"][0]["in_s"] == pytest.approx((first - time.time() * 1_000) / 1_000, abs=5)


def test_fields_of_another_version_and_broken_definitions_are_shown(at_redis: Beatd, store: Store) -> None:
    plant(store, "new", FAR, {**EVERY, "colour": "red"})
    plant(store, "bad", FAR, {"task": "t", "cron": "nonsense"})
    assert 'unknown field  colour: "red" (of another version of beatd; kept)' in at_redis("show", "new").lines
    done = at_redis("show", "bad")
    assert done.code == 0
    assert "schedule       can't be read" in done.lines
    assert at_redis("show", "bad", "--message").code == 3


def test_open_requests_are_shown(at_redis: Beatd, store: Store) -> None:
    plant(store, "a", FAR, EVERY)
    spec = {
        "kind": "backfill",
        "name": "a",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-02T00:00:00Z",
        "note": "why",
    }
    store.do("HSET", store.key("req"), "r1", f"open|0|7|1000||{json.dumps(spec)}")
    store.do("HSET", store.key("asked"), "a", "r1")
    done = at_redis("show", "a")
    (line,) = [line for line in done.lines if line.startswith("request")]
    assert "backfill from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z, 7 pushed, asked for" in line
    assert line.endswith(": why (r1)")
    assert at_redis("show", "a", "-o", "json").json["requests"][0]["pushed"] == 7


def test_a_signature_is_told_with_the_body_of_its_message(at_redis: Beatd, store: Store) -> None:
    tasks = [{"task": "a", "args": ["{{ beatd.slot }}"]}, {"task": "b"}]
    signature = {"subtask_type": "chain", "kwargs": {"tasks": tasks}}
    options = {"serializer": "yaml", "compression": "zlib"}
    spec = {"task": "a", "signature": signature, "every": "1h", "anchor": "1970-01-01T00:00:00Z", "options": options}
    plant(store, "nightly", 4_000_000_000_000 - 4_000_000_000_000 % 3_600_000, spec)

    assert f"signature      {json.dumps(signature)}" in at_redis("show", "nightly").lines
    decoded = at_redis("show", "nightly", "--message", "-o", "json").json
    assert decoded["message"]["headers"]["compression"] == "application/x-gzip"
    args, _, embed = decoded["body"]
    assert args == [decoded["slot"].replace("Z", ".000Z")]
    assert [step["task"] for step in embed["chain"]] == ["b"]


def test_the_message_is_the_one_that_would_be_pushed(at_redis: Beatd, store: Store, digest: None) -> None:
    store.do("HSET", store.key("lease"), "host", "web-1:4711")
    done = at_redis("show", "digest", "--message")
    message = json.loads(done.out)
    task_id = TaskIds("default").of("digest", 3_999_999_999_999 - 3_999_999_999_999 % 86_400_000 + 7 * HOUR)
    assert message["headers"]["id"] == task_id
    assert message["headers"]["beatd_slot"] == "2096-10-02T07:00:00.000Z"
    assert message["headers"]["expires"] == "2096-10-02T08:00:00+00:00"
    assert message["headers"]["origin"] == "gen4711@web-1"
    assert json.loads(base64.b64decode(message["body"]))[:2] == [["daily"], {"dry_run": False}]
    first, second = done.err.splitlines()
    assert first == r'note: it is that of the slot 2096-10-02T07:00:00Z, pushed to the list "mail\u0006\u00166"'
    assert second.startswith("note: delivery_tag is fresh")
    decoded = at_redis("show", "digest", "--message", "-o", "json").json
    assert decoded["message"] == message
    assert decoded["body"][0] == ["daily"]
    assert decoded["task_id"] == task_id


@pytest.mark.parametrize(
    "options, says",
    [
        ({}, 'to the queue "mail"'),
        ({"exchange": "ex", "routing_key": "rk"}, 'to the exchange "ex" with the'),
    ],
)
def test_with_another_broker_the_message_is_not_said_to_go_to_a_list(
    at_redis: Beatd, store: Store, options: dict[str, str], says: str
) -> None:
    given = [f"--option={name}={value}" for name, value in options.items()]
    assert at_redis("set", "digest", "--task", "t", "--every", "1h", "--queue", "mail", "--yes", *given).code == 0
    store.do("HSET", store.key("lease"), "host", "web-1:1", "owner", "x", "until", 4_000_000_000_000)
    leader = {"role": "leader", "broker": {"fingerprint": "b27d4f59"}}
    store.do("HSET", store.key("inst"), "web-1:1", json.dumps(leader))
    assert f"sent to the broker, {says}" in at_redis("show", "digest", "--message").err


def test_a_name_that_is_missing_ends_with_4_and_the_nearest_one(at_redis: Beatd, digest: None) -> None:
    done = at_redis("show", "digets")
    assert (done.code, done.out) == (4, "")
    assert done.err == "beatd: there is no entry 'digets'\n  hint: did you mean 'digest'?\n"


@pytest.mark.parametrize("kind", ["rev", "def", "due", "last", "out", "hold", "file", "blocked"])
@pytest.mark.parametrize("words", [("show", "digest"), ("ls",)])
def test_an_overwritten_key_is_named(
    at_redis: Beatd, store: Store, digest: None, kind: str, words: tuple[str, ...]
) -> None:
    store.do("DEL", store.key(kind))
    store.do("SET", store.key(kind), "x")
    done = at_redis(*words)
    assert done.code == 5
    assert done.err.startswith(f"beatd: {store.key(kind)} holds a string, beatd keeps a ")
    assert "rename or delete that key" in done.err


@pytest.mark.parametrize("kind", ["skip", "asked", "lease", "inst"])
def test_what_only_stands_beside_an_entry_may_be_missing(
    at_redis: Beatd, store: Store, digest: None, kind: str
) -> None:
    store.do("SET", store.key(kind), "x")
    assert at_redis("show", "digest").code == 0


def test_an_entry_of_a_file_says_where(at_redis: Beatd, store: Store, clean_redis: RedisServer) -> None:
    plant(store, "a", FAR, {**EVERY, "owner": "file"})
    store.do("HSET", store.key("file"), "a", "h1")
    store.do("HSET", store.key("meta"), "file", "f1")
    record = {"file": "f1", "files": ["/etc/beatd/schedules.yaml"], "host": "web-1"}
    store.do("HSET", store.key("inst"), "web-1:1", json.dumps(record))
    done = at_redis("show", "a")
    assert "owner          file\n               /etc/beatd/schedules.yaml on web-1\n" in done.out


def test_the_note_of_a_pause_moves_no_cursor(at_redis: Beatd) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1h")
    at_redis("pause", "a", "--note", "x\x1b[2J\nnext runs")
    told = at_redis("show", "a").out
    assert "none: it is paused by " in told
    assert "x\\x1b[2J\\nnext runs" in told
    assert "\x1b" not in told
