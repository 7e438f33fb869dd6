"""The real command under real signals: `beatd run` as a child process, whose log lines are events to wait for."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from beatd.config.problems import Problem
from beatd.daemon.event_table import faults_of
from beatd.daemon.log_lines import EventText

ROOT: Final = Path(__file__).parents[2]
PATIENCE_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10.0
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. ``at`` is when it was read, monotonic seconds; ``line`` is as the text form shows it."""

    name: str
    fields: Mapping[str, str]
    line: str
    at: float


@dataclass(slots=True)
class _Log:
    lines: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ended: bool = False
    grown: threading.Condition = field(default_factory=threading.Condition)


class Daemon:
    """One `beatd run`. ``config`` is written as JSON, which is YAML, into ``folder/schedules.yaml``.

    Without a url it runs on its private server in that folder. ``program``: what runs beatd's command line.
    ``http`` None: what it does by itself.
    """

    def __init__(
        self,
        folder: Path,
        url: str | None,
        *,
        config: Mapping[str, Any] | None = None,
        lease_ttl: str | None = "2s",
        arguments: Sequence[str] = (),
        http: str | None = "off",
        stdin: int = subprocess.DEVNULL,
        program: Sequence[str] = ("-m", "beatd"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._stdin = stdin
        self._program = program
        self._env = env or {}
        self._arguments = [*(("--redis", url) if url else ()), *arguments]
        if http and "--http" not in arguments:
            self._arguments += ["--http", http]
        if lease_ttl:
            self._arguments += ["--lease-ttl", lease_ttl]
        self._log = _Log()
        self._process: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if config is not None:
            self.write(config)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the daemon was not started")
        return self._process.pid

    @property
    def name(self) -> str:
        """As the lease shows it."""
        return f"{socket.gethostname()}:{self.pid}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All lines since the first start, as the text form shows them."""
        return "\n".join(self._log.lines)

    @property
    def faults(self) -> list[str]:
        """What of stderr is no JSON line, and what the table of events does not know."""
        return list(self._log.faults)

    def take_faults(self) -> list[str]:
        """The faults so far, of which nobody is told any more: for a test that expects them."""
        taken, self._log.faults[:] = self.faults, []
        return taken

    def write(self, config: Mapping[str, Any]) -> None:
        (self.folder / "schedules.yaml").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")

    def start(self) -> "Daemon":
        """Starts it, and does not wait."""
        self._log = _Log(self._log.lines, self._log.events, self._log.faults)
        config = self.folder / "schedules.yaml"
        files = ("-c", str(config)) if config.exists() else ()
        self._process = subprocess.Popen(
            [sys.executable, *self._program, "run", *files, *self._arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **self._env},
            stdin=self._stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process, self._log), daemon=True).start()
        return self

    def events(self, name: str, **fields: str) -> list[Event]:
        """What has been logged so far under a name, with these fields."""
        return [e for e in list(self._log.events) if e.name == name and fields.items() <= e.fields.items()]

    def wait_for(self, name: str, *, count: int = 1, timeout: float = PATIENCE_S, **fields: str) -> Event:
        """The count-th event of that name with these fields, as soon as it is logged."""
        self._wait(lambda: len(self.events(name, **fields)) >= count, timeout, f"{count} x {name} {fields}")
        return self.events(name, **fields)[count - 1]

    def wait_for_line(self, text: str, *, timeout: float = PATIENCE_S) -> str:
        """The first line with that text in it."""

        def found() -> list[str]:
            return [line for line in self._log.lines if text in line]

        self._wait(lambda: bool(found()), timeout, repr(text))
        return found()[0]

    def send(self, how: signal.Signals) -> None:
        os.kill(self.pid, how)

    def kill(self) -> None:
        """The end without a last word, by SIGKILL. Ended already: nothing."""
        if self.running:
            self.send(signal.SIGKILL)
            self.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """An orderly end; gives the exit code."""
        self.send(how)
        return self.wait()

    def wait(self, timeout: float = STOP_TIMEOUT_S) -> int:
        """The exit code, once it has ended and all its lines are read."""
        assert self._process is not None
        code = self._process.wait(timeout)
        with self._log.grown:
            self._log.grown.wait_for(lambda: self._log.ended, timeout)
        return code

    def close(self) -> None:
        """Whatever state it is in: it ends."""
        if self.running:
            with suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
            self.kill()

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        with self._log.grown:
            self._log.grown.wait_for(lambda: condition() or self._log.ended, timeout)
        if not condition():
            how = "the daemon ended" if self._log.ended else f"waited {timeout:g} s"
            raise AssertionError(f"{what} was not logged ({how}):\n{self.log[-4000:]}")

    @staticmethod
    def _read(process: "subprocess.Popen[str]", log: _Log) -> None:
        assert process.stderr is not None
        for raw in process.stderr:
            line, event = _read_line(raw.rstrip("\n"), log.faults)
            with log.grown:
                log.lines += line.split("\n")
                if event:
                    log.events.append(event)
                log.grown.notify_all()
        process.stderr.close()
        with log.grown:
            log.ended = True
            log.grown.notify_all()


def _read_line(raw: str, faults: list[str]) -> tuple[str, Event | None]:
    """A line of JSON as people would read it, and the event it tells of; what is wrong with it goes to the faults."""
    try:
        said = json.loads(raw)
        ts, level = said.pop("ts"), said.pop("level")
    except (ValueError, KeyError, TypeError, AttributeError):
        faults.append(f"no JSON line: {raw}")
        return raw, None
    if not _INSTANT.fullmatch(ts):
        faults.append(f"ts is {ts!r}")
    event = said.pop("event", None)
    if event is None:
        hint = f"\n  hint: {said['hint']}" if "hint" in said else ""
        problems = "".join(f"\n{_problem(**each).text()}" for each in said.get("problems", ()))
        return f"{said.pop('logger')}: {said.pop('msg')}{problems}{hint}{said.get('exc', '')}", None
    faults += faults_of(event, said)
    text = f"{ts} {level.upper():<7} {EventText(event, said)}"
    return text, Event(event, {key: str(value) for key, value in said.items()}, text, time.monotonic())


def _problem(*, severity: str, **fields: Any) -> Problem:
    problem = Problem(**fields)
    assert problem.severity == severity
    return problem


class Fleet:
    """Several daemons on one Redis and one namespace, all with the same file."""

    def __init__(self, daemons: Sequence[Daemon], client: "redis.Redis", *, namespace: str = "default") -> None:
        self.daemons = list(daemons)
        self._client = client
        self._lease = f"{{beatd:{namespace}:0}}:lease"

    def leader(self, *, other_than: Daemon | None = None, timeout: float = PATIENCE_S) -> Daemon:
        """The instance that the lease names, once it names a living one (other than that one)."""
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            with suppress(redis.RedisError):
                owner, host = self._client.hmget(self._lease, ["owner", "host"])
                for daemon in self.daemons:
                    if owner and daemon is not other_than and daemon.running and daemon.name.encode() == host:
                        return daemon
            time.sleep(0.002)
        logs = "\n---\n".join(daemon.log[-1500:] for daemon in self.daemons)
        raise AssertionError(f"no leader in {timeout:g} s:\n{logs}")

    def standby(self) -> Daemon:
        """Some running instance that is not the leader."""
        leader = self.leader()
        return next(daemon for daemon in self.daemons if daemon is not leader and daemon.running)
