"""What each instance says of itself in Redis, several times in each TTL."""

import json
from collections.abc import Sequence
from typing import Final

from beatd.core.term import Term
from beatd.daemon.own_files import OwnFiles
from beatd.daemon.ports import Clock
from beatd.daemon.vitals import Vitals

MOST_FILES: Final = 10
MOST_HELD: Final = 3


def instance_record(
    term: Term | None,
    own: OwnFiles,
    vitals: Vitals,
    clock: Clock,
    *,
    host: str,
    pid: int,
    version: str,
    tzdata: str,
    lag_ms: int,
    files: Sequence[str] = (),
) -> str:
    """The record in T:inst, as JSON. ``registered`` and ``seen`` are UTC ms by Redis; ``file`` None: no files.

    files: their paths there, for whoever looks for an entry.
    held: of a leader, names of its files that others hold. lag_ms: the longest that the loop was late in the last
    minute. entries: how many are in each state, from the leader, once it has counted them; ``counted_at`` is when it
    last walked through those outside the timetable.
    """
    registered, tally, refusal = own.registered(), vitals.tally, vitals.last_refusal
    return json.dumps(
        {
            "host": host,
            "pid": pid,
            "version": version,
            "tzdata": tzdata,
            "role": "standby" if term is None else "leader",
            "file": registered and registered.hash,
            "registered": registered and registered.at,
            "files": list(files[:MOST_FILES]),
            "config_ok": own.config_ok,
            "held": None if term is None else {"count": len(own.held), "names": own.held[:MOST_HELD]},
            "lag_ms": lag_ms,
            "entries": vitals.entries(),
            "counted_at": tally and tally.at,
            "broker": broker_record(term, vitals),
            "last_refusal": refusal and {"at": refusal[0], "error": refusal[1]},
            "seen": clock.now_ms(),
        }
    )


def broker_record(term: Term | None, vitals: Vitals) -> dict[str, object] | None:
    """Of a leader whose messages go to another broker: where to, which one that is, for how many seconds it has taken
    none, and how many wait for it.
    """
    if term is None or vitals.broker is None:
        return None
    told = {"url": vitals.broker, "fingerprint": vitals.broker_fingerprint}
    return {**told, "down_s": round(vitals.broker_down_s()), "held": vitals.outbox[0]}
