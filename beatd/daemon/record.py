"""What each instance says of itself in Redis, several times in each TTL."""

import json

from beatd.core.term import Term
from beatd.daemon.own_files import OwnFiles
from beatd.daemon.ports import Clock


def instance_record(
    term: Term | None, own: OwnFiles, clock: Clock, *, host: str, pid: int, version: str, tzdata: str, lag_ms: int
) -> str:
    """The record in T:inst, as JSON. ``registered`` and ``seen`` are UTC ms by Redis; ``file`` None: no files.

    lag_ms: the longest that the loop was late in the last minute.
    """
    registered = own.registered()
    return json.dumps(
        {
            "host": host,
            "pid": pid,
            "version": version,
            "tzdata": tzdata,
            "role": "standby" if term is None else "leader",
            "file": registered and registered.hash,
            "registered": registered and registered.at,
            "config_ok": own.config_ok,
            "lag_ms": lag_ms,
            "seen": clock.now_ms(),
        }
    )
