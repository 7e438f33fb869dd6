"""`beatd history --changes` on a real server: who changed what, from which revision to which, and why."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beatd.client.blocking import Client
from beatd.client.change_log import FEWEST, Trail, changes
from beatd.core.change_log import Told
from tests.support.daemon import ROOT
from tests.support.servers import RedisServer
from tests.support.store import REV, Store, put_item

Beatd = Callable[..., Any]
LATER = "2030-01-01T00:00:00Z"


def definition(**fields: Any) -> str:
    return json.dumps({"task": "t", "every": "1m", **fields})


@pytest.fixture
def edited(store: Store) -> None:
    """An entry's life, and another entry."""
    store.put(put_item("a", "aaaaaaaaaa.f1", definition=definition()))
    store.put(put_item("b", definition=definition()))
    store.put(put_item("a", "bbbbbbbbbb.f2", definition=definition(every="2m", queue="q")))
    store.pause("a", nonce="cccccccccc")
    store.resume("a", nonce="dddddddddd", catchup=True)
    store.remove("a")


def texts(done: Any) -> list[str]:
    """Lines without their instants."""
    assert (done.code, done.err) == (0, "")
    return [line if line.startswith(" ") else line.split("  ", 1)[1] for line in done.lines]


@pytest.mark.usefixtures("edited")
def test_each_change_is_told_with_its_fields_and_its_revisions(at_redis: Beatd) -> None:
    assert texts(at_redis("history", "--changes", "a")) == [
        "created  by (test)",
        '    + every: "1m"',
        '    + task: "t"',
        "    revision aaaaaaaa",
        "changed  by (test)",
        '    ~ every: "1m" -> "2m"',
        '    + queue: "q"',
        "    revision aaaaaaaa -> bbbbbbbb",
        "paused   by (test): a deploy",
        "    revision bbbbbbbb -> cccccccc",
        "resumed  by (test)",
        "    from where it was paused (--catchup)",
        "    revision cccccccc -> dddddddd",
        "removed  by (test)",
    ]


@pytest.mark.usefixtures("edited")
def test_without_a_name_all_entries_are_told(at_redis: Beatd) -> None:
    lines = [line for line in texts(at_redis("history", "--changes")) if not line.startswith(" ")]
    assert [line.split()[:2] for line in lines] == [
        ["created", "a"], ["created", "b"], ["changed", "a"], ["paused", "a"], ["resumed", "a"], ["removed", "a"],
    ]  # fmt: skip


@pytest.mark.usefixtures("edited")
@pytest.mark.parametrize("form", ["json", "ndjson"])
@pytest.mark.parametrize("count", ["100", "0"])
def test_json_tells_everything(at_redis: Beatd, form: str, count: str) -> None:
    done = at_redis("history", "a", "--changes", "-n", count, "-o", form)
    rows = done.json if form == "json" else [json.loads(line) for line in done.lines]
    assert [row["what"] for row in rows] == ["created", "changed", "paused", "resumed", "removed"]
    at = rows[1].pop("at")
    assert at.startswith("20")
    assert rows[1] == {
        "name": "a", "what": "changed", "op": "put", "revision": "bbbbbbbbbb.f2", "was": "aaaaaaaaaa.f1",
        "who": {"client": "test"}, "note": None, "definition": {"task": "t", "every": "2m", "queue": "q"},
        "fields": [{"field": "every", "old": "1m", "new": "2m"}, {"field": "queue", "old": None, "new": "q"}],
        "owned_by_file": False, "enabled": True, "pause": None, "renamed_from": None, "renamed_to": None,
        "runs_left": None, "catchup": False, "asks": None,
    }  # fmt: skip
    paused = rows[2]["pause"]
    assert (paused["who"], paused["note"], paused["at"]) == ("me@here", "a deploy", rows[2]["at"])
    assert rows[4]["definition"]["every"] == "2m"


@pytest.mark.usefixtures("edited")
@pytest.mark.parametrize("words, told", [
    (["-n", "1"], "r"), (["-n", "2", "b"], "c"), (["--since", "1h"], "cchpur"), (["--until", "1h"], ""),
    (["--since", "1h", "-n", "2"], "ur"), (["-n", "0"], "cchpur"),
])  # fmt: skip
def test_one_asks_for_some_of_them(at_redis: Beatd, words: list[str], told: str) -> None:
    letters = {"created": "c", "changed": "h", "paused": "p", "resumed": "u", "removed": "r"}
    done = at_redis("history", "--changes", *words, "-o", "ndjson")
    assert "".join(letters[json.loads(line)["what"]] for line in done.lines) == told


def test_a_rename_is_told_on_both_names(at_redis: Beatd, store: Store) -> None:
    store.put(put_item("old"))
    store.pause("old")
    store.put(put_item("new", "eeeeeeeeee.f1", replaces="old"))
    assert texts(at_redis("history", "--changes", "new"))[:3] == [
        "renamed  by (test)", "    from old", "    under the pause it had before"
    ]  # fmt: skip
    assert texts(at_redis("history", "--changes", "old"))[-2:] == ["renamed  by (test)", "    to new"]


def test_an_end_of_a_pause_and_new_runs_are_told(at_redis: Beatd, store: Store) -> None:
    store.put(put_item("a", left="3"))
    store.pause("a", until=1_893_456_000_000)
    store.reset(a=5_000)
    lines = texts(at_redis("history", "--changes", "a", "-n", "2"))
    assert f"    until {LATER}" in lines
    assert "    runs left: 5,000" in lines


def test_a_request_is_told_with_what_it_asks_for(at_redis: Beatd, store: Store) -> None:
    asks = json.dumps({"kind": "backfill", "name": "a", "from": 1_893_456_000_000, "max": 5, "note": "once more"})
    store.do("XADD", store.key("log"), "*", "op", "request", "name", "a", "asks", asks, "who", '{"user":"ann"}')
    lines = texts(at_redis("history", "--changes", "a"))
    assert lines == ["asked    by ann: once more", f"    a backfill: from {LATER}, max 5"]


def test_who_made_it_is_told_as_far_as_it_is_known(at_redis: Beatd, store: Store) -> None:
    ann = '{"user":"ann","host":"web-1","client":"beatd run","files":["/etc/a.yaml"],"note":"a\\u001bb"}'
    for who in (ann, "cron", "[]", ""):
        store.do("XADD", store.key("log"), "*", "op", "resume", "name", "a", "who", who)
    assert texts(at_redis("history", "--changes", "a")) == [
        "resumed  by ann@web-1 (beatd run, /etc/a.yaml): a\\x1bb", "resumed  by (cron)", "resumed  by ([])",
        "resumed  by somebody who did not say so",
    ]  # fmt: skip


def test_what_the_command_line_changes_names_its_user_and_host(at_redis: Beatd) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1m")
    at_redis("pause", "a", "--note", "a deploy")
    made, paused = (json.loads(line) for line in at_redis("history", "--changes", "-o", "ndjson").lines)
    assert made["who"].keys() == {"client", "user", "host"}
    assert (made["who"]["client"], paused["who"]["client"], paused["note"]) == ("beatd set", "beatd pause", "a deploy")


def test_an_entry_nobody_changed_is_told_apart_from_none(at_redis: Beatd, store: Store) -> None:
    store.plant("a", 1_000)
    assert at_redis("history", "--changes", "a").err == "note: no change of a is kept\n"
    assert at_redis("history", "--changes", "--since", "1h").err == "note: there are no such changes\n"
    assert at_redis("history", "--changes").err == "note: nothing has been changed yet\n"
    done = at_redis("history", "--changes", "b")
    assert (done.code, done.err.splitlines()[0]) == (4, "beatd: there is no entry 'b', and no change of it")


def test_a_trimmed_log_says_where_it_begins_and_what_it_can_not_tell(at_redis: Beatd, store: Store) -> None:
    for number in range(3):
        store.put(put_item("a", f"n{number}.f", definition=definition(args=[number])))
    store.do("XTRIM", store.key("log"), "MAXLEN", 2)
    done = at_redis("history", "--changes", "a")
    assert done.code == 0
    assert "    what it was before is not kept" in done.lines
    assert "    ~ args: [1] -> [2]" in done.lines
    assert done.err.startswith("note: ")
    assert "the oldest change that is kept is of 20" in done.err
    assert at_redis("history", "--changes", "a", "-n", "1").err == ""


@pytest.mark.parametrize("words", [["--fires"], ["--skips"], ["--reason", "missed"]])
def test_changes_are_no_fires_and_no_skips(at_redis: Beatd, words: list[str]) -> None:
    done = at_redis("history", "--changes", *words)
    assert (done.code, "--changes is about edits" in done.err) == (2, True)


@pytest.mark.parametrize("words", [[], ["-n", "0"], ["-o", "json"]])
def test_a_key_that_is_no_log_is_named(at_redis: Beatd, store: Store, words: list[str]) -> None:
    store.do("SET", store.key("log"), "x")
    done = at_redis("history", "--changes", *words)
    assert (done.code, store.key("log") in done.err) == (5, True)


# Pages


def everything(server: RedisServer) -> list[Told]:
    with Client(server.url, "default") as client:
        trail, found = Trail(client.keys), []
        while page := client.run(trail.more()):
            found += page
        return found


def test_a_long_log_is_read_in_pages_from_either_end(clean_redis: RedisServer, store: Store) -> None:
    for number in range(5 * FEWEST):
        store.put(put_item("abc"[number % 3], f"n{number}.f", definition=definition(args=["x" * 5_000, number])))
        if number % 7 == 0:
            store.do("XADD", store.key("log"), "*", "what", "is this")
    found = everything(clean_redis)
    assert [told.change.rev for told in found] == [f"n{number}.f" for number in range(5 * FEWEST)]
    assert all(told.fields is not None and len(told.fields) <= 3 for told in found)
    with Client(clean_redis.url, "default") as client:
        for count in (1, 60, 10_000):
            assert client.run(changes(client.keys, count=count)) == found[-count:]
            of_b = [told for told in found if told.change.name == "b"]
            assert client.run(changes(client.keys, "b", count)) == of_b[-count:]


# Followed


@pytest.fixture
def follow(clean_redis: RedisServer, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `beatd history --changes --follow` as a process of its own."""
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str, url: str = clean_redis.url) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "beatd", "history", "--changes", "-f", "-o", "ndjson", "--redis", url, *words]
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


def next_of(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_what_comes_is_followed_with_what_it_changed(follow: Callable[..., Any], store: Store) -> None:
    store.put(put_item("a", definition=definition()))
    store.put(put_item("b", definition=definition()))
    process = follow("-n", "1")
    assert next_of(process)["name"] == "b"
    store.put(put_item("a", "n2.f", definition=definition(queue="q")))
    assert next_of(process)["fields"] == [{"field": "queue", "old": None, "new": "q"}]
    store.pause("b")
    assert (next_of(process)["was"], process.poll()) == (REV, None)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


def test_one_entry_is_followed_alone(follow: Callable[..., Any], store: Store) -> None:
    process = follow("a", "-n", "0")
    for name in ("b", "a"):
        store.put(put_item(name))
    assert next_of(process)["name"] == "a"


def test_following_outlives_a_restart_of_redis(follow: Callable[..., Any], start_redis: Callable[..., Any]) -> None:
    server = start_redis()
    Store(server).put(put_item())
    process = follow(url=server.url)
    assert next_of(process)["what"] == "created"
    Store(server).pause("a")  # from here on it follows
    assert next_of(process)["what"] == "paused"
    server.kill()
    assert "waiting for it" in process.stderr.readline()
    server.start()
    Store(server).put(put_item())
    assert next_of(process)["what"] == "created"
    assert "it answers again" in process.stderr.readline()
