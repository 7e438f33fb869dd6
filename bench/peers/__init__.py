"""The race: N crontabs of every minute, fired by beatd, celery beat, redbeat and rq's cron, each on its own Redis.

What counts is the queue: its length is asked for every millisecond from just before the minute on. That is the same for
all, and knows nothing of what a program says of itself.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import redis

from bench.daemon import HTTP
from bench.peers.plot import Line, plot
from bench.server import CLIENT_CORE, pin, pushes_per_second, running_server
from tests.support.servers import RedisServer

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PEERS_PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"
PICTURE: Final = ROOT / "docs" / "race.svg"
SIZES: Final = (1_000, 2_000)
BEATD_SIZES: Final = (1_000, 2_000, 10_000)
ROUNDS: Final = int(os.environ.get("BEATD_BENCH_ROUNDS", "3"))
READY_S: Final = 20  # before the minute: by then everybody has read its entries
PATIENCE_S: Final = 50


@dataclass(frozen=True, slots=True)
class Runner:
    """How a program is started, and the list its messages go to."""

    name: str
    words: Callable[[RedisServer, int], Sequence[str]]
    queue: str = "celery"


@dataclass(frozen=True, slots=True)
class Run:
    """One program with so many entries. Milliseconds after the minute; CPU until the last message; peak memory."""

    program: str
    entries: int
    pushed: int
    first_ms: float
    p50_ms: float
    p99_ms: float
    last_ms: float
    cpu_s: float
    memory_mb: float
    curve: list[tuple[float, int]]


def measure() -> dict[str, Any]:
    """Some rounds of all, interleaved; the median round of each by its last message."""
    if not PEERS_PYTHON.exists():
        raise SystemExit("the peers are not installed: make bench installs them into .venv-peers")
    found: dict[tuple[str, int], list[Run]] = {}
    lpush = []
    for _ in range(ROUNDS):
        for runner in RUNNERS:
            for entries in BEATD_SIZES if runner.name == "beatd" else SIZES:
                with running_server() as server:
                    lpush.append(pushes_per_second(server, 1) or 0.0)
                    run = _run(runner, server, entries)
                found.setdefault((runner.name, entries), []).append(run)
                print(f"{run.program} {run.entries}: last after {run.last_ms:.0f} ms", file=sys.stderr, flush=True)
    runs = [sorted(rounds, key=lambda run: run.last_ms)[len(rounds) // 2] for rounds in found.values()]
    lines = [Line(f"{run.program}, {run.entries:,}", run.entries, run.curve) for run in runs]
    PICTURE.write_text(plot(lines, "share of the minute's messages in the queue, by ms after the minute"))
    return {"lpush_per_s": sorted(lpush)[len(lpush) // 2], "runs": [asdict(run) for run in runs]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    best = {run["entries"]: run["last_ms"] for run in result["runs"] if run["program"] == "beatd"}
    head = "| program | entries | first | p50 | p99 | last | of beatd's | messages/s | CPU | peak memory |"
    rows = [
        f"| {run['program']} | {run['entries']:,} | {_ms(run, 'first')} | {_ms(run, 'p50')} | {_ms(run, 'p99')} |"
        f" {_ms(run, 'last')} | x {run['last_ms'] / best[run['entries']]:.1f} |"
        f" {run['pushed'] / max(run['last_ms'], 1) * 1000:,.0f} | {run['cpu_s']:.2f} s | {run['memory_mb']:.0f} MB |"
        + ("" if run["pushed"] >= run["entries"] else f" (only {run['pushed']:,} came)")
        for run in sorted(result["runs"], key=lambda run: (run["entries"], run["last_ms"]))
    ]
    note = f"\n`redis-benchmark` LPUSH, one connection, in the same run: {result['lpush_per_s']:,.0f}/s"
    return "\n".join([head, "|---" * 10 + "|", *rows, note])


def _ms(run: dict[str, Any], which: str) -> str:
    return f"{run[f'{which}_ms']:,.0f} ms"


def _run(runner: Runner, server: RedisServer, entries: int) -> Run:
    with server.client() as client, _program(runner, server, entries) as process:
        minute = _next_minute(client)
        time.sleep(max(0.0, minute - time.time() - 0.2))
        cpu = _cpu_seconds(process.pid)
        curve = list(_watch(client, runner.queue, entries, minute))
        if process.poll() is not None:
            raise SystemExit(f"{runner.name} ended: {(server.folder / f'{runner.name}.log').read_text()[-2000:]}")
        used, peak = _cpu_seconds(process.pid) - cpu, _peak_mb(process.pid)
    pushed = curve[-1][1] if curve else 0

    def reached(share: float) -> float:
        return next((ms for ms, count in curve if count >= share * entries), float("nan"))

    last = curve[-1][0] if curve else float("nan")
    first = curve[0][0] if curve else float("nan")
    return Run(runner.name, entries, pushed, first, reached(0.5), reached(0.99), last, used, peak, curve)


def _watch(client: redis.Redis, queue: str, entries: int, minute: float) -> Iterator[tuple[float, int]]:
    """Each new length of the queue with the milliseconds after the minute at which it was seen."""
    before = int(client.llen(queue))  # somebody may fire what fell due before it was started
    seen = 0
    while seen < entries and time.time() < minute + PATIENCE_S:
        count = int(client.llen(queue)) - before
        if count > seen:
            seen = count
            yield (time.time() - minute) * 1000, seen
        time.sleep(0.001)


def _next_minute(client: redis.Redis) -> float:
    now = float(client.time()[0])
    return float((now + READY_S) // 60 * 60 + 60)


@contextmanager
def _program(runner: Runner, server: RedisServer, entries: int) -> Iterator["subprocess.Popen[bytes]"]:
    pin(CLIENT_CORE)
    keep = {name: value for name, value in os.environ.items() if not name.startswith("BEATD_")}
    more = {"PEER_REDIS": server.url, "PEER_ENTRIES": str(entries), "PYTHONPATH": f"{ROOT}:{HERE}"}
    words = runner.words(server, entries)
    with (
        (server.folder / f"{runner.name}.log").open("wb") as log,
        subprocess.Popen(words, cwd=server.folder, env={**keep, **more}, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _beatd(server: RedisServer, entries: int) -> Sequence[str]:
    schedules = {f"race-{n:06d}": {"task": "race.work", "cron": "* * * * *", "args": [n]} for n in range(entries)}
    path = server.folder / "schedules.yaml"
    path.write_text(json.dumps({"schedules": schedules}))
    words = ("--redis", server.url, "--log-level", "warning", *HTTP)
    return [sys.executable, "-m", "beatd", "run", "-c", str(path), *words]


def _celery(*more: str) -> Callable[[RedisServer, int], Sequence[str]]:
    return lambda server, entries: [
        *(str(PEERS_PYTHON), "-m", "celery", "-A", "celery_app", "beat", "--loglevel", "WARNING", *more)
    ]


def _rq(server: RedisServer, entries: int) -> Sequence[str]:
    program = str(PEERS_PYTHON.with_name("rq"))
    return [program, "cron", str(HERE / "rq_crontab.py"), "--url", server.url, "--logging-level", "warning"]


RUNNERS: Final = (
    Runner("beatd", _beatd),
    Runner("celery beat", _celery()),
    Runner("redbeat", _celery("-S", "redbeat.RedBeatScheduler")),
    Runner("rq cron", _rq, "rq:queue:celery"),
)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
