"""Which instance's files count: those that were registered last (PROTOCOL, loop 8). Instants are UTC ms by Redis."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Registered:
    """The files of one instance: the hash of what they mean, and when they were loaded there."""

    instance: str
    hash: str
    at: int


@dataclass(frozen=True, slots=True)
class Applied:
    """Whose files are stored, and when those had been registered. hash '': nobody's; with ``begun``, in part only."""

    hash: str = ""
    at: int = 0
    by: str = ""
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """Whose files are applied, what all instances say of themselves, and the clock of Redis (UTC ms)."""

    applied: Applied
    records: Mapping[str, Mapping[str, Any]]
    now: int


class Standing(Enum):
    """What a leader's own files are to what is stored."""

    APPLIED = "applied"
    LAST = "last"  # to be applied
    OLDER = "older"  # what is stored stays


@dataclass(frozen=True, slots=True)
class Verdict:
    """``latest``: who registered last. ``at``: when the hash that counts was registered last, by whomever."""

    standing: Standing
    latest: Registered
    at: int


def judged(own: Registered, others: Iterable[Registered], applied: Applied, now: int) -> Verdict:
    """What a leader does with its own files. ``others`` are those of all instances that are alive.

    What was applied counts as registered even when the instance that did it is gone: else each change of leader
    between two generations of files would bring the other one. Where nothing is stored of files, any are better.
    """
    living = [own, *others]
    latest = max(living, key=lambda each: (each.at, each.instance))
    at = max(each.at for each in living if each.hash == own.hash)
    if applied.hash == own.hash:
        return Verdict(Standing.APPLIED, latest, max(at, applied.at if applied.at <= now else 0))
    if not applied.hash and not applied.begun:
        return Verdict(Standing.LAST, latest, at)
    if latest.hash != own.hash:
        return Verdict(Standing.OLDER, latest, at)
    stands = bool(applied.hash) and applied.at <= now  # later than now: the clock was set back since
    if stands and applied.at >= at:
        return Verdict(Standing.OLDER, Registered(applied.by, applied.hash, applied.at), at)
    return Verdict(Standing.LAST, latest, at)


def living(records: Mapping[str, Mapping[str, Any]], own: str, now: int, ttl_ms: int) -> list[Registered]:
    """The registrations of all other instances seen within three times the TTL; what can't be read is passed over."""
    return [
        Registered(name, record["file"], record["registered"])
        for name, record in records.items()
        if name != own and is_alive(record, now, ttl_ms)
        if isinstance(record.get("file"), str) and _is_instant(record.get("registered"))
    ]


def is_alive(record: Mapping[str, Any], now: int, ttl_ms: int) -> bool:
    """Whether the instance of a record was seen within three times the TTL. Seen later than now: the clock was set."""
    seen = record.get("seen")
    return _is_instant(seen) and -ttl_ms < now - int(seen or 0) < 3 * ttl_ms


def _is_instant(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
