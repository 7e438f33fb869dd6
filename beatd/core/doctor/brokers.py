"""Findings about a broker that is not our Redis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.doctor.finding import Finding, fail, ok, warn

SLOW_MS: Final = 200.0
NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class BrokerQueue:
    """One queue as the broker tells of it. missing: why it does not exist; '' where it does."""

    name: str
    messages: int = 0
    consumers: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What was found at one broker. ms: until it was logged in. problem, fix: where that failed.

    confirms: whether it confirms messages; None where that is not asked. refused: why it takes no message, '' where a
    message to nowhere came back as it must. queues: None where the broker has none that must exist.
    """

    label: str
    ms: float = 0.0
    product: str = ""
    problem: str = ""
    fix: str = ""
    confirms: bool | None = None
    refused: str = ""
    queues: Sequence[BrokerQueue] | None = None


def broker_findings(facts: BrokerFacts, declare: str) -> Iterator[Finding]:
    """One about the connection, and where that stands one about sending and one or more about queues."""
    if facts.problem:
        yield fail("broker", facts.problem, facts.fix or "docs/brokers.md has what is said of a broker, and what to do")
        return
    named = f"{facts.label}{f', {facts.product}' if facts.product else ''}: connected in {facts.ms:.0f} ms"
    if facts.ms > SLOW_MS:
        yield warn("broker", named, "that is slow: is the broker far away, or overloaded?")
    else:
        yield ok("broker", named)
    if facts.confirms is False:
        yield fail("confirms", "this broker confirms no messages", "RabbitMQ does; beatd can't tell here what arrived")
    elif facts.refused:
        yield fail("confirms", facts.refused, "grant the right to write: rabbitmqctl set_permissions, docs/brokers.md")
    elif facts.confirms:
        yield ok("confirms", "a message to a queue of nobody's came back, as it must")
    if facts.queues is not None:
        yield from _queue_findings(facts.queues, declare)


def _queue_findings(queues: Sequence[BrokerQueue], declare: str) -> Iterator[Finding]:
    healthy = []
    for queue in queues:
        worker = f"is there a worker for it? celery -A APP worker -Q {queue.name}"
        if queue.missing and declare != "celery":
            text = f"no queue {queue.name}: messages to it come back ({queue.missing})"
            yield fail("broker queues", text, f"{worker}; or declare: celery")
        elif not queue.missing and not queue.consumers:
            yield warn("broker queues", f"{queue.name}: {queue.messages:,} waiting, and nobody takes them", worker)
        else:
            waiting = "is declared with the first message" if queue.missing else f"{queue.messages:,} waiting"
            healthy.append(f"{queue.name} ({waiting})")
    if healthy:
        more = f" and {len(healthy) - NAMED} more" if len(healthy) > NAMED else ""
        yield ok("broker queues", ", ".join(healthy[:NAMED]) + more)
