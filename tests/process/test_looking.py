"""`beatd status`, `history` and `doctor` beside a daemon that runs: what a person sees of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.support.daemon import ROOT
from tests.support.scenes import StartDaemon
from tests.support.servers import RedisServer, free_port


def ask(*words: str, http: str) -> tuple[int, Any]:
    """A command's exit code and its JSON."""
    command = [sys.executable, "-m", "beatd", *words, "-o", "json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BEATD_HTTP": http}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_running_daemon_is_seen_to_lead_and_to_fire_and_to_leave(
    start_daemon: StartDaemon, start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis(appendonly="yes")
    http = f"127.0.0.1:{free_port()}"
    config = {"schedules": {"often": {"task": "t", "every": "1s"}}}
    daemon = start_daemon(server.url, config=config, arguments=("--http", http))
    daemon.wait_for("entry_fired", count=2)
    place = ("--redis", server.url)

    code, shown = ask("status", *place, http=http)
    assert (code, shown["leader"], shown["degraded"]) == (0, daemon.name, [])
    assert shown["entries"]["scheduled"] == 1
    assert shown["lateness_ms"]["fires"] >= 2
    code, checked = ask("doctor", *place, http=http)
    assert (code, [f for f in checked["findings"] if f["level"] == "fail"]) == (0, [])
    assert next(f["text"] for f in checked["findings"] if f["check"] == "http").startswith(f"{http}/readyz says ready")

    _, rows = ask("history", "often", *place, http=http)
    first, second, *_ = [event.fields["id"] for event in daemon.events("entry_fired")]
    assert [row["task_id"] for row in rows[:2]] == [first, second]

    assert daemon.stop() == 0
    code, shown = ask("status", *place, http=http)
    assert (code, shown["state"]) == (2, "no leader")
    assert "gave the lease back" in shown["degraded"][0]
