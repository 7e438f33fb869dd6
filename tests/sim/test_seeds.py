"""The first seeds, with every test run; `make sim` runs many more."""

import pytest

from tests.sim.cluster import run_seed

SEEDS = 300
AT_ONCE = 10


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_nothing_is_lost_doubled_early_or_stuck(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        outcome = run_seed(seed)
        assert outcome.failure is None, "\n".join(
            [*outcome.trace[-40:], f"{outcome.failure}: python -m tests.sim {seed} shows it all"]
        )


def test_a_seed_runs_exactly_the_same_again() -> None:
    first, second = run_seed(17), run_seed(17)
    assert (first.fires, first.codes, first.digest) == (second.fires, second.codes, second.digest)
