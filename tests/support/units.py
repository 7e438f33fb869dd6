"""Units of systemd, as text that is read; and the lines in them that are beatd's own."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from beatd.cli.check import check
from beatd.cli.run import run

ROOT: Final = Path(__file__).parents[2]
UNITS: Final = ROOT / "systemd"
PROGRAM: Final = "/opt/beatd/bin/beatd"
COMMANDS: Final = {"run": run, "check": check}


def read_unit(path: Path) -> dict[str, list[str]]:
    """Every setting of a unit with all that it is given, in order. Sections are not told apart."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def seconds(span: str) -> float:
    """A time span in the one unit that it has."""
    units = {"min": 60, "ms": 0.001, "s": 1, "h": 3600}
    number = span.rstrip("minsh")
    return float(number) * units[span[len(number) :]]


def filled_in(text: str, specifiers: Mapping[str, str]) -> str:
    """A line with what systemd puts in for %d and the like."""
    for mark, value in specifiers.items():
        text = text.replace(f"%{mark}", value)
    return text


def parse_command(words: list[str]) -> None:
    """Has beatd's command line read without doing anything. Raises click's UsageError."""
    COMMANDS[words[0]].make_context(words[0], words[1:])


def own_commands(lines: list[str]) -> list[list[str]]:
    """The words of those command lines that run beatd."""
    split = [shlex.split(line) for line in lines]
    return [words[1:] for words in split if words[0] == PROGRAM]
