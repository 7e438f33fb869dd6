"""Reading what kind of server a link leads to, and whether its user may do what beatd does."""

import time
from typing import Any

from beatd.core.server import ServerFacts
from beatd.store.link import Link
from beatd.store.rights import Missing, Rights


async def survey(link: Link, rights: Rights) -> ServerFacts:
    """Asks in two round trips; what may not be read is None. Raises AccessDenied when a right is missing without
    which nothing can be fired, Unreachable when the server is not ready.
    """
    (answer,) = await link.request(rights.question())
    missing = rights.missing(answer)
    if missing.needed:
        raise rights.denial(missing, link.place, "")
    info, saves, clock = await link.ask(("INFO",), ("CONFIG", "GET", "save"), ("TIME",))
    ahead = ms_of(clock) - time.time_ns() // 1_000_000
    return facts_of(fields_of(info), saves, ahead, missing)


def facts_of(info: dict[str, str], saves: Any, ahead_ms: int, missing: Missing) -> ServerFacts:
    """The answers to INFO and CONFIG GET save (errors among them) as facts."""
    append_only = info.get("aof_enabled")
    return ServerFacts(
        identity=info.get("run_id"),
        version=info.get("redis_version"),
        product=_product(info),
        cluster=info["redis_mode"] == "cluster" if "redis_mode" in info else None,
        policy=info.get("maxmemory_policy"),
        append_only=None if append_only is None else append_only == "1",
        saves=saves[1].decode() if isinstance(saves, list) and len(saves) == 2 else None,
        lacks=missing.optional,
        ahead_ms=ahead_ms,
    )


def _product(info: dict[str, str]) -> str | None:
    """Valkey names itself, and tells of Redis only the version that it is compatible with."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}" if "redis_version" in info else None


def ms_of(clock: Any) -> int:
    """The answer to TIME, UTC ms."""
    return int(clock[0]) * 1000 + int(clock[1]) // 1000


def fields_of(info: Any) -> dict[str, str]:
    """The lines of INFO; none where it is denied."""
    if isinstance(info, Exception):
        return {}
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
