"""Is this process alive, and may it be relied on? Judged from values; durations in seconds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

MOST_MISSED: Final = 1  # samples of the loop's pulse in a row
ANSWER_S: Final = 2.0
LAG_S: Final = 60.0
STALE_S: Final = 5.0  # the leader looks at its timetable once a second


class Sign(NamedTuple):
    """One thing looked at. ``detail`` says what was found, and when it is not well, what would be."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``signs`` by what was looked at; well when all of them are."""

    signs: Mapping[str, Sign]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(sign.ok for sign in self.signs.values())


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a daemon at one instant.

    missed: samples of the pulse without a beat, in a row. config_error: why its files can't be used as they are now.
    answered_ago: since Redis answered last, None: never. trouble: what it met last with Redis, while that is not over.
    hindrance: why it may not lead, ``newer_format`` when what is stored has a newer format. zone_data,
    stored_zone_data: versions, '' where nobody knows. has_bid: it was told whose the lease is. checked_ago, lag: since
    the leader looked at the timetable last (None: not yet), and how far that is behind. failing_for: how long its
    sessions have ended by ``trouble`` one after another. broker: where messages go, None: to our Redis;
    broker_down_for: since when it has taken none, and ``broker_trouble`` why.
    """

    missed: int = 0
    stopping: bool = False
    config_error: str | None = None
    answered_ago: float | None = None
    trouble: str | None = None
    hindrance: str | None = None
    newer_format: bool = False
    zone_data: str = ""
    stored_zone_data: str = ""
    leads: bool = False
    has_bid: bool = False
    checked_ago: float | None = None
    failing_for: float = 0.0
    broker: str | None = None
    broker_down_for: float = 0.0
    broker_trouble: str = ""
    lag: float = 0.0


def alive(missed: int) -> Verdict:
    """The loop turns. Redis may be down: a restart of this process would mend nothing."""
    return Verdict({"loop": _loop(missed)})


def ready(seen: Seen) -> Verdict:
    """It leads without lag, or would lead if the leader went."""
    return Verdict(dict(_signs(seen)))


def _signs(seen: Seen) -> Iterator[tuple[str, Sign]]:
    yield "loop", _loop(seen.missed)
    yield "running", Sign(not seen.stopping, "it is stopping" if seen.stopping else "it is not asked to stop")
    yield "config", Sign(seen.config_error is None, seen.config_error or "the configuration is valid")
    yield "redis", _redis(seen.answered_ago, seen.trouble)
    yield "format", Sign(not seen.newer_format, (seen.newer_format and seen.hindrance) or "not newer than ours")
    yield "zone_data", _zone_data(seen.zone_data, seen.stored_zone_data)
    if seen.leads:
        yield "timetable", _timetable(seen)
        if seen.broker is not None:
            yield "broker", _broker(seen.broker, seen.broker_down_for, seen.broker_trouble)
    else:
        yield "lease", _lease(seen)


def _loop(missed: int) -> Sign:
    return Sign(missed <= MOST_MISSED, "it turns" if missed == 0 else f"no beat for {missed} samples of a second")


def _redis(answered_ago: float | None, trouble: str | None) -> Sign:
    more = f": {trouble}" if trouble else ""
    if answered_ago is None:
        return Sign(ok=False, detail=f"it has not answered yet{more}")
    ok = answered_ago <= ANSWER_S
    return Sign(ok, f"it answered {answered_ago:.1f} s ago{'' if ok else more}")


def _zone_data(own: str, stored: str) -> Sign:
    if own and stored > own:
        return Sign(ok=False, detail=f"{own} here, the timetable was planned with {stored}: upgrade tzdata here")
    return Sign(ok=True, detail=own or "of no known version")


def _timetable(seen: Seen) -> Sign:
    if seen.checked_ago is None or seen.checked_ago > STALE_S:
        since = "yet" if seen.checked_ago is None else f"for {seen.checked_ago:.0f} s"
        return Sign(ok=False, detail=f"it was not looked at {since}{f': {seen.trouble}' if seen.trouble else ''}")
    if seen.failing_for > STALE_S:
        return Sign(ok=False, detail=f"nothing could be fired for {seen.failing_for:.0f} s: {seen.trouble}")
    return Sign(seen.lag <= LAG_S, f"it is {seen.lag:.1f} s behind")


def _broker(label: str, down_for: float, trouble: str) -> Sign:
    """Short outages are what the timetable is for: what is due waits there."""
    if not down_for:
        return Sign(ok=True, detail=f"{label} takes messages")
    return Sign(down_for <= LAG_S, f"no messages for {down_for:.0f} s: {trouble or label}")


def _lease(seen: Seen) -> Sign:
    if seen.hindrance is not None:
        return Sign(ok=False, detail=seen.hindrance)
    return Sign(seen.has_bid, "a candidate" if seen.has_bid else "nothing is known of it yet")
