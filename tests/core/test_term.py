"""The lease: durations that follow from the TTL, how long a term is trusted, when a standby asks again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.term import Held, LeaseTiming, trusted_until, wait_before_next_bid


@pytest.mark.parametrize(
    "ttl, renewal, margin, timeout", [(1, 1 / 3, 1 / 6, 0.25), (3, 1, 0.5, 0.75), (6, 2, 1, 1), (60, 20, 1, 1)]
)
def test_all_durations_of_the_lease_follow_from_its_ttl(
    ttl: float, renewal: float, margin: float, timeout: float
) -> None:
    timing = LeaseTiming(ttl)
    assert (timing.renewal, timing.margin, timing.timeout) == pytest.approx((renewal, margin, timeout))


@given(st.floats(1, 86_400))
def test_a_renewal_that_times_out_can_be_tried_again_while_the_term_is_trusted(ttl: float) -> None:
    timing = LeaseTiming(ttl)
    assert timing.renewal + 2 * timing.timeout <= ttl - timing.margin + 1e-9


@pytest.mark.parametrize("ttl, trusted", [(1, 100 + 5 / 6), (6, 105), (60, 159)])
def test_trust_counts_from_the_question_and_ends_before_the_lease(ttl: float, trusted: float) -> None:
    """So an answer that comes late does not extend it: when it came is not even asked."""
    assert trusted_until(100, LeaseTiming(ttl)) == pytest.approx(trusted)


@pytest.mark.parametrize(
    "left_ms, seconds", [(5_000, 2.0), (1_998, 2.0), (500, 0.502), (3, 0.005), (0, 0.005), (-10_000, 0.005)]
)
def test_a_standby_asks_again_when_the_lease_ends_and_never_in_a_busy_loop(left_ms: int, seconds: float) -> None:
    held = Held(epoch=1, host="a", until=10_000 + left_ms, now=10_000, rn="5")
    assert wait_before_next_bid(held, LeaseTiming(6)) == pytest.approx(seconds)
