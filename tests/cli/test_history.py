"""`beatd history` on a real server: both streams as one, why nothing ran, and what another client wrote."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beatd.cli.history_rows import CSV
from beatd.client.blocking import Client
from beatd.core.fire import TaskIds
from beatd.core.intent import Draft
from beatd.store.history import FEWEST, History
from beatd.store.outbox import pack_head
from tests.support.daemon import ROOT
from tests.support.servers import RedisServer
from tests.support.store import Store, put_item

Beatd = Callable[..., Any]
SLOT = 1_800_000_000_000
SECOND = 1_000


def fired(store: Store, name: str, *slots: int, late: int = 5) -> None:
    """A row as the fire script writes it, a moment after its slots."""
    at = slots[-1] + late
    packed = f"{name}\x1f{','.join(map(str, slots))}"
    store.do("XADD", store.key("hist"), f"{at}-*", "epoch", 7, "at", at, "fires", packed)


def skipped(store: Store, name: str, packed: str, at: int) -> None:
    """A row as the fire script or an edit writes it."""
    store.do("XADD", store.key("skip"), f"{at}-*", "at", at, "skips", f"{name}\x1f{packed}")


@pytest.fixture
def rows(store: Store) -> None:
    """Two fires, a skip between them, and another entry's."""
    fired(store, "a", SLOT)
    skipped(store, "a", f"missed:3:{SLOT + 1}:{SLOT + 500}", SLOT + SECOND)
    fired(store, "b", SLOT + SECOND)
    fired(store, "a", SLOT + 2 * SECOND, SLOT + 3 * SECOND)


@pytest.mark.usefixtures("rows")
def test_fires_and_skips_are_told_in_order_the_newest_last(at_redis: Beatd) -> None:
    done = at_redis("history")
    assert done.code == 0
    assert [line.split()[:1] + line.split()[-3:] for line in done.lines[1:2]] == [
        ["2027-01-15T08:00:00Z", "5", "ms", TaskIds("default").of("a", SLOT)]
    ]
    shown = at_redis("history", "-o", "json").json
    assert [(row["name"], row["what"], row["slot"][14:]) for row in shown] == [
        ("a", "fired", "00:00Z"),
        ("a", "skipped", "00:00.001Z"),
        ("b", "fired", "00:01Z"),
        ("a", "fired", "00:02Z"),
        ("a", "fired", "00:03Z"),
    ]
    assert shown[1] == {
        "slot": "2027-01-15T08:00:00.001Z",
        "local": "2027-01-15T08:00:00.001+00:00",
        "name": "a",
        "what": "skipped",
        "reason": "missed",
        "cause": None,
        "count": 3,
        "at_least": False,
        "last": "2027-01-15T08:00:00.500Z",
        "foretold": False,
        "lateness_ms": None,
        "task_id": None,
        "at": "2027-01-15T08:00:01Z",
        "epoch": None,
    }


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "words, slots",
    [
        (["-n", "1"], ["03"]),
        (["-n", "0"], ["00", "00", "01", "02", "03"]),
        (["a", "-n", "2"], ["02", "03"]),
        (["--entry", "b"], ["01"]),
        (["--skips"], ["00"]),
        (["--fires"], ["00", "01", "02", "03"]),
        (["--fires", "--skips"], ["00", "00", "01", "02", "03"]),
        (["--reason", "missed"], ["00"]),
        (["--reason", "expired"], []),
        (["--since", "2027-01-15T08:00:01Z"], ["00", "01", "02", "03"]),
        (["--since", "2027-01-15T08:00:01.001Z", "--until", "2027-01-15T08:00:02Z"], ["01"]),
        (["--until", "2027-01-15T08:00:02", "-n", "1"], ["01"]),
    ],
)
def test_one_asks_for_some_of_them(at_redis: Beatd, words: list[str], slots: list[str]) -> None:
    done = at_redis("history", *words, "-o", "ndjson")
    assert [json.loads(line)["slot"][17:19] for line in done.lines] == slots
    assert done.code == 0


def test_a_spreadsheet_gets_a_head_and_a_row_a_line(at_redis: Beatd, store: Store) -> None:
    assert at_redis("history", "-o", "csv").out == ",".join(CSV) + "\n"
    fired(store, "a", SLOT)
    fired(store, 'b,"c"', SLOT + 1)
    rows = list(csv.DictReader(at_redis("history", "-o", "csv").out.splitlines()))
    objects = [json.loads(line) for line in at_redis("history", "-o", "ndjson").lines]
    assert [(row["name"], row["slot"], row["task_id"]) for row in rows] == [
        (found["name"], found["slot"], found["task_id"]) for found in objects
    ]
    assert all(found.keys() <= set(CSV) for found in objects)
    assert at_redis("history", "--changes", "-o", "csv").code == 2


def test_a_name_with_the_end_of_another_is_another(at_redis: Beatd, store: Store) -> None:
    fired(store, "data", SLOT)
    fired(store, "a", SLOT + 1)
    assert len(at_redis("history", "a", "-o", "ndjson").lines) == 1


def test_lateness_counts_from_the_jitter_and_local_is_on_the_clock_of_beatd_tz(
    at_redis: Beatd, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired(store, "a", SLOT, late=2_500)
    store.do("HSET", store.key("jit"), "a", 2_000)
    monkeypatch.setenv("BEATD_TZ", "Asia/Tokyo")
    (row,) = at_redis("history", "-o", "json").json
    assert (row["lateness_ms"], row["local"]) == (500, "2027-01-15T17:00:00+09:00")
    assert "Asia/Tokyo" in at_redis("history").lines[0]


@pytest.mark.parametrize("words", [["-n", "2000"], ["-n", "0"], ["--since", "2027-01-15T08:00:00Z"]])
def test_pages_join_without_a_gap_or_a_row_twice(at_redis: Beatd, store: Store, words: list[str]) -> None:
    """More rows than a page, in one millisecond too."""
    pipe = store.client.pipeline(transaction=False)
    for number in range(3 * FEWEST):
        pipe.execute_command("XADD", store.key("hist"), f"{SLOT + number // 70}-*", "fires", f"a\x1f{number}")
        pipe.execute_command(
            "XADD", store.key("skip"), f"{SLOT + number // 70}-*", "skips", f"a\x1fmissed:1:{number}:9"
        )
    pipe.execute()
    lines = [json.loads(line) for line in at_redis("history", *words, "-o", "ndjson").lines]
    for what in ("fired", "skipped"):
        slots = [line["slot"] for line in lines if line["what"] == what]
        assert len(slots) == 3 * FEWEST
        assert slots == sorted(set(slots), key=lambda text: (len(text), text))


@pytest.mark.parametrize(
    "edit, says",
    [
        (lambda s: None, "a has no such row: it is scheduled, and waits for a leader to plan it"),
        (lambda s: s.pause("a"), "a has no such row: it is paused by me@here since 20"),
        (lambda s: s.pause("a", until=4_000_000_000_000), "a has no such row: it is paused by me@here until 2096-"),
        (lambda s: s.put(put_item("a", "n2.f1", enabled=False)), "a has no such row: it is disabled since 20"),
        (lambda s: s.do("ZADD", s.key("due"), 4_000_000_000_000, "a"), "it is scheduled; its next moment is 2096-"),
        (lambda s: s.do("ZADD", s.key("due"), 1_000, "a"), "it is due since 1970-01-01T00:00:01Z, and was not fired"),
    ],
)
def test_why_an_entry_without_a_row_did_not_run_is_told(
    at_redis: Beatd, store: Store, edit: Callable[[Store], Any], says: str
) -> None:
    store.put(put_item("a"))
    edit(store)
    store.do("DEL", store.key("skip"))
    done = at_redis("history", "a")
    assert done.code == 0
    assert says in done.err


def test_an_entry_that_is_gone_is_told_from_one_that_never_was(at_redis: Beatd, store: Store) -> None:
    fired(store, "gone", SLOT)
    assert "there is no entry 'gone' any more" in at_redis("history", "gone").err
    done = at_redis("history", "never", "-o", "json")
    assert (done.code, done.error["error"]) == (4, "not_found")


def test_what_was_trimmed_is_told(at_redis: Beatd, store: Store) -> None:
    for number in range(5):
        fired(store, "a", SLOT + number * SECOND)
    assert "trimmed" not in at_redis("history").err
    store.do("XTRIM", store.key("hist"), "MAXLEN", 2)
    assert "the oldest of the fires that are kept is of 2027-01-15T08:00:03.005Z" in at_redis("history").err
    assert "oldest" not in at_redis("history", "-n", "2").err
    assert "oldest" not in at_redis("history", "--since", "2027-01-15T08:00:04Z").err


def test_a_reason_of_another_client_stays_on_its_line(at_redis: Beatd, store: Store) -> None:
    store.do("XADD", store.key("skip"), "*", "skips", "a\x1fno\x07\nsuch: reason:1:2:3")
    store.do("XADD", store.key("skip"), "*", "skips", "a\x1fno\x07\nreason:1:2:3")
    assert "skipped: no\\x07\\nreason" in at_redis("history").out
    assert len(at_redis("history").lines) == 3


def test_rows_of_another_client_are_shown_as_such(at_redis: Beatd, store: Store) -> None:
    store.do("XADD", store.key("hist"), "*", b"\xff", b"\xfe")
    store.do("XADD", store.key("hist"), "*", "fires", b"\xff\x1f5\x1ea")
    store.do("XADD", store.key("skip"), "*", "skips", "a\x1fmissed:x")
    for words in (["-o", "ndjson"], []):
        done = at_redis("history", *words)
        assert (done.code, done.out.count("unreadable")) == (0, 3)


@pytest.mark.parametrize("kind", ["hist", "skip"])
def test_a_history_that_is_no_stream_is_named(at_redis: Beatd, store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    done = at_redis("history")
    assert done.code == 5
    assert f"{store.key(kind)} holds a string, beatd keeps a stream there" in done.err


@pytest.mark.parametrize(
    "words, says",
    [
        (["--since", "soon"], "--since: found 'soon'"),
        (["-f", "--until", "1h"], "--follow has no end"),
        (["-f", "-o", "json"], "--follow has no end"),
        (["--fires", "--reason", "missed"], "--reason is about skips"),
        (["a", "--entry", "b"], "one entry at a time"),
        (["--reason", "bored"], "'bored' is not one of"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(at_redis: Beatd, words: list[str], says: str) -> None:
    done = at_redis("history", *words)
    assert done.code == 2
    assert says in done.err


def test_nothing_yet_is_said(at_redis: Beatd) -> None:
    assert at_redis("history").err == "note: there are no rows\n"
    assert at_redis("history", "--skips").err == "note: there are no such rows\n"
    assert at_redis("history", "-o", "json").json == []


@pytest.fixture
def follow(clean_redis: RedisServer, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `beatd history --follow` as a process of its own."""
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str, url: str = clean_redis.url) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "beatd", "history", "-f", "-o", "ndjson", "--redis", url, *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def slot_in(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline())["slot"])[11:]


def test_what_comes_is_followed_until_ctrl_c(follow: Callable[..., Any], store: Store) -> None:
    fired(store, "a", SLOT)
    process = follow("-n", "1")
    assert slot_in(process) == "08:00:00Z"
    fired(store, "a", SLOT + SECOND)
    assert slot_in(process) == "08:00:01Z"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


def test_following_ends_with_0_when_the_reader_leaves(follow: Callable[..., Any], store: Store) -> None:
    fired(store, "a", SLOT)
    process = follow()
    slot_in(process)
    process.stdout.close()
    give_up = time.monotonic() + 10
    number = 1
    while process.poll() is None and time.monotonic() < give_up:
        fired(store, "a", SLOT + number * SECOND)
        number += 1
        time.sleep(0.05)
    assert process.wait(1) == 0
    assert process.stderr.read() == ""


def test_following_outlives_a_restart_of_redis(follow: Callable[..., Any], start_redis: Callable[..., Any]) -> None:
    server = start_redis(appendonly="yes", appendfsync="always")
    store = Store(server)
    fired(store, "a", SLOT)
    process = follow(url=server.url)
    assert slot_in(process) == "08:00:00Z"
    fired(store, "a", SLOT + 1)  # from here on it follows
    assert slot_in(process) == "08:00:00.001Z"
    server.kill()
    assert "waiting for it" in process.stderr.readline()
    server.start()
    fired(Store(server), "a", SLOT + SECOND)
    assert slot_in(process) == "08:00:01Z"
    assert "it answers again" in process.stderr.readline()


def test_a_long_history_is_read_in_pages_of_bounded_size(clean_redis: RedisServer, store: Store) -> None:
    name = "x" * 200
    packed = "\x1e".join(f"{name}\x1f{number}" for number in range(100))
    pipe = store.client.pipeline(transaction=False)
    for _ in range(400):
        pipe.execute_command("XADD", store.key("hist"), "*", "fires", packed)
    pipe.execute()
    with Client(clean_redis.url, "default") as client:
        sizes = []
        request = client.link.request

        def counting(*commands: Any) -> list[Any]:
            replies = request(*commands)
            sizes.append(len(str(replies)))
            return replies

        client.link.request = counting  # type: ignore[method-assign]
        history = History(client.link, ("hist",))
        assert sum(1 for _ in history.backwards(0, history.tips())) == 40_000
    assert max(sizes) < 3_000_000


def test_a_name_of_megabytes_does_not_widen_every_row(at_redis: Beatd, store: Store) -> None:
    fired(store, "n" * 1_000_000, 1_800_000_000_000)
    fired(store, "a", 1_800_000_000_000)
    assert max(map(len, at_redis("history").out.splitlines())) < 500


def test_slots_that_a_pause_told_of_ahead_are_told_from_those_that_have_passed(at_redis: Beatd, store: Store) -> None:
    skipped(store, "a", "paused:0:4000000000000:4000000900000", at=1_800_000_000_500)
    skipped(store, "a", "paused:0:1800000000000:1800000900000", at=1_800_000_900_000)
    ahead, past = at_redis("history", "a").out.splitlines()[1:]
    assert "to skip: paused" in ahead
    assert "skipped: paused" in past


def test_a_pause_that_ended_by_itself_has_skipped(at_redis: Beatd, store: Store) -> None:
    now = store.now()
    skipped(store, "a", f"paused:0:{now - 3_000}:{now - 1_000}", at=now - 4_000)
    assert "  skipped: paused" in at_redis("history", "a").out
    (row,) = at_redis("history", "a", "-o", "json").json
    assert (row["what"], row["foretold"]) == ("skipped", False)


@pytest.mark.parametrize("words", [["history", "a"], ["show", "a"]])
def test_pauses_that_were_replaced_or_lifted_are_marked_lifted(at_redis: Beatd, store: Store, words: list[str]) -> None:
    store.put(put_item("a"))
    store.do("ZADD", store.key("due"), 3_000_000_000_000, "a")
    for nonce, until in (("p1", 4_000_000_000_000), ("p2", 4_100_000_000_000)):
        store.pause("a", nonce=nonce, until=until)
        paused_at = store.now()
        while store.now() == paused_at:
            pass
    first, second = (line for line in at_redis(*words).lines if "skip: paused" in line or "lifted: paused" in line)
    assert ("lifted: paused" in first, "to skip: paused" in second) == (True, True)
    store.resume("a")
    assert at_redis(*words).out.count("lifted: paused") == 2
    shown = at_redis(*words, "-o", "json").json
    rows = [row for row in (shown if isinstance(shown, list) else shown["history"]) if row["what"] == "lifted"]
    assert [row["foretold"] for row in rows] == [False, False]


def test_a_log_that_is_no_stream_leaves_the_history_readable(at_redis: Beatd, store: Store) -> None:
    skipped(store, "a", "paused:0:4000000000000:4000000900000", at=1_800_000_000_500)
    store.do("SET", store.key("log"), "x")
    assert "to skip: paused" in at_redis("history", "a").out


@pytest.mark.parametrize("words", [["history", "helo"], ["history", "--changes", "helo"]])
def test_a_name_that_is_nearly_one_is_answered_with_that_one(at_redis: Beatd, store: Store, words: list[str]) -> None:
    store.put(put_item("hello"))
    done = at_redis(*words)
    assert done.code == 4
    assert "did you mean 'hello'?" in done.err


def test_what_waits_for_another_broker_is_not_told_as_sent(at_redis: Beatd, store: Store) -> None:
    fired(store, "a", SLOT)
    fired(store, "b", SLOT)
    draft = Draft("a", SLOT, "id", "celery", None, None, at_most_once=False, broker="b")
    store.do("HSET", store.key("ob"), "1-1", pack_head(draft, 1))
    assert [row["what"] for row in at_redis("history", "-o", "json").json] == ["waiting", "fired"]
    assert [line.split()[2] for line in at_redis("history").out.splitlines()] == ["WHAT", "waiting", "fired"]
    store.do("DEL", store.key("ob"))
    store.do("SET", store.key("ob"), "somebody else's")
    assert [row["what"] for row in at_redis("history", "-o", "json").json] == ["fired", "fired"]
