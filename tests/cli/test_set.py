"""`beatd set`: every flag of a schedule, the preview before the write, and what it refuses."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beatd.client.blocking import Client
from tests.support.servers import RedisServer
from tests.support.store import Store

Set = Callable[..., Any]


@pytest.fixture
def set_(beatd: Any, clean_redis: RedisServer) -> Set:
    return lambda *words: beatd("set", *words, "--redis", clean_redis.url)


def stored(server: RedisServer, name: str) -> Any:
    with Client(server.url, "default") as client:
        found = client.find(name)
    return None if found is None else found.definition


def test_every_flag_of_a_schedule_is_stored(set_: Set, clean_redis: RedisServer) -> None:
    cron = ("--cron", "H 2 1 * mon", "--day", "and", "--hash-id", "x", "--tz", "Europe/Paris")
    assert set_("a", "--task", "t", *cron, "--start", "2030-01-01T00:00", "--guarantee", "at_most_once").code == 0
    found = stored(clean_redis, "a")
    assert {key: found[key] for key in ("cron", "day", "hash_id", "timezone", "start", "guarantee")} == {
        "cron": "H 2 1 * mon",
        "day": "and",
        "hash_id": "x",
        "timezone": "Europe/Paris",
        "start": "2030-01-01T00:00:00",
        "guarantee": "at_most_once",
    }
    every = ("--every", "200ms", "--fast", "--anchor", "2026-01-01T00:00Z", "--end", "2099-01-01T00:00Z")
    assert set_("b", "--task", "t", *every, "--yes").code == 0
    found = stored(clean_redis, "b")
    assert (found["every"], found["fast"], found["anchor"], found["end"]) == (
        "200ms",
        True,
        "2026-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
    )


def test_the_next_three_slots_are_shown_on_stderr(set_: Set) -> None:
    done = set_("a", "--task", "t", "--cron", "30 2 * * *", "--tz", "America/New_York", "--start", "2030-03-09T12:00")
    assert (done.code, done.out) == (0, "")
    head, titles, first, second, third, *notes, last = done.err.splitlines()
    assert head == "a: at 02:30 every day, America/New_York"
    assert titles.split() == ["America/New_York", "UTC", "FROM", "NOW", "DST"]
    assert "Sun 2030-03-10 03:00:00 -04:00  2030-03-10T07:00:00Z" in first
    assert "02:30 is skipped by the clock: runs at 03:00" in first
    assert "2030-03-11T06:30:00Z" in second
    assert "2030-03-12T06:30:00Z" in third
    assert all(text.startswith("note: ") for text in notes)
    assert last == "a: created"


def test_an_edit_that_leaves_the_schedule_alone_shows_no_slots(set_: Set) -> None:
    set_("a", "--task", "t", "--cron", "30 2 * * *")
    assert set_("a", "--queue", "other").err == '  ~ queue: "celery" -> "other"\na: changed\n'
    assert set_("a", "--queue", "other").err == "a: unchanged\n"


def test_unnamed_fields_stay_where_the_new_kind_understands_them(set_: Set, clean_redis: RedisServer) -> None:
    given = ("--every", "1h", "--anchor", "2026-01-01T00:20Z", "--tz", "Asia/Tokyo", "--end", "2099-01-01T00:00Z")
    set_("a", "--task", "t", *given)
    set_("a", "--every", "2h")
    assert stored(clean_redis, "a")["anchor"] == "2026-01-01T00:20:00Z"
    set_("a", "--cron", "0 9 * * *")
    found = stored(clean_redis, "a")
    assert {"anchor", "every"}.isdisjoint(found)
    assert (found["timezone"], found["end"]) == ("Asia/Tokyo", "2099-01-01T00:00:00Z")


def test_an_instant_that_is_past_is_refused_and_nothing_is_written(set_: Set, clean_redis: RedisServer) -> None:
    done = set_("a", "--task", "t", "--at", "2020-01-01T00:00Z")
    assert done.code == 3
    assert done.err.startswith("beatd: at: 2020-01-01T00:00:00Z is past: the clock of Redis shows 20")
    assert stored(clean_redis, "a") is None


def test_an_instant_ahead_is_wall_time_in_the_zone(set_: Set, clean_redis: RedisServer) -> None:
    ahead = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 3_600))
    assert set_("a", "--task", "t", "--at", ahead).code == 0
    assert set_("b", "--task", "t", "--at", ahead, "--tz", "Asia/Tokyo").code == 3
    assert stored(clean_redis, "b") is None


def test_a_schedule_without_a_slot_ahead_is_written_with_a_note(set_: Set, clean_redis: RedisServer) -> None:
    done = set_("a", "--task", "t", "--cron", "0 9 * * *", "--end", "2020-01-01T00:00Z")
    assert "note: it will not run: the schedule ends 2020-01-01T00:00:00Z" in done.err
    assert stored(clean_redis, "a") is not None


def test_what_else_decides_is_noted(set_: Set) -> None:
    err = set_("a", "--task", "t", "--every", "1d", "--max-runs", "3", "--disabled").err
    assert "the entry's name chooses when it runs" in err
    assert "note: 'a' is disabled" in err
    assert "note: max_runs: ends after 3 scheduled runs in all" in err


def test_a_schedule_that_is_none_is_refused_before_anything_is_written(set_: Set, clean_redis: RedisServer) -> None:
    assert set_("a", "--task", "t", "--cron", "0 9 * * *", "--anchor", "2026-01-01T00:00Z").code == 3
    assert set_("a", "--task", "t", "--cron", "0 9 * * *", "--day", "xor").code == 2
    assert stored(clean_redis, "a") is None


@pytest.mark.process
@pytest.mark.parametrize(
    "answer, code, written", [(b"\n", 0, True), (b"n\n", 1, False), (b"\x04", 130, False), (b"", 0, True)]
)
def test_on_a_terminal_it_asks_unless_yes_is_said(
    clean_redis: RedisServer, tmp_path: Path, answer: bytes, code: int, written: bool
) -> None:
    words = [
        "set",
        "a",
        "--task",
        "t",
        "--cron",
        "0 9 * * *",
        "--redis",
        clean_redis.url,
        *([] if answer else ["--yes"]),
    ]
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-m", "beatd", *words],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=env,
    )
    os.close(theirs)
    shown = b""
    while not shown.endswith((b"[Y/n]: ", b"created\r\n")):
        shown += os.read(ours, 65_536)
    assert (b"Create a? [Y/n]: " in shown) is bool(answer)
    os.write(ours, answer)
    assert process.communicate(timeout=30)[0] == b""
    said = os.read(ours, 65_536) if answer else b""
    os.close(ours)
    assert process.returncode == code
    assert said.endswith(b"created\r\n" if written else b"nothing was written\r\n") or not answer
    assert (stored(clean_redis, "a") is not None) is written


@pytest.mark.parametrize("option", ["foo=1", "priority=12", "expires=soon"])
def test_an_entry_that_could_never_be_sent_is_refused(set_: Set, clean_redis: RedisServer, option: str) -> None:
    done = set_("a", "--task", "t", "--every", "30s", "--option", option)
    assert done.code == 3
    assert option.partition("=")[0] in done.err
    assert stored(clean_redis, "a") is None


def test_a_new_entry_is_asked_for_its_task(set_: Set) -> None:
    done = set_("a", "--every", "30s")
    assert done.code == 3
    assert "a new one needs a task and a schedule" in done.err
    assert "--task" in done.err


def test_ls_of_an_empty_namespace_says_how_to_create_an_entry(beatd: Any, clean_redis: RedisServer) -> None:
    done = beatd("ls", "--redis", clean_redis.url)
    assert (done.code, done.out) == (0, "NAME  SCHEDULE  NEXT  LEFT  LAST  AGO  RESULT  STATE\n")
    assert done.err.startswith("note: no entries here yet; create one: beatd set NAME --task")
    bare = beatd("ls", "--redis", clean_redis.url, "-o", "json")
    assert (bare.json, bare.err) == ([], "")


def test_an_edit_that_changes_nothing_says_so(set_: Set) -> None:
    set_("a", "--task", "t", "--every", "30s")
    assert set_("a", "--task", "t", "--queue", "celery").err == "a: unchanged\n"


def test_why_is_kept_with_the_change(set_: Set, beatd: Any, clean_redis: RedisServer) -> None:
    set_("a", "--task", "t", "--every", "30s", "--note", "for the audit")
    beatd("rm", "a", "--yes", "--note", "not needed", "--redis", clean_redis.url)
    notes = [json.loads(row["who"])["note"] for row in Store(clean_redis).rows("log")]
    assert notes == ["for the audit", "not needed"]


def test_a_revision_may_be_asked_for(set_: Set, clean_redis: RedisServer) -> None:
    new = ("a", "--task", "t", "--every", "30s", "--if-revision", "")
    assert set_(*new).code == 0
    assert set_(*new).code == 5
    with Client(clean_redis.url) as client:
        revision = client.get("a").revision
    assert set_("a", "--queue", "mail", "--if-revision", revision).code == 0
    done = set_("a", "--queue", "other", "--if-revision", revision)
    assert done.code == 5
    assert "changed queue meanwhile" in done.err


@pytest.mark.process
def test_the_loser_of_a_race_is_told_what_changed_and_by_whom(clean_redis: RedisServer, tmp_path: Path) -> None:
    """Somebody else edits the entry while the question is open."""
    with Client(clean_redis.url, who="ann") as client:
        client.set("a", task="t", every=30)
        ours, theirs = pty.openpty()
        words = ["set", "a", "--queue", "mine", "--redis", clean_redis.url]
        process = subprocess.Popen(
            [sys.executable, "-m", "beatd", *words],
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"},
        )
        os.close(theirs)
        shown = b""
        while not shown.endswith(b"[Y/n]: "):
            shown += os.read(ours, 65_536)
        client.set("a", args=[1], queue="theirs")
        os.write(ours, b"\n")
        while b"hint" not in shown:
            shown += os.read(ours, 65_536)
        process.communicate(timeout=30)
        os.close(ours)
        assert process.returncode == 5
        assert b"ann@" in shown
        assert b"changed args, queue meanwhile" in shown
        assert client.get("a").definition["queue"] == "theirs"


def test_the_entry_of_a_file_is_changed_in_the_file_and_its_line_is_named(
    set_: Set, beatd: Any, clean_redis: RedisServer, schedules: Callable[[str], None]
) -> None:
    set_("nightly", "--task", "t", "--every", "1h")
    store = Store(clean_redis)
    store.do("HSET", store.key("file"), "nightly", "hash")
    refused = set_("nightly", "--queue", "x")
    assert refused.code == 5
    assert "'nightly' belongs to a file (schedules.yaml); its definition is changed there" in refused.err
    schedules("schedules:\n  a: {task: t, every: 1h}\n  nightly:\n    task: t\n    every: 1h\n")
    for words in (("set", "nightly", "--queue", "x"), ("rm", "nightly", "--yes")):
        refused = beatd(*words, "--redis", clean_redis.url)
        assert refused.code == 5
        assert "'nightly' belongs to a file: schedules.yaml:3; its definition is changed there" in refused.err
    assert beatd("pause", "nightly", "--redis", clean_redis.url).code == 0


def test_rm_refuses_all_where_one_is_not_there_or_not_ours(set_: Set, beatd: Any, clean_redis: RedisServer) -> None:
    set_("a", "--task", "t", "--every", "1h")
    done = beatd("rm", "a", "b", "--yes", "--redis", clean_redis.url)
    assert (done.code, stored(clean_redis, "a")["every"]) == (4, "1h")


def test_a_field_is_given_its_default_back(set_: Set, clean_redis: RedisServer) -> None:
    more = ("--max-runs", "3", "--deadline", "1h", "--tag", "x", "--option", "expires=60", "--option", "priority=3")
    assert set_("a", "--task", "t", "--cron", "0 9 * * *", "--tz", "Asia/Tokyo", "--description", "d", *more).code == 0
    fields = ("max_runs", "--deadline", "tag", "options.expires", "tz", "description")
    done = set_("a", *(word for field in fields for word in ("--unset", field)))
    assert done.code == 0
    assert "a: at 09:00 every day, UTC\n" in done.err, "it shows the slots of what is another schedule now"
    assert '  ~ options: {"expires": 60, "priority": 3} -> {"priority": 3}\n' in done.err
    assert "  - max_runs: 3\n" in done.err
    found = stored(clean_redis, "a")
    assert found["options"] == {"priority": 3}
    assert {"max_runs", "deadline", "description"}.isdisjoint(found)
    assert (found.get("tags", []), found.get("timezone", "UTC")) == ([], "UTC")
    assert set_("a", "--unset", "max-runs").err == "a: unchanged\n"


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("--unset", "max_runs", "--max-runs", "3"), 2, "--unset max_runs: the same command sets it"),
        (("--unset", "options.expires", "--option", "expires=3"), 2, "the same command sets it"),
        (("--unset", "tags.x"), 2, "a field, or options.NAME, is expected"),
        (("--unset", "evry"), 3, "did you mean every?"),
        (("--unset", "task"), 3, "task"),
        (("--unset", "cron"), 3, "cron"),
    ],
)
def test_what_can_not_be_unset_is_refused(
    set_: Set, clean_redis: RedisServer, words: tuple[str, ...], code: int, said: str
) -> None:
    set_("a", "--task", "t", "--cron", "0 9 * * *")
    before = stored(clean_redis, "a")
    done = set_("a", *words)
    assert done.code == code
    assert said in done.err
    assert stored(clean_redis, "a") == before


def test_rm_names_what_went_and_obeys_a_revision(set_: Set, beatd: Any, clean_redis: RedisServer) -> None:
    for name in ("a", "b", "c"):
        set_(name, "--task", "t", "--cron", "0 9 * * *")
    redis = ("--redis", clean_redis.url, "--yes")
    with Client(clean_redis.url, "default") as client:
        old = client.get("a").revision
        client.set("a", queue="slow")
        new = client.get("a").revision
    assert beatd("rm", "a", "b", "--if-revision", new, *redis).code == 2
    lost = beatd("rm", "a", "--if-revision", old, *redis)
    assert lost.code == 5
    assert "changed queue meanwhile" in lost.err
    nobody = beatd("rm", "a", "nobody", "c", *redis)
    assert (nobody.code, nobody.err.splitlines()[0]) == (
        4,
        "beatd: there is no entry 'nobody'; nothing was written: the other 2 are left as before",
    )
    assert beatd("rm", "a", "--if-revision", new, *redis).err == "a: removed\n"
    assert beatd("rm", "b", "c", "b", *redis).err == "b: removed\nc: removed\n"
    assert stored(clean_redis, "c") is None


@pytest.mark.process
@pytest.mark.parametrize("meanwhile, code", [("edit", 5), ("pause", 0), ("nothing", 0), ("refusal", 1)])
def test_rm_removes_what_it_asked_about_and_nothing_newer(
    set_: Set, clean_redis: RedisServer, tmp_path: Path, meanwhile: str, code: int
) -> None:
    set_("a", "--task", "t", "--cron", "0 9 * * *")
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    words = [sys.executable, "-m", "beatd", "rm", "a", "--redis", clean_redis.url]
    process = subprocess.Popen(words, stdin=theirs, stderr=subprocess.PIPE, cwd=tmp_path, env=env)
    os.close(theirs)
    assert process.stderr is not None
    shown = b""
    while not shown.endswith(b"Remove a? [y/N]: "):
        shown += os.read(process.stderr.fileno(), 65_536)
    with Client(clean_redis.url, "default") as client:
        if meanwhile == "edit":
            client.set("a", queue="slow")
        elif meanwhile == "pause":
            client.pause("a")
    os.write(ours, b"n\n" if meanwhile == "refusal" else b"y\n")
    said = process.communicate(timeout=30)[1].decode()
    os.close(ours)
    assert process.returncode == code
    expected = {"edit": "changed queue meanwhile", "refusal": "nothing was written"}
    assert expected.get(meanwhile, "a: removed") in said
    assert (stored(clean_redis, "a") is None) is (code == 0)
