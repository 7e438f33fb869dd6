"""What an edit costs inside a program: calls of the client, one after the other, beside many stored entries."""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from beatd.client.aio import AsyncClient
from beatd.client.blocking import Client
from beatd.core.instant import instant_text
from bench.daemon import put
from bench.server import running_server

STORED: Final = 100_000
CALLS: Final = 500
TASKS: Final = 20
FAR: Final = 200 * 86_400_000
FIELDS: Final[dict[str, Any]] = {"task": "app.tasks.work", "cron": "0 9 * * mon-fri", "timezone": "Europe/Paris"}


def measure() -> dict[str, Any]:
    """Milliseconds a call, median and 99th percentile; and edits a second of one AsyncClient."""
    with running_server() as server, Client(server.url) as client:
        far = instant_text((client.now_ms() + FAR) // 1000 * 1000)
        put(client, [f"far-{i:06d}" for i in range(STORED)], {"at": far, "task": "app.tasks.work"})
        found = {name: _each(call) for name, call in _calls(client).items()}
        return {"stored": STORED, "calls": found, "async_edits_per_s": asyncio.run(_edits_per_s(server.url))}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    rows = [f"| {name} | {median:.2f} ms | {worst:.2f} ms |" for name, (median, worst) in result["calls"].items()]
    head = f"| beside {result['stored']:,} entries | median | p99 |"
    many = f"{TASKS} tasks that share one AsyncClient: {result['async_edits_per_s']:,.0f} edits a second"
    return "\n".join([head, "|---|---|---|", *rows, "", many])


def _calls(client: Client) -> dict[str, Callable[[int], object]]:
    return {
        "set, new": lambda i: client.set(f"new-{i}", **FIELDS),
        "set, a field": lambda i: client.set(f"new-{i}", args=[i]),
        "set, nothing to change": lambda i: client.set(f"new-{i}", **FIELDS),
        "get": lambda i: client.get(f"new-{i}"),
        "pause": lambda i: client.pause(f"new-{i}", note="a deploy"),
        "resume": lambda i: client.resume(f"new-{i}"),
        "list, 50": lambda i: client.list(limit=50),
        "remove": lambda i: client.remove(f"new-{i}"),
    }


def _each(call: Callable[[int], object]) -> tuple[float, float]:
    took = []
    for i in range(CALLS):
        began = time.perf_counter()
        call(i)
        took.append((time.perf_counter() - began) * 1_000)
    return statistics.median(took), statistics.quantiles(took, n=100)[-1]


async def _edits_per_s(url: str) -> float:
    async with AsyncClient(url) as client:

        async def edit(task: int) -> None:
            for i in range(CALLS // TASKS):
                await client.set(f"task-{task}", **FIELDS, args=[i])

        began = time.perf_counter()
        await asyncio.gather(*(edit(task) for task in range(TASKS)))
        return CALLS / (time.perf_counter() - began)
