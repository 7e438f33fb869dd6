"""A term of leadership, and what a candidate says and hears. Instants of Redis are UTC ms; trust is monotonic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidacy:
    """One request for the lease.

    owner is fresh for every candidacy; seen_rn and stood_still say that the renewal count has not moved for longer
    than the TTL on this candidate's own monotonic clock. zone_data: the version used here, '' where nobody knows.
    """

    owner: str
    ttl_ms: int
    host: str
    incarnation: str
    seen_rn: str = "0"
    stood_still: bool = False
    zone_data: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """The right to fire: exactly this (epoch, owner). ``seq`` counts accepted batches, ``incarnation`` the dataset."""

    epoch: int
    owner: str
    until: int
    now: int
    seq: int
    incarnation: str


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else holds the lease, until then by the server's clock; rn is their renewal count.

    newer_zone_data: nobody holds it, but an instance with that version of the zone data is alive, and it goes first.
    """

    epoch: int
    host: str
    until: int
    now: int
    rn: str
    newer_zone_data: str = ""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Durations in seconds that follow from the TTL (CONTRACT, "Environment and flags")."""

    ttl: float

    @property
    def renewal(self) -> float:
        """How often the leader renews, and the longest a standby waits between two looks."""
        return self.ttl / 3

    @property
    def margin(self) -> float:
        """A leader trusts its own term this much less than the TTL."""
        return min(1.0, self.ttl / 6)

    @property
    def patience(self) -> float:
        """A leader that renews but can't fire for so long gives the lease to another."""
        return max(5.0, 2 * self.ttl)

    @property
    def timeout(self) -> float:
        """No answer of Redis may take longer."""
        return min(1.0, self.ttl / 4)


def trusted_until(sent: float, timing: LeaseTiming) -> float:
    """Until when (monotonic seconds) a term may be trusted that was asked for, or renewed, at ``sent``.

    Counted from the moment the request was made: an answer that comes late does not prolong trust.
    """
    return sent + timing.ttl - timing.margin


def wait_before_next_bid(held: Held, timing: LeaseTiming) -> float:
    """Seconds a standby sleeps until it asks again: to the lease's end and a moment more, at most one renewal."""
    left = (held.until - held.now + 2) / 1000
    return min(max(left, 0.005), timing.renewal)
