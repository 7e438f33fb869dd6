"""What an instance takes that has nothing to do: memory, processor time and start, at 100 and at 100,000 entries.

All slots lie months away. None of the figures may depend on how many entries are stored.
"""

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from beatd.client.blocking import Client
from beatd.core.instant import instant_text
from bench.daemon import KEYS, cpu_seconds_of, fires, put, resident_mb, running_daemon, wait_for, wait_planned
from bench.server import running_server
from tests.support.servers import RedisServer

SIZES: Final = (100, 100_000)
STARTS: Final = 5
IDLE_S: Final = 30
FAR: Final = 200 * 86_400_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """One number of stored entries."""

    entries: int
    edited_mb: float  # of the instance through which all of them were planned, 10 s later
    idle_mb: float  # of one that found them stored, after 30 s
    idle_cpu_percent: float  # of one core
    to_first_fire_s: float  # from the start of the process, an entry being due


def measure() -> dict[str, Any]:
    """Measures each size, with a server of its own."""
    return {"footprints": [asdict(_footprint(size)) for size in SIZES]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    head = "| entries stored | memory after planning all, idle | processor, idle (of a core) | start to first fire |"
    rows = [
        f"| {f['entries']:,} | {f['edited_mb']:.1f}, {f['idle_mb']:.1f} MB | {f['idle_cpu_percent']:.2f} % |"
        f" {f['to_first_fire_s'] * 1000:.0f} ms |"
        for f in result["footprints"]
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


def _footprint(entries: int) -> Footprint:
    with running_server() as server, Client(server.url, "default") as client:
        with running_daemon(server) as pid:
            far = instant_text((client.now_ms() + FAR) // 1000 * 1000)
            put(client, [f"far-{i:06d}" for i in range(entries // 2)], {"at": far, "task": "app.tasks.work"})
            spec = {"every": "52w", "anchor": far, "task": "app.tasks.work", "kwargs": {"a": 1}}
            put(client, [f"rare-{i:06d}" for i in range(entries - entries // 2)], spec)
            wait_planned(server)
            time.sleep(10)
            edited = resident_mb(pid)
        starts = [_to_first_fire(server, client, number) for number in range(STARTS)]
        with running_daemon(server) as pid:
            time.sleep(3)
            before = cpu_seconds_of(pid)
            time.sleep(IDLE_S)
            used, idle = cpu_seconds_of(pid) - before, resident_mb(pid)
    return Footprint(
        entries=entries,
        edited_mb=round(edited, 1),
        idle_mb=round(idle, 1),
        idle_cpu_percent=round(used / IDLE_S * 100, 2),
        to_first_fire_s=round(statistics.median(starts), 3),
    )


def _to_first_fire(server: RedisServer, client: Client, number: int) -> float:
    name, now = f"due-{number}", client.now_ms()
    put(client, [name], {"at": instant_text(now), "task": "app.tasks.work"})
    began = client.now_ms()
    with running_daemon(server), server.client() as redis:
        wait_for(lambda: redis.hexists(KEYS.key("last"), name), "fired")
    (at,) = [at for fired, _, at in fires(server) if fired == name]
    return (at - began) / 1000
