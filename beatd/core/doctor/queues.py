"""Findings about the queues that entries are sent to."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.doctor.finding import Finding, fail, ok, warn
from beatd.core.instant import read_moment
from beatd.core.zone import zone_named
from beatd.errors import ScheduleInvalid

MANY: Final = 1_000
WAITS_MS: Final = 60_000
NAMED: Final = 5
PRIORITY_MARK: Final = "\x06\x16"  # of Celery, between a queue and a priority
SLOW_WRITE_MS: Final = 200.0


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue, looked at twice. kind: the type of its key. before, after: lengths, None where they may not be read.

    stuck: the slot (UTC ms) of the message that would be taken next, where it was the same one at both looks.
    """

    name: str
    kind: str
    before: int | None
    after: int | None
    stuck: int | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A message that was put on a queue of nobody's and taken back, in how many ms; or why that could not be done.

    denied: the user may not take one back, and so none was put there.
    """

    ms: float = 0.0
    problem: str | None = None
    fix: str = ""
    denied: bool = False


def queue_findings(queues: Sequence[QueueFacts], now: int) -> Iterator[Finding]:
    """One for each queue that needs a look, and one for all others."""
    healthy = []
    for queue in queues:
        problem = _problem(queue, now)
        if problem is None:
            healthy.append(
                f"{_named(queue.name)} ({'may not be read' if queue.after is None else f'{queue.after:,} waiting'})"
            )
        else:
            yield problem
    if healthy:
        more = f" and {len(healthy) - NAMED} more" if len(healthy) > NAMED else ""
        yield ok("queues", ", ".join(healthy[:NAMED]) + more)
    if not queues:
        yield ok("queues", "no entry names one yet")


def _problem(queue: QueueFacts, now: int) -> Finding | None:
    name, consumed = _named(queue.name), queue.name.partition(PRIORITY_MARK)[0]
    if queue.kind not in ("list", "none"):
        key = queue.name if queue.name == name else f"$'{queue.name.encode('unicode_escape').decode()}'"
        text = f"the key {name} is a {queue.kind}, no list: its entries are blocked"
        return fail("queues", text, f"rename it: redis-cli RENAME {key} {key}.old")
    if not queue.after or queue.before is None:
        return None
    grown = queue.after - queue.before
    growing = f", {grown:,} more than a moment ago" if grown > 0 else ""
    fix = f"is there a worker for {consumed}, and is it alive? celery -A APP worker -Q {consumed}"
    if queue.stuck is not None and now - queue.stuck > WAITS_MS:
        waits = f"nobody takes the next one, of a slot {(now - queue.stuck) / 1000:,.0f} s ago"
        return warn("queues", f"{name}: {queue.after:,} messages wait{growing}; {waits}", fix)
    if queue.after >= MANY and grown >= 0:
        return warn("queues", f"{name}: {queue.after:,} messages wait{growing}", fix)
    return None


def _named(key: str) -> str:
    """A queue as people know it: each priority but 0 has a key of its own."""
    queue, mark, priority = key.partition(PRIORITY_MARK)
    return f"{queue}, priority {priority}" if mark else queue


def publish_finding(tried: Tried) -> Finding:
    """Whether a message can be put on a queue."""
    if tried.denied:
        return warn("publish", "not tried: the user may not take the message back", "grant +rpop to have it tried")
    if tried.problem is not None:
        return fail("publish", tried.problem, tried.fix)
    text = f"a message was put on a queue of nobody's and taken back in {tried.ms:.1f} ms"
    if tried.ms > SLOW_WRITE_MS:
        return warn("publish", text, "writes are slow: is the disk of Redis overloaded? (appendfsync everysec)")
    return ok("publish", text)


def slot_of(message: bytes) -> int | None:
    """The slot (UTC ms) that a message of ours names; None of any other."""
    try:
        text = json.loads(message)["headers"]["beatd_slot"]
        return read_moment("beatd_slot", text, zone_named("UTC")).ms
    except (ValueError, TypeError, KeyError, RecursionError, ScheduleInvalid):
        return None
