"""A storm through the real daemon: N entries due in one second, stored by put, planned, staged and fired.

Twenty entries that run every second, spread over it, show what the storm does to others: their lateness is that of the
daemon's loop. All instants are the server's own, as the history keeps them.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.store.client import Client
from beatd.store.keys import Keys
from bench.server import CLIENT_CORE, cpu_seconds, pin, running_server
from tests.support.servers import RedisServer

SIZES: Final = (1_000, 10_000, 100_000)
BEATS: Final = 20
HORIZON_S: Final = 15  # of the planner's window: staging begins so long before the slot
QUIET_S: Final = 5
PATIENCE_S: Final = 120
WHO: Final = json.dumps({"client": "bench"})


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm. Seconds, and lateness of the entries beside it in milliseconds."""

    entries: int
    storing_s: float
    planning_s: float
    staging_cpu_s: float
    storm_cpu_s: float
    server_cpu_s: float  # in the storm
    first_ms: int
    last_ms: int
    quiet_late_ms: tuple[float, float]  # median and worst
    staging_late_ms: tuple[float, float]
    storm_late_ms: tuple[float, float]
    lag_ms: int  # the loop's worst in the minute of the storm, as the daemon tells it
    epoch: int  # 1 while the lease was never lost


def measure(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Runs a storm of each size, each with a server and a daemon of its own."""
    return {"storms": [asdict(_storm(size)) for size in sizes]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    head = (
        "| entries | stored in | planned in | staging took, CPU | slot to first / last push |"
        " others late, median / worst: quiet, staging, storm |"
    )
    rows = [
        f"| {s['entries']:,} | {s['storing_s']:.1f} s | {s['planning_s']:.1f} s | {s['staging_cpu_s']:.1f} s |"
        f" {s['first_ms']} / {s['last_ms']} ms | "
        + ", ".join("{:.0f} / {:.0f} ms".format(*s[f"{part}_late_ms"]) for part in ("quiet", "staging", "storm"))
        + " |"
        for s in result["storms"]
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _storm(entries: int) -> Storm:
    with running_server() as server, _daemon(server) as pid, Client(server.url, "default") as client:
        keys = Keys()
        with server.client() as redis:
            _put(client, [f"beat-{i}" for i in range(BEATS)], {"every": "1s", "task": "t", "queue": "beats"})
            began = time.monotonic()
            slot = client.now_ms() // 1000 * 1000 + (HORIZON_S + QUIET_S + 10 + entries // 2_500) * 1000
            cron = datetime.fromtimestamp(slot / 1000, UTC).strftime("%-S %-M %-H %-d %-m *")
            spec = {"cron": cron, "task": "app.tasks.work", "description": "x" * 100}
            _put(client, [f"storm-{i:06d}" for i in range(entries)], spec)
            stored = time.monotonic()
            _wait(lambda: redis.zcount(keys.key("due"), "-inf", "(0") == 0, "planned")
            planned = time.monotonic()
            _sleep_until(client, slot - (HORIZON_S + 1) * 1000)
            cpu = _cpu_seconds(pid)
            _sleep_until(client, slot - 100)
            staging, serving = _cpu_seconds(pid) - cpu, cpu_seconds(server)
            _wait(lambda: redis.llen("celery") >= entries, "fired")
            firing, serving = _cpu_seconds(pid) - cpu - staging, cpu_seconds(server) - serving
            _sleep_until(client, client.now_ms() + 3_000)  # the record of an instance is written every 2 s
            lag = max(json.loads(record)["lag_ms"] for record in redis.hvals(keys.key("inst")))
            epoch = int(redis.hget(keys.key("lease"), "epoch") or 0)
            fires = list(_fires(redis.xrange(keys.key("hist"))))
    ats = [at for name, _, at in fires if name.startswith("storm-")]
    assert len(ats) == entries, f"{len(ats)} fires of {entries} entries"
    beats = [(due, at - due) for name, due, at in fires if name.startswith("beat-")]
    begin = slot - HORIZON_S * 1000 - 1000
    return Storm(
        entries=entries,
        storing_s=round(stored - began, 2),
        planning_s=round(planned - stored, 2),
        staging_cpu_s=round(staging, 2),
        storm_cpu_s=round(firing, 2),
        server_cpu_s=round(serving, 2),
        first_ms=min(ats) - slot,
        last_ms=max(ats) - slot,
        quiet_late_ms=_late(beats, begin - QUIET_S * 1000, begin),
        staging_late_ms=_late(beats, begin, slot),
        storm_late_ms=_late(beats, slot, max(ats) + 100),
        lag_ms=lag,
        epoch=epoch,
    )


@contextmanager
def _daemon(server: RedisServer) -> Iterator[int]:
    pin(CLIENT_CORE)
    words = [sys.executable, "-m", "beatd", "run", "--redis", server.url, "--log-level", "warning"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BEATD_")}
    with subprocess.Popen(words, cwd=server.folder, env={**environment, "PYTHONPATH": str(Path.cwd())}) as process:
        try:
            with server.client() as client:
                _wait(lambda: bool(client.hget(Keys().key("lease"), "owner")), "led")
            yield process.pid
        finally:
            process.terminate()


def _put(client: Client, names: Sequence[str], spec: dict[str, Any]) -> None:
    for start in range(0, len(names), 2_000):
        page = enumerate(names[start : start + 2_000], start)
        # Arguments and revisions are each entry's own, as in life: nothing of them can be shared.
        client.put([put_item(entry_from_spec(name, {**spec, "args": [i]}), uuid.uuid4().hex) for i, name in page], WHO)


def _fires(rows: Sequence[tuple[Any, dict[bytes, bytes]]]) -> Iterator[tuple[str, int, int]]:
    """Name, slot and instant of each fire in the history."""
    for _, row in rows:
        for fire in row[b"fires"].decode().split("\x1e"):
            name, slots = fire.split("\x1f")
            yield from ((name, int(slot), int(row[b"at"])) for slot in slots.split(","))


def _late(beats: Sequence[tuple[int, int]], since: int, until: int) -> tuple[float, float]:
    found = [late for due, late in beats if since <= due < until] or [0]
    return statistics.median(found), max(found)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _sleep_until(client: Client, instant: int) -> None:
    time.sleep(max(0.0, (instant - client.now_ms()) / 1000))


def _wait(reached: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > give_up:
            raise SystemExit(f"not {what} after {PATIENCE_S} s")
        time.sleep(0.01)
