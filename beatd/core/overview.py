"""Is all well? What the store says of leader, standbys and entries, summed up for `beatd status`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from beatd.core.census import STATES
from beatd.core.history import percentile
from beatd.core.instant import FIRST_MS, LAST_MS, instant_text
from beatd.core.registration import Applied, is_alive
from beatd.core.waiting import Outboxed

LATE_MS: Final = 60_000
USUAL_TTL_MS: Final = 6_000
OLD_COUNT_MS: Final = 10_000  # counts older than this are told with their age
SLOW_LOOP_MS: Final = 1_000
OF_INSTANCE: Final = "instance"
OK, DEGRADED, NO_LEADER = 0, 1, 2
QUEUE_TAKES_NONE: Final = "its queue takes no messages: missing at the broker, or in Redis a key of another type"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entries are in each state, each in exactly one; ``at``: when that was counted (UTC ms)."""

    states: Mapping[str, int]
    at: int

    @property
    def total(self) -> int:
        """All entries."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was not fired, for a reason that nobody asked for. at: since when, UTC ms, None unknown.

    name: of the entry; with the reason OF_INSTANCE that of a daemon, which was refused something.
    """

    at: int | None
    name: str
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class Overview:
    """What was read. Instants in UTC ms by the clock of Redis.

    instances: what each says of itself. oldest_due: the oldest moment that was not acted on. unplanned: how many
    entries wait to be planned. late_ms: how late the last fires were, ascending; ``late_since``: when the oldest of
    them was. refusals: the newest first. spoilt: keys of beatd that hold something else, a sentence each. outbox: what
    waits for another broker.
    """

    now: int
    lease: Mapping[str, str]
    counts: Counts
    instances: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    applied: Applied = field(default_factory=Applied)
    oldest_due: int | None = None
    unplanned: int = 0
    late_ms: Sequence[int] = ()
    late_since: int | None = None
    refusals: Sequence[Refusal] = ()
    spoilt: Sequence[str] = ()
    outbox: Outboxed = field(default_factory=Outboxed)

    @property
    def ttl(self) -> int:
        """The lease's time to live, ms."""
        return number(self.lease.get("ttl"), USUAL_TTL_MS)

    @property
    def left(self) -> int:
        """How long the lease still runs, ms; 0 or less where nobody leads."""
        return number(self.lease.get("until"), 0) - self.now if self.lease.get("owner") else 0

    @property
    def leader(self) -> str | None:
        """Who leads."""
        return self.lease.get("host", "?") if self.left > 0 else None

    @property
    def lag_ms(self) -> int:
        """For how long the oldest moment has been waiting."""
        return 0 if self.oldest_due is None else max(0, self.now - self.oldest_due)

    @property
    def living(self) -> dict[str, Mapping[str, Any]]:
        """The instances that are alive, by name."""
        return {name: each for name, each in sorted(self.instances.items()) if is_alive(each, self.now, self.ttl)}

    @property
    def silent(self) -> list[str]:
        """Those of them not heard of for longer than a lease's time to live."""
        return [name for name, each in self.living.items() if number(each.get("seen"), 0) < self.now - self.ttl]


def judged(o: Overview) -> dict[str, Any]:
    """All of it in the words of JSON; ``code`` is the exit code, ``degraded`` why it is not 0."""
    living, silent, files = o.living, o.silent, files_of(o)
    degraded = list(_degraded(o, files))
    state = "no leader" if o.leader is None else "degraded" if degraded else "ok"
    return {
        "state": state,
        "degraded": [*([why_no_leader(o)] if o.leader is None else []), *degraded],
        "warnings": list(_warnings(o)),
        "leader": o.leader,
        "epoch": number(o.lease.get("epoch"), None),
        "lease_left_ms": max(0, o.left) if o.leader else 0,
        "standbys": [name for name in living if name != o.leader and name not in silent],
        "silent": silent,
        "instances": {name: _instance(o, name, record) for name, record in living.items()},
        "entries": {"total": o.counts.total, **{state: o.counts.states.get(state, 0) for state in STATES}},
        "counted_at": _instant(o.counts.at),
        "unplanned": o.unplanned,
        "lag_ms": o.lag_ms,
        "lateness_ms": {
            "p50": percentile(o.late_ms, 50),
            "p99": percentile(o.late_ms, 99),
            "fires": len(o.late_ms),
            "since": _instant(o.late_since),
        },
        "outbox": {
            "messages": o.outbox.messages,
            "bytes": o.outbox.size,
            "oldest": _instant(o.outbox.oldest),
            "queues": dict(o.outbox.queues),
            "left_over": o.outbox.left_over,
        },
        "last_refusal": _refusal(o.refusals[0]) if o.refusals else None,
        "refusals": [_refusal(each) for each in o.refusals],
        "files": files,
        "tzdata": {name: record["tzdata"] for name, record in living.items() if "tzdata" in record},
        "code": {"ok": OK, "degraded": DEGRADED, "no leader": NO_LEADER}[state],
    }


def why_no_leader(o: Overview) -> str:
    """Why nobody leads, in a sentence."""
    others = len(o.living)
    waiting = f"{others} {'instance is' if others == 1 else 'instances are'} alive and should take over at once"
    then = waiting if others else "no instance is alive: start one (beatd run)"
    if o.lease.get("owner"):
        gone = -o.left / 1_000
        return f"nobody leads: the lease of {o.lease.get('host', '?')} ran out {gone:,.1f} s ago, {then}"
    if o.lease.get("host"):
        return f"nobody leads: {o.lease['host']} gave the lease back, {then}"
    return f"nobody leads, and nobody has ever led in this namespace: {then}"


def files_of(o: Overview) -> dict[str, Any]:
    """Whose files are stored, and which instances have others; agreed is who has these, or none at all."""
    applied = o.applied
    instances = {
        name: {
            "file": record.get("file"),
            "registered": _instant(number(record.get("registered"), None)),
            "config_ok": record.get("config_ok") is not False,
            "stands": _standing(record, applied),
        }
        for name, record in o.living.items()
    }
    return {
        "agree": all(each["stands"] in ("stored", "none") and each["config_ok"] for each in instances.values()),
        "applied": applied.hash or None,
        "by": applied.by or None,
        "registered": _instant(applied.at) if applied.at else None,
        "instances": instances,
    }


def number(value: Any, otherwise: _T) -> int | _T:
    """A stored number, or what stands for one that is missing or that another client has spoilt."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def versions(o: Overview, key: str) -> dict[str, list[str]]:
    """Which instances have which `version` or `tzdata`."""
    found: dict[str, list[str]] = {}
    for name, record in o.living.items():
        if isinstance(record.get(key), str):
            found.setdefault(record[key], []).append(name)
    return dict(sorted(found.items()))


def _degraded(o: Overview, files: Mapping[str, Any]) -> Iterator[str]:
    if o.lag_ms > LATE_MS:
        yield f"an entry is due since {_instant(o.oldest_due)}, {o.lag_ms / 1000:,.0f} s ago, and was not fired"
    if not files["agree"]:
        yield "not all instances have the files that are stored, or can use theirs: see files"
    yield from _held(o)
    yield from _broker(o)
    invalid, blocked = o.counts.states.get("invalid", 0), o.counts.states.get("blocked", 0)
    if invalid:
        yield f"{_entries(invalid)} invalid and will not fire: beatd ls tells why; mend with beatd set, or beatd rm"
    if blocked:
        why = "the queue is a key of another type; rename that key"
        if _leader_s(o, "broker"):
            why = "the queue is missing at the broker, or refuses; start its worker, or declare it"
        yield f"{_entries(blocked)} blocked: {why}"
    yield from o.spoilt


def _leader_s(o: Overview, key: str) -> Mapping[str, Any]:
    """What the leader says of itself under a key; nothing where that is no object."""
    said = o.living.get(o.leader or "", {}).get(key)
    return said if isinstance(said, Mapping) else {}


def _broker(o: Overview) -> Iterator[str]:
    """Another broker that takes no messages from the leader."""
    broker = _leader_s(o, "broker")
    if (down := number(broker.get("down_s"), 0)) > 0:
        url = broker.get("url")
        where = f" ({url})" if isinstance(url, str) else ""
        yield f"the broker{where} has taken no messages for {down:,} s: what is due waits; the leader's log says why"


def _held(o: Overview) -> Iterator[str]:
    """Names of the leader's files that are not in effect, for somebody else holds them."""
    held = o.living.get(o.leader or "", {}).get("held")
    count = number(held.get("count"), 0) if isinstance(held, Mapping) else 0
    if not isinstance(held, Mapping) or count < 1:
        return
    given = held.get("names")
    names = [str(name) for name in given] if isinstance(given, list) else []
    named = ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")
    way = f"beatd rm {names[0] if len(names) == 1 else 'NAME'} gives a name to the files"
    what = "entry of the files is" if count == 1 else "entries of the files are"
    yield f"{count:,} {what} not in effect, for others hold the name: {named}; {way}, or take it out of them"


def _warnings(o: Overview) -> Iterator[str]:
    for key, what in (("version", "beatd"), ("tzdata", "zone data")):
        found = versions(o, key)
        if len(found) > 1:
            each = "; ".join(f"{version} on {', '.join(names)}" for version, names in found.items())
            yield f"instances have different versions of {what}: {each}"
    for name, record in o.living.items():
        slow = number(record.get("lag_ms"), 0)
        if slow > SLOW_LOOP_MS:
            yield f"{name} was {slow / 1000:.1f} s late in its own loop in the last minute: its host is overloaded"
    if o.outbox.left_over:
        yield (
            f"{_messages(o.outbox.left_over)} decided for another broker than the leader's, and sent nowhere: point "
            "beatd at that broker again, or give them up (beatd outbox drop --left-over)"
        )
    if o.outbox.unreadable:
        yield f"another client has written to the outbox: {o.outbox.unreadable:,} of it can't be read"
    for name in o.silent:
        yield f"{name} was not heard of for longer than a lease's time to live"


def _entries(count: int) -> str:
    return f"{count:,} {'entry is' if count == 1 else 'entries are'}"


def _messages(count: int) -> str:
    return f"{count:,} {'message was' if count == 1 else 'messages were'}"


def _instance(o: Overview, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "role": "leader" if name == o.leader else "standby",
        "version": record.get("version"),
        "tzdata": record.get("tzdata"),
        "seen_ms_ago": o.now - number(record.get("seen"), o.now),
        "loop_lag_ms": number(record.get("lag_ms"), None),
    }


def _standing(record: Mapping[str, Any], applied: Applied) -> str:
    """What an instance's files are to the stored ones: stored, newer, older; none without files."""
    if record.get("file") in (None, applied.hash):
        return "none" if record.get("file") is None else "stored"
    return "newer" if number(record.get("registered"), 0) > applied.at else "older"


def _refusal(each: Refusal) -> dict[str, Any]:
    return {"at": _instant(each.at), "name": each.name, "reason": each.reason, "why": each.why}


def _instant(ms: int | None) -> str | None:
    if ms is None:
        return None
    return instant_text(ms) if FIRST_MS <= ms <= LAST_MS else f"{ms} ms"
