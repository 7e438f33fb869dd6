"""What `beatd run` says on stderr, whatever stderr is: a terminal, a pipe, the journal, a full disk, nothing at all."""

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from tests.support.daemon import ROOT
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, T, cut_all, fast_entries, wait_until
from tests.support.servers import RedisServer

Start = Callable[..., "subprocess.Popen[bytes]"]
STOP_S: Final = 10.0
SMALLEST_PIPE: Final = 4096


@pytest.fixture
def start(clean_redis: RedisServer, tmp_path: Path) -> Iterator[Start]:
    """Starts `beatd run` with a stderr of the test's choice."""
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "schedules.yaml").write_text(json.dumps({"schedules": fast_entries(20)}))

    def run(stderr: Any, *words: str, program: Sequence[str] = (), **variables: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "beatd", "run", "--redis", clean_redis.url, "--http", "off", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        process = subprocess.Popen(
            [*program, *command], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stderr=stderr
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def is_leading(client: redis.Redis) -> bool:
    return client.hexists(f"{T}:lease", "owner") and client.llen("celery") > 20


def ended(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(STOP_S)


def test_on_a_terminal_it_is_text_without_colours(start: Start, redis_client: redis.Redis) -> None:
    here, there = pty.openpty()
    settings = termios.tcgetattr(there)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(there, termios.TCSANOW, settings)
    said = _Reader(here)
    process = start(there)
    os.close(there)
    wait_until(lambda: is_leading(redis_client))
    assert ended(process) == 0
    lines = said.lines()
    assert lines[0].startswith("beatd: schedules: ")
    assert lines[1].startswith("beatd: Redis: redis://127.0.0.1:")
    assert " INFO    started version=" in lines[2]
    assert lines[-1].endswith(" INFO    stopped signal=SIGTERM")
    assert "\x1b" not in "".join(lines)


def test_a_flag_or_a_variable_decides_where_nobody_sees_a_terminal(start: Start, redis_client: redis.Redis) -> None:
    for words, variables in ((("--log-format", "text"), {}), ((), {"BEATD_LOG_FORMAT": "text"})):
        redis_client.flushall()
        process = start(subprocess.PIPE, *words, **variables)
        assert process.stderr is not None
        wait_until(lambda: is_leading(redis_client))
        assert ended(process) == 0
        assert b" INFO    stopped signal=SIGTERM\n" in process.stderr.read()


def test_the_journal_gets_json_with_the_level_before_it(start: Start, redis_client: redis.Redis) -> None:
    ours, theirs = socket.socketpair()
    found = os.fstat(theirs.fileno())
    process = start(theirs, JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}")
    theirs.close()
    said = _Reader(ours.detach())
    wait_until(lambda: is_leading(redis_client))
    assert ended(process) == 0
    lines = said.lines()
    levels = {line[:3] for line in lines}
    assert levels <= {"<4>", "<6>"}
    assert json.loads(lines[-1].removeprefix("<6>"))["event"] == "stopped"


def test_a_pipe_that_nobody_reads_stops_nothing_and_what_is_lost_is_told(
    start: Start, redis_client: redis.Redis
) -> None:
    here, there = os.pipe()
    fcntl.fcntl(there, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    process = start(there, "--log-level", "debug")
    os.close(there)
    wait_until(lambda: redis_client.llen("celery") > 300)
    before = time.monotonic()
    assert ended(process) == 0
    assert time.monotonic() - before < 5
    assert not redis_client.hget(f"{T}:lease", "owner")
    assert len(os.read(here, 2 * SMALLEST_PIPE)) <= SMALLEST_PIPE  # it was full for the longest time
    os.close(here)


@pytest.mark.parametrize("target", ["/dev/full", "closed", "left"])
def test_a_stderr_that_takes_nothing_stops_nothing(target: str, start: Start, redis_client: redis.Redis) -> None:
    if target == "closed":
        process = start(None, program=("/bin/sh", "-c", 'exec "$@" 2>&-', "sh"))
    elif target == "left":
        here, there = os.pipe()
        os.close(here)
        process = start(there)
        os.close(there)
    else:
        with Path(target).open("wb") as full:
            process = start(full)
    wait_until(lambda: is_leading(redis_client))
    if target == "closed":  # else a connection to Redis would be there, and get the log
        assert Path(f"/proc/{process.pid}/fd/2").readlink() == Path(os.devnull)
    assert ended(process) == 0


def test_a_stdout_that_is_closed_is_no_defect(start: Start, redis_client: redis.Redis) -> None:
    process = start(subprocess.PIPE, program=("/bin/sh", "-c", 'exec "$@" >&-', "sh"))
    wait_until(lambda: is_leading(redis_client))
    assert ended(process) == 0
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_what_ends_a_start_is_a_line_of_json_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / "schedules.yaml").write_text('schedules: {a: {task: t, every: "x\\ty"}}')
    process = start(subprocess.PIPE)
    _, said = process.communicate(timeout=STOP_S)
    assert process.returncode == 3
    (told,) = map(json.loads, said.splitlines())
    assert (told["level"], told["error"], told["code"]) == ("error", "config_invalid", 3)
    assert told["msg"] == "the configuration can't be used: 1 error"
    (problem,) = told["problems"]
    assert (problem["line"], problem["column"], problem["code"]) == (1, 33, "E054")


def test_a_defect_is_a_line_of_json_with_its_traceback(tmp_path: Path) -> None:
    program = (
        "import threading, warnings, logging\n"
        "from beatd.cli.logs import logging_to_stderr\n"
        "from beatd.cli.secrets import KNOWN\n"
        "KNOWN.learn('redis://:CANARY-CANARY@host')\n"
        "def fail(): raise ValueError('no CANARY-CANARY')\n"
        "class Odd:\n"
        "    def __del__(self): fail()\n"
        "with logging_to_stderr(None):\n"
        "    Odd()\n"
        "    thread = threading.Thread(target=fail, name='t'); thread.start(); thread.join()\n"
        "    warnings.warn('old')\n"
        "    logging.getLogger('kombu').error('amqp://user:CANARY@host')\n"
        "    fail()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert b"CANARY" not in done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in told] == ["beatd", "beatd", "py.warnings", "kombu", "beatd"]
    assert [line["level"] for line in told] == ["error", "error", "warning", "error", "critical"]
    assert all(told[n]["exc"].endswith("ValueError: no ***") for n in (0, 1, 4))


def test_a_link_that_flaps_is_no_flood(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis()
    daemon = start_daemon(server.url, config={"schedules": fast_entries(3)})
    daemon.wait_for("leader_acquired")
    with server.client() as client:
        give_up = time.monotonic() + 4
        while time.monotonic() < give_up:
            cut_all(client)
            time.sleep(0.05)
    lines = [event for name in ("redis_down", "redis_up") for event in daemon.events(name)]
    assert len(lines) < 50, daemon.log[-3000:]
    open_ledger(server).wait_for_entry("e0")


class _Reader:
    """Reads a descriptor to its end, in a thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._said = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        self._thread.join(STOP_S)
        return self._said.decode().splitlines()

    def _read(self) -> None:
        try:
            while more := os.read(self._fd, 65536):
                self._said += more
        except OSError:  # how a terminal ends
            pass
        finally:
            os.close(self._fd)
