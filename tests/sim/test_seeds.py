"""The first seeds, with every test run; `make sim` lives through many more."""

import multiprocessing
import os

from tests.sim.cluster import Outcome, run_seed

SEEDS = 120


def test_nothing_is_lost_doubled_early_or_stuck_in_the_first_seeds() -> None:
    with multiprocessing.get_context("spawn").Pool(min(2, os.cpu_count() or 1)) as pool:
        outcomes = pool.map(run_seed, range(SEEDS), chunksize=10)
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    assert not failed, "\n".join(map(_told, failed))
    assert sum(outcome.fires for outcome in outcomes) > 50 * SEEDS
    assert sum(outcome.served for outcome in outcomes) > 10 * SEEDS
    met = {edit for outcome in outcomes for edit in outcome.met}
    assert met >= {"edited", "re-created", "paused", "held", "resumed", "reset"}, "between a read and its plan"


def test_a_seed_runs_exactly_the_same_again() -> None:
    first, second = run_seed(17), run_seed(17)
    assert (first.fires, first.codes, first.digest) == (second.fires, second.codes, second.digest)


def _told(outcome: Outcome) -> str:
    last = "\n".join(outcome.trace[-25:])
    return f"{last}\nseed {outcome.seed}: {outcome.failure}\n`python -m tests.sim {outcome.seed}` shows more"
