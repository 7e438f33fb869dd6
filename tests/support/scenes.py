"""What the stories with real daemons have in common: entries that run often, the server's clock, edits, commands."""

import io
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from typing import Any, Final, cast

import redis

from beatd.cli.main import main
from beatd.client import entries
from beatd.client.blocking import Client
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from tests.support.daemon import ROOT, Daemon
from tests.support.ledger import Ledger
from tests.support.servers import RedisServer

StartRedis = Callable[..., RedisServer]
StartDaemon = Callable[..., Daemon]
OpenLedger = Callable[..., Ledger]

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


def put(store: Client, specs: Mapping[str, Mapping[str, Any]]) -> None:
    """One edit of the API: writes entries by name, each under a nonce never used before."""
    items = [put_item(entry_from_spec(name, spec), uuid.uuid4().hex, left="") for name, spec in specs.items()]
    store.run(entries.put(store.keys, items, '{"client":"test"}'))


def wait_until(condition: Callable[[], bool], timeout: float = 20) -> None:
    """Waits for what can only be asked for."""
    give_up = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < give_up, f"not in {timeout:g} s"
        time.sleep(0.005)


def call_for_upkeep(client: "redis.Redis") -> None:
    """Puts a name astray: the leader looks after everything within two or three seconds, instead of in its own time."""
    client.hset(f"{T}:out", "nobody", '{"paused":{}}')


def cut_all(client: "redis.Redis") -> None:
    """Closes all connections but this one."""
    for kind in ("pubsub", "normal"):
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def beatd(*words: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end, where no file is found by itself; `run` in a process, the others in this one."""
    if words[0] != "run":
        return _beatd_in_here(words)
    return subprocess.run(
        [sys.executable, "-m", "beatd", *words],
        cwd=os.sep,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _beatd_in_here(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """The same, a third of a second sooner: what is wanted of these commands is what they do to Redis."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["beatd", *words]
    try:
        with chdir(os.sep), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        return subprocess.CompletedProcess(words, cast("int", ended.code), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
