"""``python -m tests.endurance [outage|rolling|broker|load ...]``: runs them and prints the report in Markdown."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.endurance.broker import be_without_broker, storm_over_a_restart, without_a_queue
from tests.endurance.load import be_loaded
from tests.endurance.outage import be_away
from tests.endurance.picture import picture
from tests.endurance.rolling import roll

PICTURE: Final = Path(__file__).parents[2] / "docs" / "endurance.svg"
LONGEST_GAP_MS: Final = 300
BACK_MS: Final = 1_000
MOST_GROWTH_MB: Final = 6.0  # of three instances together
MOST_GROWN_DESCRIPTORS: Final = 6  # as many as the connections of a leader more than a standby's


def _outage(given: argparse.Namespace, folder: Path) -> bool:
    found = be_away(given.outage, folder)
    print("| Redis away, s | first fire, ms | missed slots fired: all / latest / none | lines | grown | problems |")
    print("|---|---|---|---|---|---|")
    print(found.line())
    _tell(found.problems)
    return (
        not found.problems
        and found.back_ms < BACK_MS
        and found.grown[0] < MOST_GROWTH_MB
        and found.grown[1] < MOST_GROWN_DESCRIPTORS
    )


def _rolling(given: argparse.Namespace, folder: Path) -> bool:
    found = roll(given.rounds, folder)
    print("| restarts | fires | duplicates | lost | strange | gap, ms: median | longest |")
    print("|---|---|---|---|---|---|---|")
    print(found.line())
    _tell(found.verdict.problems)
    return not found.verdict.problems and max(found.gaps) < LONGEST_GAP_MS


def _load(given: argparse.Namespace, folder: Path) -> bool:
    found = be_loaded(given.load, given.entries, folder)
    print("| s | fires | a second | edits | leaders | problems | grown, all together |")
    print("|---|---|---|---|---|---|---|")
    print(found.line())
    _tell(found.problems)
    if given.picture:
        text = f"{found.fires / found.seconds:,.0f} fires a second, {found.edits:,} edits, {found.leaders} leaders"
        PICTURE.write_text(picture(found.samples, f"Three instances under load: {text}"), encoding="utf-8")
    return not found.problems and found.grown[0] < MOST_GROWTH_MB and found.grown[1] < MOST_GROWN_DESCRIPTORS


def _broker(given: argparse.Namespace, folder: Path) -> bool:
    away = be_without_broker(given.away, folder / "away")
    print(
        "| RabbitMQ away, s | missed slots fired: all / latest / none / deadline / expires | messages | repeats |"
        " latest message, s: came / log | outbox at most | other leaders | problems |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print(away.row, flush=True)
    storm = storm_over_a_restart(given.storm, folder / "storm")
    print(
        "\n| due at once | of these left at the restart | away, s | came | repeats | last one, s |"
        " others late at most, s | outbox at most | other leaders | problems |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(storm.row, flush=True)
    missing = without_a_queue(given.missing, folder / "missing")
    print(
        "\n| queue missing, s | held of it at most | blocked | others late at most, ms |"
        " all entries went on after, s | repeats | problems |"
    )
    print("|---|---|---|---|---|---|---|")
    print(missing.row)
    problems = [*away.problems, *storm.problems, *missing.problems]
    _tell(problems)
    return not problems


PARTS: Final[dict[str, Callable[[argparse.Namespace, Path], bool]]] = {
    "outage": _outage,
    "rolling": _rolling,
    "broker": _broker,
    "load": _load,
}


def _tell(problems: list[str]) -> None:
    for problem in problems[:20]:
        print(f"problem: {problem}")


def main() -> int:
    """Runs the parts that were asked for, all by default; 1 when one of them shows what must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--outage", type=float, default=300, help="seconds without Redis")
    parser.add_argument("--rounds", type=int, default=10, help="restarts of each of the three instances")
    parser.add_argument("--away", type=float, default=60, help="seconds without RabbitMQ")
    parser.add_argument(
        "--storm", type=int, default=10_000, help="entries that are due at once while RabbitMQ restarts"
    )
    parser.add_argument("--missing", type=float, default=20, help="seconds in which a queue is missing")
    parser.add_argument("--load", type=float, default=1200, help="seconds of load")
    parser.add_argument("--entries", type=int, default=2000, help="each fires every second")
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name} in docs/")
    given = parser.parse_args()
    fine = []
    for part in given.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="beatd-endurance-") as folder:
            print(f"\n## {part}\n", flush=True)
            fine.append(PARTS[part](given, Path(folder)))
            sys.stdout.flush()
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
