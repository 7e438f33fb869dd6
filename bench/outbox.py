"""A storm through the real daemon to a real RabbitMQ: due entries in Redis, settled, published, confirmed, taken out.

Twenty entries that run every second, on a queue of their own, show what the storm does to others: they are late by the
machine's clock when a consumer has them. RabbitMQ, Redis, the daemon and this program share the machine's cores.
"""

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from beatd.client.blocking import Client
from bench.daemon import (
    KEYS,
    cpu_seconds_of,
    epoch,
    put,
    resident_mb,
    running_daemon,
    sleep_until,
    wait_for,
    wait_planned,
    worst_lag_ms,
)
from bench.server import cpu_seconds, running_server
from tests.support.ledger import Enqueued
from tests.support.rabbit import RabbitServer, rabbit_program
from tests.support.rabbit_ledger import RabbitLedger

ENTRIES: Final = 10_000
ROUNDS: Final = int(os.environ.get("BEATD_BENCH_ROUNDS", "3"))
BEATS: Final = 20
HORIZON_S: Final = 15
QUIET_S: Final = 5
STORM: Final = "storm"
BESIDE: Final = "beats"


@dataclass(frozen=True, slots=True)
class Carried:
    """One storm. Lateness of the entries beside it in milliseconds: median and worst."""

    entries: int
    confirmed_s: float  # from the slot to the last confirm, and an empty outbox
    daemon_cpu_s: float
    redis_cpu_s: float
    broker_cpu_s: float
    on_queue: int
    quiet_late_ms: tuple[float, float]
    storm_late_ms: tuple[float, float]
    memory_mb: float
    lag_ms: int
    lease_kept: bool


def measure(entries: int = ENTRIES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Runs the storm so many times, each with a daemon and a Redis of its own, on one node."""
    with _running() as rabbit:
        return {"storms": [asdict(_storm(rabbit, entries)) for _ in range(rounds)]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    head = (
        "| entries | slot to the last confirm | messages/s | CPU: daemon, Redis, RabbitMQ |"
        " others late, median / worst: quiet, storm | memory | worst lag | lease kept |"
    )
    rows = [
        f"| {s['entries']:,} | {s['confirmed_s']:.2f} s | {s['entries'] / s['confirmed_s']:,.0f} |"
        f" {s['daemon_cpu_s']:.2f}, {s['redis_cpu_s']:.2f}, {s['broker_cpu_s']:.2f} s | "
        + ", ".join("{:.0f} / {:.0f} ms".format(*s[f"{part}_late_ms"]) for part in ("quiet", "storm"))
        + f" | {s['memory_mb']:.0f} MB | {s['lag_ms']} ms | {'yes' if s['lease_kept'] else 'NO'} |"
        for s in result["storms"]
    ]
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *rows])


def _storm(rabbit: RabbitServer, entries: int) -> Carried:
    with (
        running_server() as server,
        running_daemon(server, rabbit.url) as pid,
        Client(server.url, "default") as client,
        server.client() as redis,
        closing(RabbitLedger(rabbit, [BESIDE])) as ledger,
    ):
        led = epoch(server)
        put(client, [f"beat-{i}" for i in range(BEATS)], {"every": "1s", "task": "t", "queue": BESIDE})
        slot = client.now_ms() // 1000 * 1000 + (HORIZON_S + QUIET_S + 5 + entries // 2_500) * 1000
        cron = datetime.fromtimestamp(slot / 1000, UTC).strftime("%-S %-M %-H %-d %-m *")
        names = [f"storm-{i:06d}" for i in range(entries)]
        put(client, names, {"cron": cron, "task": "app.tasks.work", "queue": STORM})
        wait_planned(server)
        sleep_until(client, slot - 100)
        before = cpu_seconds_of(pid), cpu_seconds(server), cpu_seconds_of(rabbit.pid)
        sleep_until(client, slot + 50)
        wait_for(partial(_is_through, redis, slot), "confirmed")
        ended = client.now_ms()
        after = cpu_seconds_of(pid), cpu_seconds(server), cpu_seconds_of(rabbit.pid)
        lag, kept = worst_lag_ms(server), epoch(server) == led
        memory = resident_mb(pid)
    with rabbit.channel() as channel:
        on_queue = channel.queue_purge(STORM)
    assert on_queue == entries, f"{on_queue} messages of {entries} entries"
    daemon, redis_cpu, broker = (round(b - a, 2) for a, b in zip(before, after, strict=True))
    return Carried(
        entries=entries,
        confirmed_s=(ended - slot) / 1000,
        daemon_cpu_s=daemon,
        redis_cpu_s=redis_cpu,
        broker_cpu_s=broker,
        on_queue=on_queue,
        quiet_late_ms=_late(ledger.all(), slot - QUIET_S * 1000, slot),
        storm_late_ms=_late(ledger.all(), slot, max(ended, slot + 1000)),
        memory_mb=round(memory, 1),
        lag_ms=lag,
        lease_kept=kept,
    )


def _is_through(redis: Any, slot: int) -> bool:
    """Nothing of that moment is due any more, and nothing waits for the broker but what others have just decided."""
    return bool(redis.zcount(KEYS.key("due"), "-inf", slot) == 0 and redis.hlen(KEYS.key("ob")) <= BEATS)


def _late(arrived: Sequence[Enqueued], since: int, until: int) -> tuple[float, float]:
    found = [m.wall_ms - m.slot for m in arrived if since <= m.slot < until] or [0]
    return statistics.median(found), max(found)


@contextmanager
def _running() -> Iterator[RabbitServer]:
    """A node on all cores, for it was started before anything was kept to one."""
    if rabbit_program() is None:
        raise SystemExit("no rabbitmq-server: install it")
    with TemporaryDirectory(prefix="beatd-bench-") as folder:
        rabbit = RabbitServer(Path(folder) / "node")
        rabbit.start()
        try:
            with rabbit.channel() as channel:
                for queue in (STORM, BESIDE):
                    channel.queue_declare(queue, durable=True, auto_delete=False)
            yield rabbit
        finally:
            rabbit.close()
