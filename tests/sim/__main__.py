"""``python -m tests.sim SEED`` shows one seed; ``python -m tests.sim --seeds 20000 [--first N]`` runs many."""

import argparse
import multiprocessing
import os
import sys
import time
import traceback

from tests.sim.cluster import Outcome, World, run_seed, scenario

SHOWN = 60


def show(seed: int, lines: int) -> int:
    """Runs one seed and prints its last events."""
    settings = scenario(seed)
    world = World(settings)
    outcome = world.run()
    print(settings)
    for line in [] if outcome.failure is None else outcome.trace[-lines:]:
        print(line)
    if world.error is not None:
        traceback.print_exception(world.error)
    print(
        f"seed {seed}: {outcome.failure or 'ok'}; {outcome.fires} fires, {outcome.served} served, codes {outcome.codes}"
    )
    return 1 if outcome.failure else 0


def run_many(first: int, count: int, processes: int) -> int:
    """Runs seeds in parallel; tells the failing ones."""
    started, failed, fires = time.monotonic(), 0, 0
    context = multiprocessing.get_context("fork")
    with context.Pool(processes) as pool:
        for outcome in pool.imap_unordered(_run, range(first, first + count), chunksize=10):
            fires += outcome.fires
            if outcome.failure is not None:
                failed += 1
                print(f"seed {outcome.seed}: {outcome.failure}", flush=True)
    seconds = time.monotonic() - started
    print(f"{count} seeds, {fires} fires, {failed} failed, {seconds:.1f} s; python -m tests.sim SEED shows one")
    return 1 if failed else 0


def _run(seed: int) -> Outcome:
    outcome = run_seed(seed)
    outcome.trace.clear()
    return outcome


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--lines", type=int, default=SHOWN)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seed is not None:
        return show(given.seed, given.lines)
    return run_many(given.first, given.seeds, given.processes)


if __name__ == "__main__":
    sys.exit(main())
