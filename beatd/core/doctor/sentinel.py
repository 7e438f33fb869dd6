"""Findings about the Sentinels that lead to the primary, and about what a failover would cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from beatd.core.doctor.finding import Finding, ok, warn

_ALL = "name all Sentinels in the URL, three at least, each on a host of its own"


@dataclass(frozen=True, slots=True)
class SentinelFacts:
    """What each Sentinel of the URL (`host:port`) says: the primary and the number of its configuration, or why not.

    replicas, least: how many replicas are connected, and `min-replicas-to-write`; None where that may not be read.
    """

    told: Mapping[str, tuple[int, str] | str]
    replicas: int | None = None
    least: int | None = None


def sentinel_findings(facts: SentinelFacts) -> Iterator[Finding]:
    """Whether a failover would be seen, and what it would cost."""
    yield _sentinels(facts)
    yield _replicas(facts)


def _sentinels(facts: SentinelFacts) -> Finding:
    answers = [told for told in facts.told.values() if not isinstance(told, str)]
    silent = [told for told in facts.told.values() if isinstance(told, str)]
    newest = max(answers, default=(0, "nobody"))[1]
    text = f"{len(answers)} of {len(facts.told)} answer; the primary is {newest}"
    if silent:
        return warn("sentinels", f"{text}; {'; '.join(silent)}", "mend them, or take them out of the URL")
    others = [f"{host} names {told[1]}" for host, told in facts.told.items() if told[1] != newest]
    if others:
        return warn("sentinels", f"{text}; {'; '.join(others)}", "a failover may be under way: look again in a minute")
    if len(answers) < 2:
        return warn("sentinels", f"{text}; without it nobody tells where the primary is", _ALL)
    return ok("sentinels", text)


def _replicas(facts: SentinelFacts) -> Finding:
    if facts.replicas is None:
        return ok("replicas", "may not be read")
    if facts.replicas == 0:
        return warn("replicas", "the primary has none: there is nothing to fail over to", "see the log of the replicas")
    text = f"{facts.replicas} connected to the primary"
    if facts.least == 0:
        return warn(
            "replicas",
            f"{text}; min-replicas-to-write is 0: a primary that is cut off fires what is fired again after a failover",
            "set min-replicas-to-write 1 and min-replicas-max-lag 2 on every server",
        )
    return ok("replicas", text)
