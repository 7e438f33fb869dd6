"""How long a person waits for a command, from Enter to the prompt, with a million entries stored.

The server has all entries, a hundredth of them paused, and a full history of fires; nobody leads, so that a second
core is free. Each command is a process of its own, with Python's start.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import redis

from beatd.client import entries
from beatd.client.blocking import Client
from beatd.client.listing import Listing
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.core.listing import Wanted
from beatd.store.entries import Pause
from beatd.store.keys import Keys
from bench.population import Population
from bench.server import running_server
from tests.support.servers import RedisServer

COUNT: Final = 1_000_000
PAUSED: Final = COUNT // 100
HISTORY_BYTES: Final = 60_000_000
RUNS: Final = 15
NAME: Final = "entry-0000007"
ROOT: Final = Path(__file__).parents[1]
WHO: Final = '{"client":"bench"}'
COMMANDS: Final[tuple[tuple[str, ...], ...]] = (
    ("ls", "--limit", "50", "--sort", "next"),
    ("ls", "--limit", "50", "--page", "10000"),
    ("ls", "--limit", "50", "--state", "paused"),
    ("show", NAME),
    ("show", NAME, "--message"),
    ("status",),
    ("set", NAME, "--queue", "other"),
    ("pause", NAME),
    ("resume", NAME),
)
LONG: Final[tuple[tuple[str, ...], ...]] = (
    ("ls", "--limit", "50", "--sort", "name"),
    ("ls", "--limit", "50", "--tag", "none"),
    ("ls", "-o", "name"),
)


@dataclass(frozen=True, slots=True)
class Waited:
    """One command: milliseconds of wall time, median and worst."""

    command: str
    median_ms: float
    worst_ms: float


def measure() -> dict[str, Any]:
    """Measures each command, and the verbs inside the client."""
    with running_server() as server:
        _fill(server)
        commands = [asdict(_waited(server, words, RUNS)) for words in COMMANDS]
        commands += [asdict(_waited(server, words, 1)) for words in LONG]
        with Client(server.url, "default") as client:
            inside = {name: _inside(verb) for name, verb in _verbs(client).items()}
    return {"entries": COUNT, "commands": commands, "client_ms": inside}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    head = f"| with {result['entries']:,} entries | median | worst |\n|---|---|---|"
    rows = [
        f"| `beatd {c['command']}` | {c['median_ms']:.0f} ms | {c['worst_ms']:.0f} ms |" for c in result["commands"]
    ]
    inside = [f"| {name}, inside the client | {ms:.2f} ms | |" for name, ms in result["client_ms"].items()]
    return "\n".join([head, *rows, *inside])


def _fill(server: RedisServer) -> None:
    keys = Keys("default")
    with server.client() as client:
        now = int(client.time()[0]) * 1_000
        for command in Population(COUNT, "spread", now).commands(keys):
            client.execute_command(*command)
        _pause_some(client, keys, now)
        _write_history(client, keys, now)


def _pause_some(client: "redis.Redis", keys: Keys, now: int) -> None:
    reasons = json.dumps({"paused": {"who": "ann@web-1", "note": "a deploy", "at": str(now)}, "owed": str(now)})
    names = [f"entry-{number:07d}" for number in range(0, COUNT, COUNT // PAUSED)]
    for start in range(0, len(names), 1_000):
        page = names[start : start + 1_000]
        client.zrem(keys.key("due"), *page)
        client.hset(keys.key("out"), mapping=dict.fromkeys(page, reasons))


def _write_history(client: "redis.Redis", keys: Keys, now: int) -> None:
    pipe = client.pipeline(transaction=False)
    written = row = 0
    while written < HISTORY_BYTES:
        fires = "\x1e".join(f"entry-{(row * 100 + i) % COUNT:07d}\x1f{now + row}" for i in range(100))
        pipe.xadd(keys.key("hist"), {"epoch": 1, "at": now + row, "fires": fires})
        written += len(fires)
        row += 1
        if row % 500 == 0:
            pipe.execute()
    pipe.execute()


def _waited(server: RedisServer, words: Sequence[str], runs: int) -> Waited:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONPATH": str(ROOT), "BEATD_REDIS_URL": server.url, "BEATD_NAMESPACE": "default"}
    took = []
    for _ in range(runs + (runs > 1)):  # the first one compiles
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "beatd", *words], env=env, capture_output=True, check=False)
        took.append((time.perf_counter() - begun) * 1_000)
        assert done.returncode in (0, 2), done.stderr  # 2: status, where nobody leads
    took = took[1:] if runs > 1 else took
    return Waited(" ".join(words), statistics.median(took), max(took))


def _verbs(client: Client) -> dict[str, Callable[[], object]]:
    entry = entry_from_spec("bench", {"every": "1h", "task": "app.tasks.work"})

    def put() -> None:
        client.run(entries.put(client.keys, [put_item(entry, uuid.uuid4().hex, left="")], WHO))

    def pause() -> None:
        client.run(entries.pause(client.keys, ["bench"], uuid.uuid4().hex, WHO, Pause("bench")))

    def page() -> None:
        listing = Listing(client.keys, Wanted(), most=50)
        client.run(listing.begin())
        assert len(client.run(listing.chunk())) == 50

    return {"put": put, "pause": pause, "a page of 50": page}


def _inside(verb: Callable[[], object]) -> float:
    took = []
    for _ in range(200):
        begun = time.perf_counter()
        verb()
        took.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(took)
