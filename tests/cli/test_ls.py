"""`beatd ls`: tables, formats, filters, pages, and a picture that is drawn again and again."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
import yaml

from beatd.cli.rows import FIELDS
from tests.cli.conftest import Beatd
from tests.support.servers import RedisServer
from tests.support.store import REV, Store

FAR = 4_000_000_000_000
DEFINITION = {"task": "app.mail.send", "cron": "0 9 * * mon-fri", "timezone": "Europe/Paris", "owner": "api"}


def plant(store: Store, name: str, moment: int = FAR, definition: Any = None, **fields: Any) -> None:
    store.plant(name, moment, **fields)
    store.do("HSET", store.key("def"), name, json.dumps(definition or DEFINITION))


def plant_paused(store: Store, name: str) -> None:
    store.do("HSET", store.key("rev"), name, REV)
    store.do("HSET", store.key("def"), name, json.dumps(DEFINITION))
    reasons = {"paused": {"who": "ann@web-1", "note": "the mail server moves", "at": "1000"}}
    store.do("HSET", store.key("out"), name, json.dumps(reasons))


@pytest.fixture
def three(store: Store) -> None:
    plant(store, "digest", last=f"{10**12}|{10**12 + 4}|id|")
    plant(store, "hourly", 1_000, {"task": "app.tidy", "every": "1h", "queue": "slow", "tags": ["tidy", "db"]})
    plant_paused(store, "sweep")


def test_a_table_tells_next_and_last_run_and_state(at_redis: Beatd, three: None) -> None:
    done = at_redis("ls")
    heads, *rows = [re.split(r"  +", line) for line in done.lines]
    assert heads == ["NAME", "SCHEDULE", "NEXT", "LEFT", "LAST", "AGO", "RESULT", "STATE"]
    hourly, digest, sweep = rows
    assert hourly[:3] == ["hourly", "every: 1h", "1970-01-01T00:00:01Z"]
    assert hourly[4:] == ["never", "never", "never", "scheduled"]
    assert digest[:3] == ["digest", "cron: 0 9 * * mon-fri (Europe/Paris)", "2096-10-02T07:06:40Z"]
    assert digest[4] == "2001-09-09T01:46:40Z"
    assert digest[6:] == ["fired", "scheduled"]
    assert sweep[2:] == ["-", "-", "never", "never", "never", "paused by ann@web-1: the mail server moves"]
    assert (done.code, done.err) == (0, "")


def test_wide_has_all_there_is(at_redis: Beatd, three: None) -> None:
    heads, hourly, *_ = [re.split(r"  +", line) for line in at_redis("ls", "-o", "wide").lines]
    assert heads[8:] == ["TASK", "QUEUE", "OWNER", "TAGS", "TIMEZONE", "WORDS", "REVISION"]
    assert hourly[8:] == ["app.tidy", "slow", "api", "tidy db", "UTC", "every hour", REV]


def test_instants_can_be_shown_in_another_zone(at_redis: Beatd, three: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATD_TZ", "Asia/Tokyo")
    assert "  1970-01-01T09:00:01+09:00  " in at_redis("ls").out
    assert at_redis("ls", "-o", "json").json[0]["next"] == "1970-01-01T00:00:01Z"


def test_every_format_has_the_same_fields(at_redis: Beatd, three: None) -> None:
    rows = at_redis("ls", "-o", "json").json
    assert all(tuple(row) == FIELDS for row in rows)
    assert [row["name"] for row in rows] == ["hourly", "digest", "sweep"]
    assert [json.loads(line) for line in at_redis("ls", "-o", "ndjson", "--state", "paused").lines] == rows[2:]
    assert [row["name"] for row in yaml.safe_load(at_redis("ls", "-o", "yaml").out)] == ["hourly", "digest", "sweep"]
    assert yaml.safe_load(at_redis("ls", "-o", "yaml", "sweep").out) == rows[2:]
    assert at_redis("ls", "-o", "name").lines == ["hourly", "digest", "sweep"]
    heads, *lines = csv.reader(io.StringIO(at_redis("ls", "-o", "csv").out))
    assert tuple(heads) == FIELDS
    assert [line[0] for line in lines] == ["hourly", "digest", "sweep"]
    assert lines[0][FIELDS.index("tags")] == "tidy db"
    assert json.loads(lines[2][FIELDS.index("paused")])["note"] == "the mail server moves"


@pytest.mark.parametrize("output, empty", [("json", "[]\n"), ("yaml", "[]\n"), ("ndjson", ""), ("name", "")])
def test_nothing_is_nothing_in_every_format(at_redis: Beatd, output: str, empty: str) -> None:
    assert at_redis("ls", "-o", output).out == empty


def test_an_entry_of_a_later_version_shows_the_fields_that_are_not_known(at_redis: Beatd, store: Store) -> None:
    plant(store, "new", definition={**DEFINITION, "colour": "red", "retry": {"max": 3}})
    (row,) = at_redis("ls", "-o", "json").json
    assert row["unknown"] == {"colour": "red", "retry": {"max": 3}}
    assert row["words"] == "at 09:00 on Monday to Friday"


def test_a_definition_that_cannot_be_read_shows_what_there_is_of_it(at_redis: Beatd, store: Store) -> None:
    plant(store, "odd", definition={"task": "t", "cron": "nonsense", "tags": ["x", 5]})
    plant(store, "worse")
    store.do("HSET", store.key("def"), "worse", "[")
    odd, worse = at_redis("ls", "-o", "json").json
    assert (odd["schedule"], odd["task"], odd["tags"]) == (None, "t", ["x"])
    assert (worse["schedule"], worse["task"], worse["owner"]) == (None, None, "api")


def test_filters_narrow_the_list(at_redis: Beatd, three: None) -> None:
    def names(*words: str) -> list[str]:
        return at_redis("ls", "-o", "name", *words).lines

    assert names("*e*") == ["digest", "sweep"]
    assert names("--state", "scheduled") == ["hourly", "digest"]
    assert names("--state", "paused,late") == ["hourly", "sweep"]
    assert names("--state", "never", "--state", "finished") == ["hourly", "sweep"]
    assert names("--tag", "db", "--tag", "tidy") == ["hourly"]
    assert names("--task", "app.mail.*") == ["digest", "sweep"]
    assert names("--owner", "file") == []
    assert names("--sort", "name") == ["digest", "hourly", "sweep"]
    assert names("--sort", "last") == ["digest", "hourly", "sweep"]
    assert names("--limit", "1", "--page", "2") == ["digest"]


def test_a_page_says_that_there_are_more(at_redis: Beatd, three: None) -> None:
    assert at_redis("ls", "--limit", "2").err == "note: 2 shown of 3; --page 2 shows the next, --limit 0 all\n"
    assert at_redis("ls", "--limit", "2", "--page", "2").err == ""
    assert at_redis("ls", "--limit", "3").err == ""
    assert at_redis("ls", "--limit", "1", "--task", "app.mail.*").err.startswith("note: 1 shown; --page 2")
    assert at_redis("ls", "--limit", "2", "--page", "9").err == "note: no such page\n"
    assert at_redis("ls", "--tag", "none").err == "note: no entry matches (of 3)\n"


def test_a_name_that_is_missing_is_an_error_behind_those_that_are_there(at_redis: Beatd, three: None) -> None:
    done = at_redis("ls", "sweep", "digets", "-o", "name")
    assert (done.code, done.out) == (4, "sweep\n")
    assert done.err == "beatd: there is no entry 'digets'\n  hint: did you mean 'digest'?\n"
    assert at_redis("ls", "nob*").code == 0
    assert at_redis("ls", "sweep", "--state", "disabled").code == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (["--state", "broken"], "--state 'broken': there are scheduled, finished"),
        (["--limit", "0", "--page", "2"], "--page: with --limit 0 there is one page"),
        (["--watch"], "--watch draws a table on a terminal"),
        (["--interval", "1ms"], "--interval: found 1ms; at least 200ms is accepted"),
        (["--interval", "soon"], "--interval: "),
    ],
)
def test_what_makes_no_sense_is_refused(at_redis: Beatd, words: list[str], said: str) -> None:
    done = at_redis("ls", *words)
    assert done.code == 2
    assert said in done.err


def test_reasons_why_entries_are_invalid_are_told_but_not_for_ever(at_redis: Beatd, store: Store) -> None:
    for number in range(12):
        plant_paused(store, f"e{number:02}")
        store.do("HSET", store.key("out"), f"e{number:02}", '{"invalid":{"why":"task is missing"}}')
    err = at_redis("ls").err.splitlines()
    assert err[0] == "note: e00 is invalid: task is missing"
    assert err[-1] == "note: 2 more are invalid: beatd ls --state invalid -o json"
    assert len(err) == 11
    assert at_redis("ls", "-o", "json").err == ""


# On a terminal


class Terminal:
    """`beatd ls` in a pseudo-terminal of its own."""

    def __init__(self, url: str, folder: Path, *words: str, size: tuple[int, int]) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
        env = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
        command = [sys.executable, "-m", "beatd", "ls", *words, "--redis", url]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=env, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def until(self, condition: Callable[[str], bool], within: float = 20) -> str:
        """All that was shown, once it is what is waited for."""
        give_up = time.monotonic() + within
        while not condition(self.shown):
            assert time.monotonic() < give_up, self.shown
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._ours, 65_536).decode()
                except OSError:  # its end
                    break
        return self.shown

    def end(self) -> str:
        """All that was shown until the command ended."""
        shown = self.until(lambda _: False)
        self.process.wait(20)
        return shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(clean_redis: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*words: str, url: str = clean_redis.url, size: tuple[int, int] = (80, 24)) -> Terminal:
        opened.append(Terminal(url, tmp_path, *words, size=size))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def bare(text: str) -> list[str]:
    """Lines without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").splitlines()


@pytest.mark.parametrize(
    "width, heads",
    [
        (40, ["NAME", "LEFT", "STATE"]),
        (80, ["NAME", "SCHEDULE", "LEFT", "STATE"]),
        (200, ["NAME", "SCHEDULE", "NEXT", "LEFT", "LAST", "AGO", "RESULT", "STATE"]),
    ],
)
def test_a_table_is_cut_to_the_terminal(
    terminal: Callable[..., Terminal], three: None, width: int, heads: list[str]
) -> None:
    shown = terminal(size=(width, 24)).end()
    lines = bare(shown)
    assert lines[0].split() == heads
    assert max(map(len, lines)) <= width
    assert ("the mail server moves" in shown) is (width == 200)
    assert "\x1b[33mpaused" in shown


def test_watching_draws_in_its_place_until_ctrl_c(terminal: Callable[..., Terminal], store: Store, three: None) -> None:
    watching = terminal("--watch", "--interval", "200ms", size=(100, 10))
    watching.until(lambda shown: "sweep" in shown)
    plant(store, "another", 2_000)
    watching.until(lambda shown: "another" in shown)
    os.killpg(watching.process.pid, signal.SIGINT)
    shown = watching.end()
    assert watching.process.returncode == 130
    assert shown.count("\x1b[2J") == 1  # cleared once, drawn over from there on
    assert shown.startswith("\x1b[?25l")
    assert shown.rstrip().endswith("\x1b[?25h")
    assert "3 of 3 entries" in shown
    assert "4 of 4 entries" in shown


def test_watching_shows_as_many_as_fit(terminal: Callable[..., Terminal], store: Store) -> None:
    for number in range(30):
        plant(store, f"e{number:02}", FAR + number)
    watching = terminal("--watch", size=(100, 10))
    shown = watching.until(lambda shown: "e06" in shown)
    assert "7+ of 30 entries" in shown
    assert "e07" not in shown


def test_watching_outlives_redis(terminal: Callable[..., Terminal], start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(appendonly="yes")
    plant(Store(server), "digest")
    watching = terminal("--watch", "--interval", "200ms", url=server.url, size=(150, 10))
    watching.until(lambda shown: "digest" in shown)
    server.kill()
    watching.until(lambda shown: "waiting for it" in shown)
    server.start()
    plant(Store(server), "back-again", 1_000)
    watching.until(lambda shown: "back-again" in shown)
    assert watching.process.poll() is None
