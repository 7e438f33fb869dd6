"""A simple daemon for tests of what watches daemons, with faults on demand. Not beatd: no fence, no ledger, no edits.

Takes a fault and the options of ``beatd run``: ``standin_daemon.py double:pulse-a,miss:pulse-b -c FILE --redis URL``.
Leads while it holds a lock of a second, fires by beatd's own templates, keeps the next slot of each entry in Redis.
"""

import os
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
import yaml

from beatd.core.entry import Entry, entry_from_spec
from beatd.core.fire import TaskIds
from tests.support.messages import messages_of


def run(client: Any, entries: list[Entry], faults: Mapping[str, str]) -> None:
    me = f"{socket.gethostname()}:{os.getpid()}"
    while True:
        if client.get("lock") == me or client.set("lock", me, nx=True, px=1_000):
            client.pexpire("lock", 1_000)
            client.hset("{beatd:default:0}:lease", "host", me)
            for entry in entries:
                fire_what_is_due(client, entry, faults.get(entry.name))
        time.sleep(0.02)


def fire_what_is_due(client: Any, entry: Entry, fault: str | None) -> None:
    now_ms = time.time_ns() // 1_000_000
    messages, task_ids = messages_of(entry), TaskIds("default")
    slot_ms = int(client.hget("next", entry.name) or entry.schedule.next_ms(now_ms) or 0)
    while slot_ms <= now_ms:
        for _ in range(copies(fault, client.hincrby("met", entry.name, 1))):
            message = messages.render(task_ids.of(entry.name, slot_ms), slot_ms, str(uuid.uuid4()))
            client.lpush(messages.queue_key, message)
        slot_ms = entry.schedule.next_ms(slot_ms) or sys.maxsize
    client.hset("next", entry.name, slot_ms)


def copies(fault: str | None, slots_met: int) -> int:
    """How often a slot is fired: a fault strikes every second one."""
    if fault is None or slots_met % 2:
        return 1
    return 2 if fault == "double" else 0


if __name__ == "__main__":
    given = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    specs = yaml.safe_load(Path(given["-c"]).read_text())["schedules"]
    wrong = {name: fault for fault, _, name in (word.partition(":") for word in sys.argv[1].split(",") if word)}
    with redis.Redis.from_url(given["--redis"], decode_responses=True) as connection:
        run(connection, [entry_from_spec(name, spec) for name, spec in specs.items()], wrong)
