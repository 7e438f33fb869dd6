"""Findings about the Redis server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from beatd.core.doctor.finding import Finding, fail, ok, warn
from beatd.core.server import (
    Risk,
    ServerFacts,
    check_usable,
    clock_risk,
    eviction_risk,
    persistence_risk,
    rights_risk,
    unknown_of,
)
from beatd.errors import AccessDenied

SLOW_READ_MS: Final = 50.0
NEARLY_FULL: Final = 0.9
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How a server does; None where that may not be read.

    ping_ms: the median of some round trips. used, most: bytes of memory, ``most`` 0 without a limit. unsaved: what the
    last write to disk failed with, a name each. denied: rights without which nothing fires, and the line that gives
    them.
    """

    facts: ServerFacts
    ping_ms: float
    role: str | None = None
    used: int | None = None
    most: int | None = None
    unsaved: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    acl_line: str = ""


def server_findings(health: ServerHealth, place: str) -> Iterator[Finding]:
    """All of them, in the order in which people look."""
    yield _version(health, place)
    yield _role(health)
    yield _latency(health)
    yield _persistence(health)
    yield _risk("eviction", eviction_risk(health.facts), f"maxmemory-policy is {health.facts.policy}")
    yield _memory(health)
    yield _rights(health)
    yield _risk("clock", clock_risk(health.facts), f"{health.facts.ahead_ms:+,} ms from the clock of this host")
    if unknown := unknown_of(health.facts):
        yield warn("server", unknown, "grant +info and +config|get, or ask whoever runs the server")


def _version(health: ServerHealth, place: str) -> Finding:
    try:
        check_usable(health.facts, place)
    except AccessDenied as error:
        return fail("version", error.message, error.hint or "")
    return ok("version", health.facts.product or "of a version that may not be read")


def _role(health: ServerHealth) -> Finding:
    if health.role == "slave":
        return fail("role", "this is a replica, and refuses to write", "point beatd at the primary")
    return ok("role", "a primary" if health.role else "may not be read")


def _latency(health: ServerHealth) -> Finding:
    text = f"{health.ping_ms:.1f} ms a round trip (median)"
    if health.ping_ms > SLOW_READ_MS:
        return warn("latency", text, "run beatd nearer to Redis, or find out what keeps the server busy: SLOWLOG GET")
    return ok("latency", text)


def _persistence(health: ServerHealth) -> Finding:
    if health.unsaved:
        text = f"the last write to disk failed: {', '.join(health.unsaved)}"
        return fail("persistence", text, "is the disk of Redis full? see the log of the server")
    how = "append-only file" if health.facts.append_only else f"snapshots ({health.facts.saves or 'unknown'})"
    return _risk("persistence", persistence_risk(health.facts), how)


def _memory(health: ServerHealth) -> Finding:
    if health.used is None or health.most is None:
        return ok("memory", "may not be read")
    if not health.most:
        return ok("memory", f"{health.used / MB:,.0f} MB in use, without a limit")
    text = f"{health.used / MB:,.0f} of {health.most / MB:,.0f} MB in use"
    if health.used >= health.most:
        return fail("memory", f"{text}: nothing more can be fired", "free memory, or raise maxmemory")
    if health.used > NEARLY_FULL * health.most:
        return warn("memory", f"{text}: at the limit nothing is fired any more", "free memory, or raise maxmemory")
    return ok("memory", text)


def _rights(health: ServerHealth) -> Finding:
    if health.denied:
        return fail("rights", f"the user may not use {', '.join(health.denied)}", health.acl_line)
    return _risk("rights", rights_risk(health.facts), "all that beatd needs")


def _risk(check: str, risk: Risk | None, otherwise: str) -> Finding:
    return ok(check, otherwise) if risk is None else warn(check, risk.text, risk.hint)
