"""Confirmed messages a second to a real RabbitMQ: the transport in windows, beside kombu one message after another.

Celery's own messages of 1.2 kB with 25 headers, persistent, to a durable queue. The cases are interleaved, so that a
noisy machine moves all of them: read the ratio too.
"""

import asyncio
import itertools
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from kombu.connection import Connection

from beatd.core.broker import Broker
from beatd.formats.celery import compile_template
from beatd.transports import Transport, open_transport
from beatd.transports._envelope import open_envelope
from beatd.uptime import uptime
from tests.support.rabbit import RabbitServer, rabbit_program

QUEUE: Final = "bench"
MESSAGES: Final = 20_000
ONE_BY_ONE: Final = 2_000
ROUNDS: Final = 5
SHAPES: Final = ((100, 1), (256, 1), (256, 2), (256, 4), (500, 2))  # messages a window, windows under way
SLOT: Final = 1_800_000_000_000

Messages = Sequence[tuple[str, bytes]]


def measure(messages: int = MESSAGES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Runs all cases in turn; gives medians, and the best and worst round, by name."""
    found: dict[str, list[tuple[float, float]]] = {}
    numbers = itertools.count()
    make = _maker(numbers)
    with _running() as server:
        for _ in range(rounds):
            for size, windows in SHAPES:
                given = [make() for _ in range(messages)]
                run = asyncio.run(_in_windows(server, given, size, windows))
                found.setdefault(f"windows of {size}, {windows} under way", []).append(run)
            found.setdefault("kombu, confirm_publish", []).append(
                _one_by_one(server, [make() for _ in range(ONE_BY_ONE)])
            )
    size = len(make()[1])
    return {"message_bytes": size, "cases": {name: _summary(runs) for name, runs in found.items()}}


async def _in_windows(server: RabbitServer, given: Messages, size: int, windows: int) -> tuple[float, float]:
    transport = open_transport(Broker((server.url,)))
    await transport.connect()
    try:
        parts = [given[start : start + size] for start in range(0, len(given), size)]
        await _publish(transport, parts[0])
        begun, own = time.perf_counter(), time.process_time()
        room = asyncio.Semaphore(windows)

        async def one(part: Messages) -> None:
            async with room:
                await _publish(transport, part)

        await asyncio.gather(*map(one, parts[1:]))
        sent = len(given) - size
        return sent / (time.perf_counter() - begun), (time.process_time() - own) / sent * 1e6
    finally:
        await transport.close()
        _check_and_purge(server, len(given))


async def _publish(transport: Transport, part: Messages) -> None:
    outcomes = await transport.publish(part, uptime() + 5)
    bad = [outcome for outcome in outcomes if outcome.kind != "confirmed"]
    assert not bad, bad[0]


def _one_by_one(server: RabbitServer, given: Messages) -> tuple[float, float]:
    """As a Celery producer with ``confirm_publish``: the same messages, each confirmed before the next."""
    with Connection(server.url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer(auto_declare=False)
        begun, own = time.perf_counter(), time.process_time()
        for _, message in given:
            read = open_envelope(message)
            properties = dict(read.properties)
            producer.publish(
                read.body,
                exchange=read.exchange,
                routing_key=read.routing_key,
                content_type=read.content_type,
                content_encoding=read.content_encoding,
                headers=dict(read.headers),
                mandatory=True,
                **properties,
            )
        took, own_took = time.perf_counter() - begun, time.process_time() - own
    _check_and_purge(server, len(given))
    return len(given) / took, own_took / len(given) * 1e6


def _check_and_purge(server: RabbitServer, wanted: int) -> None:
    with server.channel() as channel:
        assert channel.queue_purge(QUEUE) == wanted


def _maker(numbers: Iterator[int]) -> Callable[[], tuple[str, bytes]]:
    options = {"headers": {"team": "growth", "tenant": 42, "source": "schedule"}}
    template = compile_template("app.tasks.send_digest", QUEUE, options, origin="gen1@bench")
    own = template.own("send-digest", ["daily"], {"dry_run": False})

    def make() -> tuple[str, bytes]:
        number = next(numbers)
        ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {which}")) for which in ("task", "tag")]
        return f"1-{number}", template.render(own, ids[0], SLOT + number * 1000, ids[1])

    return make


@contextmanager
def _running() -> Iterator[RabbitServer]:
    if rabbit_program() is None:
        raise SystemExit("no rabbitmq-server: install it")
    with TemporaryDirectory(prefix="beatd-bench-") as folder:
        server = RabbitServer(Path(folder) / "node")
        server.start()
        try:
            with server.channel() as channel:
                channel.queue_declare(QUEUE, durable=True, auto_delete=False)
            yield server
        finally:
            server.close()


def _summary(runs: Sequence[tuple[float, float]]) -> dict[str, float]:
    rates = [rate for rate, _ in runs]
    return {
        "confirmed_per_s": round(statistics.median(rates)),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
        "client_us_per_message": round(statistics.median(own for _, own in runs), 1),
    }


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    beside = result["cases"]["kombu, confirm_publish"]["confirmed_per_s"]
    lines = [
        f"Messages of {result['message_bytes']:,} bytes, {os.cpu_count()} cores shared with the broker.",
        "",
        "| case | confirmed/s | lowest to highest | times kombu | client us/message |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['confirmed_per_s']:,} | {row['lowest']:,} to {row['highest']:,} |"
        f" {row['confirmed_per_s'] / beside:.1f} | {row['client_us_per_message']:.1f} |"
        for name, row in result["cases"].items()
    ]
    return "\n".join(lines)
