"""The real daemon under a bench: on the client's core, with what a bench asks of it, Redis and /proc."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from beatd.client import entries
from beatd.client.blocking import Client
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.store.keys import Keys
from bench.server import CLIENT_CORE, pin
from tests.support.servers import RedisServer

PATIENCE_S: Final = 120
WHO: Final = json.dumps({"client": "bench"})
KEYS: Final = Keys()
PAGE: Final = 2_000
HTTP: Final = ("--http", "127.0.0.1:0")  # served, as it is by default, but where nobody else is


@contextmanager
def running_daemon(server: RedisServer, broker: str = "") -> Iterator[int]:
    """A daemon that leads, by its pid; ended with the block. ``broker``: where the queues are, if not in that Redis."""
    pin(CLIENT_CORE)
    words = [sys.executable, "-m", "beatd", "run", "--redis", server.url, "--log-level", "warning", *HTTP]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BEATD_")}
    environment["PYTHONPATH"] = str(Path.cwd())
    if broker:
        environment["BEATD_BROKER_URL"] = broker
    with (
        (server.folder / "daemon.log").open("ab") as log,
        subprocess.Popen(words, cwd=server.folder, env=environment, stderr=log) as process,
    ):
        try:
            with server.client() as client:
                wait_for(lambda: bool(client.hget(KEYS.key("lease"), "owner")), "led")
            yield process.pid
        finally:
            process.terminate()


def put(client: Client, names: Sequence[str], spec: Mapping[str, Any]) -> None:
    """Stores entries. Arguments and revisions are each entry's own, as in life: nothing of them can be shared."""
    for start in range(0, len(names), PAGE):
        page = enumerate(names[start : start + PAGE], start)
        items = [put_item(entry_from_spec(name, {**spec, "args": [i]}), uuid.uuid4().hex) for i, name in page]
        client.run(entries.put(client.keys, items, WHO))


def wait_planned(server: RedisServer) -> None:
    """Until no entry waits to be planned."""
    with server.client() as client:
        wait_for(lambda: client.zcount(KEYS.key("due"), "-inf", "(0") == 0, "planned")


def fires(server: RedisServer) -> list[tuple[str, int, int]]:
    """Name, slot and instant (UTC ms, by the server's clock) of each fire in the history."""
    with server.client(socket_timeout=60) as client:
        rows: Any = client.xrange(KEYS.key("hist"))
    found = []
    for _, row in rows:
        for fire in row[b"fires"].decode().split("\x1e"):
            name, slots = fire.split("\x1f")
            found += [(name, int(slot), int(row[b"at"])) for slot in slots.split(",")]
    return found


def worst_lag_ms(server: RedisServer) -> int:
    """The loop's worst lag of the last minute, as the daemon tells it every two seconds."""
    time.sleep(3)
    with server.client() as client:
        records: Any = client.hvals(KEYS.key("inst"))
    return max(int(json.loads(record)["lag_ms"]) for record in records)


def epoch(server: RedisServer) -> int:
    """Grows with each new leader."""
    with server.client() as client:
        found: Any = client.hget(KEYS.key("lease"), "epoch")
    return int(found or 0)


def cpu_seconds_of(pid: int) -> float:
    """The processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """The memory that a process holds, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def highest_mb(pid: int) -> float:
    """The most memory that a process has held so far, MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def sleep_until(client: Client, instant: int) -> None:
    """Until the server's clock shows an instant."""
    time.sleep(max(0.0, (instant - client.now_ms()) / 1000))


def wait_for(reached: Callable[[], bool], what: str) -> None:
    """Until something is true; ends the bench when it takes too long."""
    give_up = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > give_up:
            raise SystemExit(f"not {what} after {PATIENCE_S} s")
        time.sleep(0.01)
