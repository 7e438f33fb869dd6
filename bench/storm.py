"""A storm through the real daemon: N entries due in one second, stored by put, planned, staged and fired.

Twenty entries that run every second, spread over it, show what the storm does to others: their lateness is that of the
daemon's loop. All instants are the server's own, as the history keeps them.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from beatd.client.blocking import Client
from bench.daemon import (
    cpu_seconds_of,
    epoch,
    fires,
    highest_mb,
    put,
    resident_mb,
    running_daemon,
    sleep_until,
    wait_for,
    wait_planned,
    worst_lag_ms,
)
from bench.server import cpu_seconds, running_server

SIZES: Final = (1_000, 10_000, 100_000)
BEATS: Final = 20
HORIZON_S: Final = 15  # of the planner's window: staging begins so long before the slot
QUIET_S: Final = 5


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
    memory_mb: tuple[float, float, float]  # of the daemon: before, at most, 3 s after the storm
    lag_ms: int  # the loop's worst, of the last minute, as the daemon tells it
    lease_kept: bool


def measure(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Runs a storm of each size, each with a server and a daemon of its own."""
    return {"storms": [asdict(_storm(size)) for size in sizes]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    head = (
        "| entries | stored in | planned in | CPU: staging, storm, server in the storm | slot to first / last push |"
        " others late, median / worst: quiet, staging, storm | memory before, at most, after | worst lag | lease kept |"
    )
    rows = [
        f"| {s['entries']:,} | {s['storing_s']:.1f} s | {s['planning_s']:.1f} s |"
        f" {s['staging_cpu_s']:.1f}, {s['storm_cpu_s']:.1f}, {s['server_cpu_s']:.1f} s |"
        f" {s['first_ms']} / {s['last_ms']} ms | "
        + ", ".join("{:.0f} / {:.0f} ms".format(*s[f"{part}_late_ms"]) for part in ("quiet", "staging", "storm"))
        + " | {:.0f}, {:.0f}, {:.0f} MB".format(*s["memory_mb"])
        + f" | {s['lag_ms']} ms | {'yes' if s['lease_kept'] else 'NO'} |"
        for s in result["storms"]
    ]
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|", *rows])


def _storm(entries: int) -> Storm:
    with running_server() as server, running_daemon(server) as pid, Client(server.url, "default") as client:
        led, before = epoch(server), resident_mb(pid)
        put(client, [f"beat-{i}" for i in range(BEATS)], {"every": "1s", "task": "t", "queue": "beats"})
        began = time.monotonic()
        slot = client.now_ms() // 1000 * 1000 + (HORIZON_S + QUIET_S + 10 + entries // 2_500) * 1000
        cron = datetime.fromtimestamp(slot / 1000, UTC).strftime("%-S %-M %-H %-d %-m *")
        spec = {"cron": cron, "task": "app.tasks.work", "description": "x" * 100}
        put(client, [f"storm-{i:06d}" for i in range(entries)], spec)
        stored = time.monotonic()
        wait_planned(server)
        planned = time.monotonic()
        sleep_until(client, slot - (HORIZON_S + 1) * 1000)
        cpu = cpu_seconds_of(pid)
        sleep_until(client, slot - 100)
        staging, serving = cpu_seconds_of(pid) - cpu, cpu_seconds(server)
        with server.client() as redis:
            wait_for(lambda: redis.llen("celery") >= entries, "fired")
        firing, serving = cpu_seconds_of(pid) - cpu - staging, cpu_seconds(server) - serving
        lag, kept, found = worst_lag_ms(server), epoch(server) == led, fires(server)
        memory = (round(before, 1), round(highest_mb(pid), 1), round(resident_mb(pid), 1))
    ats = [at for name, _, at in found if name.startswith("storm-")]
    assert len(ats) == entries, f"{len(ats)} fires of {entries} entries"
    beats = [(due, at - due) for name, due, at in found if name.startswith("beat-")]
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
        memory_mb=memory,
        lag_ms=lag,
        lease_kept=kept,
    )


def _late(beats: Sequence[tuple[int, int]], since: int, until: int) -> tuple[float, float]:
    found = [late for due, late in beats if since <= due < until] or [0]
    return statistics.median(found), max(found)
