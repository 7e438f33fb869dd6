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


@given(st.floats(0, 1e6), st.floats(0, 100))
def test_a_late_answer_does_not_extend_trust(sent: float, took: float) -> None:
    """Trust counts from the question: it ends before the server may give the lease to another."""
    timing = LeaseTiming(6)
    granted = sent + took  # by the server, at the latest when the answer came
    assert trusted_until(sent, timing) == sent + 5 < granted + timing.ttl


@pytest.mark.parametrize(
    "left_ms, seconds", [(5_000, 2.0), (1_998, 2.0), (500, 0.502), (3, 0.005), (0, 0.005), (-10_000, 0.005)]
)
def test_a_standby_asks_again_when_the_lease_ends_and_never_in_a_busy_loop(left_ms: int, seconds: float) -> None:
    held = Held(epoch=1, host="a", until=10_000 + left_ms, now=10_000, rn="5")
    assert wait_before_next_bid(held, LeaseTiming(6)) == pytest.approx(seconds)
