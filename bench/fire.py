"""Fires a second through the real fire script, the daemon's own client and the real Celery message.

1,000,000 stored entries, batches of 100, messages of 1 kB. The cases are interleaved, with the LPUSH of
``redis-benchmark`` in every round, so that a noisy machine moves all of them: read the ratios.
"""

import asyncio
import itertools
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import hiredis

from beatd.core.batch import Batch, make_batch
from beatd.core.term import Candidacy, Term
from beatd.core.timetable import Code
from beatd.store.connect import RedisAddress
from beatd.store.keys import Keys
from beatd.store.lease import RedisLease
from beatd.store.link import Link, pack
from beatd.store.scripts import load_script
from beatd.store.timetable import RedisTimetable, fire_call
from bench.population import Order, Population
from bench.server import cpu_seconds, pushes_per_second, running_server
from tests.support.servers import RedisServer

ENTRIES: Final = 1_000_000
BATCH: Final = 100
IN_FLIGHT: Final = 2  # as the ticker
ROUNDS: Final = 5
DAEMON_BATCHES: Final = 2_000  # fires of one stretch, in batches
BARE_BATCHES: Final = 1_000
TRIM_EVERY: Final = 100
DAYS_AGO_MS: Final = 10 * 86_400_000
AOF: Final = {"appendonly": "yes", "appendfsync": "everysec", "auto-aof-rewrite-percentage": "0"}
MODES: Final = ("no AOF", "AOF everysec", "AOF always")


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of firing. Rates a second; times in microseconds."""

    fires_per_s: float
    client_us_per_fire: float
    script_us_per_call: float
    server_us_per_fire: float


def measure(entries: int = ENTRIES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Runs all cases; gives their medians by name."""
    with running_server() as plain, running_server(AOF) as kept:
        servers = {"no AOF": plain, "AOF everysec": kept, "AOF always": kept}
        found: dict[str, list[Stretch]] = {}
        pushes: dict[str, list[float]] = {}
        orders: tuple[Order, ...] = ("burst", "spread")
        for order in orders:
            stands = {mode: Stand(server, entries, order) for mode, server in servers.items() if mode != "AOF always"}
            stands["AOF always"] = stands["AOF everysec"]
            for _, mode in itertools.product(range(rounds), MODES):
                stand = stands[mode]
                stand.sync("always" if mode == "AOF always" else "everysec")
                for connections in (1, 10):
                    rate = pushes_per_second(stand.server, connections)
                    if rate is not None:
                        pushes.setdefault(f"{mode}, {connections} connections", []).append(rate)
                for client, run in (("daemon", stand.through_daemon), ("bare", stand.through_socket)):
                    found.setdefault(f"{mode}, {order}, {client}", []).append(run())
    return {
        "entries": entries,
        "fires": {name: _median(stretches) for name, stretches in found.items()},
        "pushes": {name: statistics.median(rates) for name, rates in pushes.items()},
    }


class Stand:
    """A populated server with a lease that outlives the bench."""

    def __init__(self, server: RedisServer, entries: int, order: Order) -> None:
        self.server = server
        self._keys = Keys()
        with server.client() as client:
            client.flushall()
            seconds, _ = client.time()
            self._entries = Population(entries, order, seconds * 1000 - DAYS_AGO_MS)
            for words in self._entries.commands(self._keys):
                client.execute_command(*words)
            client.script_load(load_script("fire").plain)  # a bare client calls it by its digest
        self._term = asyncio.run(self._acquire())

    def sync(self, how: str) -> None:
        """Sets how often the AOF is brought to the disk, and shortens it when it has grown."""
        with self.server.client(socket_timeout=60) as client:
            client.config_set("appendfsync", how)
            if client.info("persistence").get("aof_current_size", 0) > 4 * 1024**3:
                client.bgrewriteaof()
                while client.info("persistence")["aof_rewrite_in_progress"]:
                    time.sleep(0.1)

    def through_daemon(self) -> Stretch:
        """Decides, renders and fires as the ticker does: over a Link, two batches in flight."""
        return asyncio.run(self._through_daemon())

    def through_socket(self) -> Stretch:
        """Sends the same calls, packed beforehand, over a blocking socket: what the server alone takes."""
        batches = [self._batch() for _ in range(BARE_BATCHES)]
        calls = [fire_call(self._keys, self._term, batch.items) for batch in batches]
        packed = [pack([call.command(sha=True, shebang=False)]) for call in calls]
        with socket.create_connection(("127.0.0.1", self.server.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._measured(lambda: _send_all(connection, packed), BARE_BATCHES)

    async def _through_daemon(self) -> Stretch:
        link = await Link.open(RedisAddress(self.server.url, 5.0))
        timetable = RedisTimetable(link, self._keys)
        staged = [self._entries.take(BATCH) for _ in range(DAEMON_BATCHES)]
        tags = _tags()
        pending: set[asyncio.Task[None]] = set()
        room = asyncio.Semaphore(IN_FLIGHT)

        async def fire(batch: Batch) -> None:
            reply = await timetable.fire(self._term, batch.items)
            room.release()
            assert set(reply.codes) == {Code.DONE}, reply.codes

        async def work() -> None:
            for number, due in enumerate(staged):
                await room.acquire()
                task = asyncio.create_task(fire(make_batch(due, due[-1].moment, tags)))
                pending.add(task)
                task.add_done_callback(pending.discard)
                if number % TRIM_EVERY == 0:
                    await link.request(("LTRIM", "celery", 0, 99))
            while pending:
                await asyncio.gather(*pending)

        try:
            measure = self._measuring(DAEMON_BATCHES)
            await work()
            return measure()
        finally:
            await link.close()

    def _measured(self, work: Callable[[], None], batches: int) -> Stretch:
        measure = self._measuring(batches)
        work()
        return measure()

    def _measuring(self, batches: int) -> Callable[[], Stretch]:
        fires = batches * BATCH
        calls, busy = self._script_time()
        server = cpu_seconds(self.server)
        started, own = time.perf_counter(), time.process_time()

        def measure() -> Stretch:
            took, own_took = time.perf_counter() - started, time.process_time() - own
            calls_now, busy_now = self._script_time()
            return Stretch(
                fires_per_s=fires / took,
                client_us_per_fire=own_took / fires * 1e6,
                script_us_per_call=(busy_now - busy) / (calls_now - calls),
                server_us_per_fire=(cpu_seconds(self.server) - server) / fires * 1e6,
            )

        return measure

    def _script_time(self) -> tuple[int, int]:
        with self.server.client() as client:
            stats = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0, "usec": 0})
        return int(stats["calls"]), int(stats["usec"])

    def _batch(self) -> Batch:
        due = self._entries.take(BATCH)
        return make_batch(due, due[-1].moment, _tags())

    async def _acquire(self) -> Term:
        link = await Link.open(RedisAddress(self.server.url, 5.0))
        try:
            lease = RedisLease(link, self._keys)
            term = await lease.acquire(Candidacy("bench", 86_400_000, "bench", "bench", "0", stood_still=False))
            assert isinstance(term, Term), term
            return term
        finally:
            await link.close()


def _send_all(connection: socket.socket, calls: Sequence[bytes]) -> None:
    reader = hiredis.Reader()
    trim = pack([("LTRIM", "celery", 0, 99)])
    waiting = 0
    for number, call in enumerate(calls):
        trims = number % TRIM_EVERY == 0
        connection.sendall(call + trim if trims else call)
        waiting += 1 + trims
        while waiting > IN_FLIGHT:
            _check(_reply(connection, reader))
            waiting -= 1
    for _ in range(waiting):
        _check(_reply(connection, reader))


def _reply(connection: socket.socket, reader: "hiredis.Reader") -> Any:
    while (reply := reader.gets()) is False:
        reader.feed(connection.recv(1 << 16))
    return reply


def _check(reply: Any) -> None:
    assert reply == b"OK" or set(reply[0]) == {ord("0")}, reply


def _tags() -> Callable[[], str]:
    numbers: Iterator[int] = itertools.count()
    return lambda: f"5a0f7f2e-1c1a-4b5a-8c8c-{next(numbers):012x}"


def _median(stretches: Sequence[Stretch]) -> dict[str, float]:
    rows = [asdict(stretch) for stretch in stretches]
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        "| case | fires/s | client us/fire | script us/call of 100 | server us/fire | of LPUSH, 1 / 10 connections |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in result["fires"].items():
        mode = name.split(", ")[0]
        rates = [result["pushes"].get(f"{mode}, {n} connections") for n in (1, 10)]
        ratios = " / ".join(f"{row['fires_per_s'] / rate:.0%}" if rate else "-" for rate in rates)
        lines.append(
            f"| {name} | {row['fires_per_s']:,.0f} | {row['client_us_per_fire']:.2f} |"
            f" {row['script_us_per_call']:.0f} | {row['server_us_per_fire']:.2f} | {ratios} |"
        )
    pushes = [f"| {name} | {rate:,.0f} |" for name, rate in result["pushes"].items()]
    return "\n".join([*lines, "", "| redis-benchmark LPUSH -d 1000 -P 50 | pushes/s |", "|---|---|", *pushes])
