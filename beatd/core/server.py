"""What a Redis server must be for beatd, and what an operator should know about it. Facts in, verdict out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from beatd.errors import AccessDenied

OLDEST: Final = "Redis 6.2 or Valkey 7.2"
_OLDEST_REDIS: Final = (6, 2)
CLOCK_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What was read from a server; None where it was not allowed to be read.

    ``identity`` is new with every start of a server. ``version``: of Redis, or of the one that it is compatible with;
    ``product``: what it calls itself, with its own version, as in "Valkey 9.1.2". ``saves``: the save points as
    configured, '' for none. ``lacks`` names rights that the user doesn't have and beatd can do without. ``ahead_ms``:
    by how much the server's clock is ahead of this host's.
    """

    identity: str | None = None
    version: str | None = None
    product: str | None = None
    cluster: bool | None = None
    policy: str | None = None
    append_only: bool | None = None
    saves: str | None = None
    lacks: tuple[str, ...] = ()
    ahead_ms: int = 0


@dataclass(frozen=True, slots=True)
class Risk:
    """Something that an operator should know. ``strict``: `run --strict` does not start with it."""

    text: str
    hint: str
    strict: bool = True


def check_usable(facts: ServerFacts, place: str) -> None:
    """Raises AccessDenied for a server that beatd can't work with: too old, or a cluster."""
    if facts.version is not None and _numbers(facts.version) < _OLDEST_REDIS:
        raise AccessDenied(
            f"{place} is Redis {facts.version}; {OLDEST} or later is accepted",
            hint="upgrade the server: older ones lack commands that beatd needs (ZMSCORE)",
        )
    if facts.cluster:
        raise AccessDenied(
            f"{place} is a Redis Cluster; a single server (with replicas, if you like) is accepted",
            hint="beatd moves its ledger and the queue in one step, and in a cluster they lie in different places",
        )


def risks_of(facts: ServerFacts) -> Iterator[Risk]:
    """What to warn of, the worst first."""
    found = (eviction_risk(facts), persistence_risk(facts), clock_risk(facts), rights_risk(facts))
    return (risk for risk in found if risk is not None)


def eviction_risk(facts: ServerFacts) -> Risk | None:
    """What the server may throw away."""
    if facts.policy is not None and facts.policy.startswith("allkeys"):
        return Risk(
            f"maxmemory-policy is {facts.policy}: at its memory limit Redis throws away entries and queues, silently",
            "set maxmemory-policy noeviction",
        )
    if facts.policy not in (None, "noeviction"):
        return Risk(
            f"maxmemory-policy is {facts.policy}: Redis throws away keys with a time to live; no key of beatd or of a"
            " queue has one, results of tasks do",
            "set maxmemory-policy noeviction",
        )
    return None


def persistence_risk(facts: ServerFacts) -> Risk | None:
    """What is gone after a restart of the server."""
    if facts.append_only is False and facts.saves == "":
        return Risk(
            "Redis keeps nothing on disk: when it restarts, entries set by hand, queues and what has fired are gone",
            "set appendonly yes",
        )
    return None


def clock_risk(facts: ServerFacts) -> Risk | None:
    """A clock that is not this host's."""
    if abs(facts.ahead_ms) <= CLOCK_MS:
        return None
    way = "ahead of" if facts.ahead_ms > 0 else "behind"
    return Risk(
        f"the clock of Redis is {abs(facts.ahead_ms) / 1000:,.0f} s {way} the clock of this host; slots go by that of"
        " Redis",
        "let both hosts take their time from a time server",
        strict=False,
    )


def rights_risk(facts: ServerFacts) -> Risk | None:
    """Rights that beatd can do without."""
    if not facts.lacks:
        return None
    return Risk(
        f"the user may not run {', '.join(facts.lacks)}: what they are for is left out, firing goes on",
        "docs/troubleshooting.md says what each is for",
        strict=False,
    )


def unknown_of(facts: ServerFacts) -> str | None:
    """What could not be checked, as a sentence; None when all was."""
    names = {"maxmemory-policy": facts.policy, "appendonly": facts.append_only}
    if not facts.append_only:
        names["save"] = facts.saves
    unread = [name for name, value in names.items() if value is None]
    return f"may not be read, so not checked: {', '.join(unread)}" if unread else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])
