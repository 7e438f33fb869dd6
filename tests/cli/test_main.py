"""What all commands share: help that can be read, errors that can be parsed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from beatd import __version__
from beatd.cli.main import COMMANDS, cli
from beatd.cli.summaries import SUMMARIES
from beatd.client.blocking import Client
from beatd.core.zone import data_version
from tests.support.servers import RedisServer, free_port


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_keeps_its_examples_on_lines_of_their_own(beatd: Any, command: str) -> None:
    done = beatd(*command.split(), "--help")
    assert done.code == 0
    assert not {"\b", "\\"} & set(done.out)
    assert all(line.count("beatd ") <= 1 + line.count("| beatd ") for line in done.lines)


@pytest.mark.parametrize("words", [["-o", "json"], ["-ojson"], ["--output", "ndjson"], ["--output=ndjson"]])
def test_an_error_is_json_where_json_is_asked_for(beatd: Any, words: list[str]) -> None:
    assert beatd("next", "61 * * * *", *words).error["code"] == 3
    assert set(beatd("next", *words).error) == {"error", "code", "message", "hint"}


def test_files_that_can_not_be_used_are_one_line_and_a_list_in_json(beatd: Any, tmp_path: Path) -> None:
    (tmp_path / "schedules.yaml").write_text("redis: host\nlease: {ttl: no}\nnamespace: ':'\n")
    error = beatd("ls", "-o", "json").error
    assert error["message"] == "the configuration can't be used: 3 errors"
    assert [(problem["line"], problem["code"]) for problem in error["problems"]] == [(n, "E044") for n in (1, 2, 3)]
    assert set(error) == {"error", "code", "message", "hint", "problems"}


def test_a_long_list_of_problems_is_cut_in_an_error_of_json(beatd: Any, tmp_path: Path) -> None:
    (tmp_path / "schedules.yaml").write_text("".join(f"wrong{n}: 1\n" for n in range(30)))
    error = beatd("ls", "-o", "json").error
    assert (error["message"], len(error["problems"])) == ("the configuration can't be used: 30 errors", 20)


def outcome(server: RedisServer, words: str, redirections: str) -> tuple[int, str]:
    """Exit code of a command of a shell, and what it says on stderr."""
    line = f"{sys.executable} -W error -m beatd {words} --redis {server.url} {redirections}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stderr


@pytest.mark.process
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", ["ls", "show a", "trigger a --no-wait", "history --changes", "export"])
def test_a_full_disk_behind_the_output_is_said_in_a_line(at_redis: Any, clean_redis: RedisServer, words: str) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1h")
    code, told = outcome(clean_redis, words, "> /dev/full")
    assert (code, told) == (1, "Error: the output can't be written: No space left on device\n")


@pytest.mark.process
@pytest.mark.parametrize(
    "words, code",
    [("ls", 0), ("set a --queue q", 0), ("set b --task t --every 1h", 0), ("rm a", 2), ("backfill a --from 1h", 2)],
)
def test_closed_streams_are_no_terminal(at_redis: Any, clean_redis: RedisServer, words: str, code: int) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1h")
    found, told = outcome(clean_redis, words, "<&- >&-")
    assert (found, "Traceback" in told) == (code, False)


@pytest.mark.process
def test_an_edit_whose_preview_nobody_reads_does_not_end_as_if_it_had_been_made(clean_redis: RedisServer) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        words = ["set", "a", "--task", "t", "--every", "1h", "--redis", clean_redis.url]
        done = subprocess.run([sys.executable, "-m", "beatd", *words], stderr=writer, check=False, timeout=30)
    finally:
        os.close(writer)
    with Client(clean_redis.url) as client:
        assert (done.returncode, client.find("a")) == (1, None)


def test_what_others_wrote_moves_no_cursor_out_of_an_error(at_redis: Any, clean_redis: RedisServer) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1h")
    with Client(clean_redis.url) as client:
        stored = {**client.get("a").definition, "owner": "x\x1b[2J"}
        client.link.request(("HSET", client.keys.key("def"), "a", json.dumps(stored)))
    done = at_redis("set", "a", "--queue", "q")
    assert (done.code, "'a' belongs to x\\x1b[2J: " in done.err, "\x1b" in done.err) == (5, True, False)


def test_the_version_tells_whose_zone_data_are_in_use(beatd: Any) -> None:
    done = beatd("--version")
    assert done.code == 0
    assert done.out == f"beatd {__version__} (zone data {data_version()})\n"


def test_the_list_of_commands_says_what_their_own_help_says() -> None:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in COMMANDS}
    assert {name: command.get_short_help_str(200) for name, command in commands.items() if command} == SUMMARIES
    assert list(SUMMARIES) == list(COMMANDS)


@pytest.mark.process
def test_the_list_of_commands_loads_none_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "beatd", "--help"], capture_output=True, text=True, check=True
    )
    assert "  ls " in done.stdout
    assert "beatd.cli.summaries" in done.stderr
    assert "redis" not in done.stderr


def test_a_command_that_ends_does_not_say_that_it_tries_again(beatd: Any) -> None:
    done = beatd("ls", "--redis", f"redis://127.0.0.1:{free_port()}/0")
    assert done.code == 6
    assert "hint: is the server running? is the port right?\n" in done.err
