"""`beatd apply` of a whole file in which a hundred entries differ, beside a leader with entries that run every second.

The command is a process of its own, with Python's start, on the core of Redis: the leader has the other one, but for
what they do to each other by way of Redis.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from beatd.cli.entry_files import WRITERS
from beatd.client.blocking import Client
from bench.daemon import fires, put, running_daemon, wait_planned
from bench.server import SERVER_CORE, pin, running_server
from tests.support.servers import RedisServer

STORED: Final = 100_000
CHANGED: Final = 100
BEATS: Final = frozenset(f"heartbeat-{i}" for i in range(20))
CALM_S: Final = 10
SHAPES: Final = 500  # schedules that entries share


@dataclass(frozen=True, slots=True)
class Applied:
    """One command, and how late the heartbeat was meanwhile (ms: median, 99th percentile, worst)."""

    what: str
    seconds: float
    beats: int
    late_ms: tuple[float, float, float]


def measure() -> dict[str, Any]:
    """Everything into an empty namespace, then a hundred changes in each form, then a difference and an export."""
    with running_server() as server, running_daemon(server), Client(server.url) as client:
        put(client, sorted(BEATS), {"every": "1s", "task": "t", "queue": "beats"})
        wait_planned(server)
        bench = _Bench(server, client)
        found = [bench.run("nothing, for comparison", lambda: time.sleep(CALM_S))]
        found.append(bench.apply("all of them new, NDJSON", "ndjson", 0))
        wait_planned(server)
        for change, form in enumerate(WRITERS, 1):
            found.append(bench.apply(f"{CHANGED} changes, {form.upper()}", form, change))
        again = str(server.folder / "entries.ndjson")
        found.append(bench.run("no change, NDJSON", lambda: bench.beatd("apply", again, says=f"{STORED:,} unchanged")))
        found.append(bench.run("export, NDJSON", lambda: bench.beatd("export", "-o", "ndjson")))
        assert all(each.beats for each in found)
        return {"stored": STORED, "changed": CHANGED, "applied": [asdict(each) for each in found]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    head = f"| {result['stored']:,} entries | wall time | heartbeats | late: median / p99 / worst |"
    rows = [
        f"| {each['what']} | {each['seconds']:.1f} s | {each['beats']} | {{:.0f}} / {{:.0f}} / {{:.0f}} ms |".format(
            *each["late_ms"]
        )
        for each in result["applied"]
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


class _Bench:
    def __init__(self, server: RedisServer, client: Client) -> None:
        self._server, self._client = server, client

    def apply(self, what: str, form: str, change: int) -> Applied:
        """A file of all entries, of which a hundred are not as they were after the change before."""
        file = self._server.folder / f"entries.{form}"
        _write(file, form, change)
        done = f"{CHANGED} changed, {STORED - CHANGED:,} unchanged" if change else f"{STORED:,} added"
        return self.run(what, lambda: self.beatd("apply", str(file), says=done))

    def beatd(self, *words: str, says: str = "") -> None:
        """A command that must succeed, and say something."""
        command = [sys.executable, "-m", "beatd", *words, "--redis", self._server.url]
        pin(SERVER_CORE)
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=self._server.folder,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        if done.returncode or says not in done.stderr:
            raise SystemExit(f"{words}: {done.stderr}")

    def run(self, what: str, step: Callable[[], None]) -> Applied:
        """How long something takes, and the lateness of the heartbeats from its begin to its end."""
        begun, began = self._client.now_ms(), time.perf_counter()
        step()
        took, ended = time.perf_counter() - began, self._client.now_ms()
        time.sleep(1.2)
        late = [at - slot for name, slot, at in fires(self._server) if name in BEATS and begun <= slot <= ended]
        p99 = statistics.quantiles(late, n=100, method="inclusive")[-1] if len(late) > 1 else max(late)
        return Applied(what, took, len(late), (statistics.median(late), p99, max(late)))


def _write(file: Path, form: str, change: int) -> None:
    writer = WRITERS[form]
    page = list(_entries(change))
    file.write_text(writer.begin + writer.write(page, first=True) + writer.end, encoding="utf-8")


def _entries(change: int) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Entries of the next days, each with arguments of its own; `change` of them tell of the same number of edits."""
    for i in range(STORED):
        number = i % SHAPES
        cron = f"{number % 60} {number // 60 % 24} 1 1 *"
        edits = change if i % (STORED // CHANGED) == 7 else 0
        args = [i, "customer", edits]
        yield (
            f"entry-{i:06d}",
            {"task": "app.tasks.report", "cron": cron, "timezone": "Europe/Paris", "args": args, "tags": ["report"]},
        )
