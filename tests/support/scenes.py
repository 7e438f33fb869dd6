"""What the stories with real daemons have in common: entries that run often, the server's clock, and commands."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import redis

from tests.support.daemon import ROOT

T: Final = "{beatd:default:0}"
FAST: Final[dict[str, Any]] = {
    "task": "t.t", "every": "200ms", "fast": True, "catchup": "all", "catchup_limit": 1000,
}  # fmt: skip


def fast_entries(count: int, **more: Any) -> dict[str, dict[str, Any]]:
    """Entries whose slots are spread over the 200 ms by their names."""
    return {f"e{i}": {**FAST, **more} for i in range(count)}


def now_ms(client: "redis.Redis") -> int:
    """The server's clock, UTC ms."""
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def wait_until(condition: Callable[[], bool], timeout: float = 20) -> None:
    """Waits for what can only be asked for."""
    give_up = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < give_up, f"not in {timeout:g} s"
        time.sleep(0.005)


def cut_all(client: "redis.Redis") -> None:
    """Closes all connections but this one."""
    for kind in ("pubsub", "normal"):
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def beatd(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end, where no file is found by itself."""
    return subprocess.run(
        [sys.executable, "-m", "beatd", *words],
        cwd=os.sep,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
