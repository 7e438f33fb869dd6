"""How fast the schedule kernel is, beside croniter: ``python bench/kernel.py [--json] [--check]``.

2,000 distinct (expression, zone) pairs, a mix of what people write. Each figure is the best of a few rounds on one
core. ``--check`` ends with 1 when a target is missed.
"""

import argparse
import gc
import itertools
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any

from croniter import croniter

from beatd.core.schedules import Schedule, parse_schedule

PAIRS = 2_000
ENTRIES = 1_000_000
START_MS = 1_800_000_000_000
ZONES = [
    *("UTC", "UTC", "America/New_York", "Europe/London", "Europe/Paris", "Asia/Tokyo", "Asia/Kolkata"),
    *("America/Sao_Paulo", "Australia/Sydney", "Australia/Lord_Howe", "Africa/Casablanca", "America/Los_Angeles"),
]
TARGETS: dict[str, tuple[str, float]] = {
    "next_per_s": (">=", 100_000),
    "times_croniter": (">=", 5),
    "first_slots_s": ("<", 1),
    "bytes_per_schedule": ("<", 2_000),
}


def expression(rng: Random) -> str:
    """One of the shapes found in crontabs, with random numbers."""
    minute, hour, day, month = rng.randint(0, 59), rng.randint(0, 23), rng.randint(1, 28), rng.randint(1, 12)
    step = rng.choice([2, 3, 5, 10, 15, 20, 30])
    shapes = [
        f"*/{step} * * * *",
        f"{minute} * * * *",
        f"{minute} {hour} * * *",
        f"{minute} {hour} * * mon-fri",
        f"{minute} {hour} * * {rng.randint(0, 6)}",
        f"{minute} {hour} {day} * *",
        f"{minute} {hour} {day} {month} *",
        f"{minute},{(minute + 7) % 60} {hour}-23 * * 1-5",
        f"{minute} */{rng.choice([2, 3, 4, 6])} * * *",
        f"{minute} {hour} 1,15 * 5",
        f"*/{step} {hour} * {month} *",
        f"{minute} {hour} L * *",
        f"{minute} {hour} * * {rng.randint(0, 6)}#2",
        f"{minute} {hour} 15W * *",
        f"*/{step} {minute} {hour} * * *",
    ]
    return rng.choice(shapes)


def pairs() -> list[tuple[str, str]]:
    """The distinct pairs, the same in every run."""
    rng, found = Random(7), dict[tuple[str, str], None]()
    while len(found) < PAIRS:
        found[expression(rng), rng.choice(ZONES)] = None
    return list(found)


def best(rounds: int, work: Callable[[], Any]) -> float:
    """Seconds of the quickest round."""
    times = []
    for _ in range(rounds):
        gc.collect()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def walk(schedules: list[Schedule], steps: int) -> None:
    """Each slot is asked for from the slot before it, so no answer can be remembered."""
    moments = [START_MS] * len(schedules)
    for _ in range(steps):
        for i, schedule in enumerate(schedules):
            slot = schedule.next_ms(moments[i])
            if slot is not None:
                moments[i] = slot


def walk_croniter(mix: list[tuple[str, str]], steps: int) -> float:
    """Seconds croniter takes for the same expressions without zones, construction left out."""
    clocks = [croniter(text, START_MS / 1_000, second_at_beginning=len(text.split()) == 6) for text, _ in mix]
    return best(1, lambda: [clock.get_next(float) for _ in range(steps) for clock in clocks])


def memory_of(mix: list[tuple[str, str]]) -> float:
    """Bytes a compiled schedule takes, with its share of all that schedules share."""
    for _, zone in mix:
        parse_schedule({"every": "1s", "timezone": zone})
    gc.collect()
    tracemalloc.start()
    kept = [parse_schedule({"cron": text, "timezone": zone}) for text, zone in mix]
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / len(kept)


def first_slots(specs: list[dict[str, str]]) -> list[int | None]:
    """What a planner does with entries it reads: parse, then ask."""
    return [parse_schedule(spec).next_ms(START_MS) for spec in specs]


def measure() -> dict[str, float]:
    """All figures by name."""
    mix = pairs()
    result = {"bytes_per_schedule": memory_of(mix)}
    fresh = [(f"{text} ", zone) for text, zone in mix]  # another text, so that nothing is interned
    result["compile_us"] = best(1, lambda: [parse_schedule({"cron": t, "timezone": z}) for t, z in fresh]) / PAIRS * 1e6
    schedules = [parse_schedule({"cron": text, "timezone": zone}) for text, zone in mix]
    result["next_per_s"] = PAIRS * 60 / best(3, lambda: walk(schedules, 60))
    result["croniter_next_per_s"] = PAIRS * 10 / walk_croniter(mix, 10)
    result["times_croniter"] = result["next_per_s"] / result["croniter_next_per_s"]
    last = [schedule.last_ms for schedule in schedules]
    result["last_per_s"] = PAIRS * 20 / best(3, lambda: [ask(START_MS + n) for n in range(20) for ask in last])
    count = [schedule.count_ms for schedule in schedules]
    month = 30 * 86_400_000
    result["month_counts_per_s"] = PAIRS / best(3, lambda: [ask(START_MS - month, START_MS, 10_000) for ask in count])
    entries = list(itertools.islice(itertools.cycle(schedules), ENTRIES))
    result["first_slots_s"] = best(1, lambda: [schedule.next_ms(START_MS) for schedule in entries])
    specs = [{"cron": text, "timezone": zone} for text, zone in itertools.islice(itertools.cycle(mix), ENTRIES)]
    result["parse_and_first_slots_s"] = best(1, lambda: first_slots(specs))
    return result


def missed(result: dict[str, float]) -> list[str]:
    """The targets that a result does not reach."""
    reached = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b}
    return [name for name, (order, target) in TARGETS.items() if not reached[order](result[name], target)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    result = measure()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            target = " ".join(map(str, TARGETS[name])) if name in TARGETS else ""
            print(f"{name:26} {value:14,.2f}  {target}")
    lost = missed(result)
    for name in lost:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if lost and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
