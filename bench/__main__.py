"""``python -m bench [NAME...]``: runs all benches, or those named. Tables on stdout, JSON in bench/results."""

import importlib
import json
import sys
from pathlib import Path
from typing import Final

BENCHES: Final = (
    *(
        "kernel",
        "fire",
        "storm",
        "footprint",
        "edit",
        "client",
        "backlog",
        "takeover",
        "commands",
        "apply",
        "rabbit",
        "outbox",
        "peers",
    ),
)
RESULTS: Final = Path(__file__).parent / "results"


def main(names: list[str]) -> int:
    """Runs the named benches; 2 for a name that is none."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    for name in names or BENCHES:
        print(f"\n## {name}\n", flush=True)
        bench = importlib.import_module(f"bench.{name}")
        result = bench.measure()
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(getattr(bench, "table", flat_table)(result))
    return 0


def flat_table(result: dict[str, float]) -> str:
    """Figures by name, in Markdown."""
    return "\n".join(["| figure | |", "|---|---|", *(f"| {name} | {value:,.2f} |" for name, value in result.items())])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
