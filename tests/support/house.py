"""The house drawn from the code: which room imports which, as the picture in docs/architecture.md.

``python -m tests.support.house`` prints it; a test keeps the page equal to it.
"""

import ast
from pathlib import Path
from typing import Final

from tests.support.architecture import imports_of, module_name, within

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("cli", "daemon", "client", "store", "config", "formats", "core")


def house() -> str:
    """The rooms and who imports whom, in Mermaid's language; `errors`, which all see, is left out."""
    arrows: set[tuple[str, str]] = set()
    for path in sorted((ROOT / "beatd").rglob("*.py")):
        home = _room(module_name(path, ROOT))
        for found in imports_of(ast.parse(path.read_text(encoding="utf-8")), path, ROOT):
            target = _room(found.target)
            if home and target and home != target:
                arrows.add((home, target))
    return "\n".join(["graph TD", *(f"    {a} --> {b}" for a, b in sorted(arrows, key=_from_the_top))])


def _room(module: str) -> str | None:
    return next((room for room in ROOMS if within(module, f"beatd.{room}")), None)


def _from_the_top(arrow: tuple[str, str]) -> tuple[int, int]:
    return ROOMS.index(arrow[0]), ROOMS.index(arrow[1])


if __name__ == "__main__":
    print(house())
