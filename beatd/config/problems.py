"""A problem of the configuration: where it is, what was found, what to do. All of them are told at once."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from beatd.config.codes import CODES
from beatd.core.masking import mask_text, mask_url
from beatd.errors import ConfigInvalid

Severity = Literal["error", "warning"]
LONGEST_EXCERPT: Final = 160
LONGEST_MESSAGE: Final = 1_000
_KEY: Final = r"""["']?(?:redis|broker|url)["']?\s*:\s*"""
_SECRET_VALUES: Final = (
    # a line of its own
    re.compile(rf"""(?P<key>\s*{_KEY}["']?)(?P<value>.*?)(?P<end>["']?\s*)$"""),
    # among others
    re.compile(rf"""(?P<key>[{{,]\s*{_KEY}["']?)(?P<value>(?<=")[^"]*|(?<=')[^']*|[^"'][^,}}]*)(?P<end>)"""),
)
MOST_KEPT: Final = 10_000  # of each severity: what nobody reads to its end
MOST_PRINTED: Final = 200
MOST_IN_AN_ERROR: Final = 20  # one line of JSON
_UNUSABLE: Final = "the configuration can't be used"
MOST_OF_A_CODE: Final = 5  # told one by one at the daemon's start


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. Lines and columns count from 1 and are None where there is no file (a flag, a variable).

    ``file`` is what to look at: a path as it was given, ``<stdin>``, or the name of a flag or variable.
    ``excerpt`` is the line of the file with a caret beneath, for printing.
    """

    file: str
    line: int | None
    column: int | None
    code: str
    message: str
    hint: str | None = None
    excerpt: str = ""

    @property
    def severity(self) -> Severity:
        """``error`` for E codes, ``warning`` for W codes."""
        return "error" if self.code.startswith("E") else "warning"

    @property
    def place(self) -> str:
        """``file:line:column``, as editors and terminals follow it."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def fields(self) -> dict[str, Any]:
        """All that a Problem is made of."""
        return asdict(self)

    def to_json(self) -> dict[str, Any]:
        """The fields that ``check -o json`` promises."""
        fields = {**self.fields(), "severity": self.severity}
        return {key: fields[key] for key in ("file", "line", "column", "code", "severity", "message", "hint")}

    def text(self) -> str:
        """As a terminal shows it: place, code, message, the line with a caret, the hint."""
        lines = [f"{self.place}: {self.code} {self.message}"]
        if self.excerpt:
            lines.append(self.excerpt)
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


def problem_at(file: str, line: int, column: int, code: str, message: str, hint: str | None, text: str) -> Problem:
    """A problem in a line of a file. ``text`` is the line; long ones are cut around the column."""
    masked = _masked_line(text)
    caret = column - 1 if masked == text else _caret(text, masked, column - 1)
    cut = max(0, caret + 1 - LONGEST_EXCERPT // 2) if len(masked) > LONGEST_EXCERPT else 0
    part = masked[cut : cut + LONGEST_EXCERPT]
    shown = "".join(char if char.isprintable() else " " for char in part).rstrip()
    excerpt = f"    {shown}\n    {' ' * (caret - cut)}^" if shown else ""
    return Problem(file, line, column, code, _cut(message), None if hint is None else _cut(hint), excerpt)


@lru_cache(maxsize=2)  # a file of one line has a remark on each of its entries
def _masked_line(text: str) -> str:
    """A line of a file without secrets: the output of check ends up in the logs of other machines."""
    alone, among = _SECRET_VALUES
    if found := alone.match(text):
        return _masked_value(found)
    return mask_text(among.sub(_masked_value, text))


def _masked_value(found: "re.Match[str]") -> str:
    value = found["value"]
    if value not in ("redis", ""):
        value = mask_text(value) if "${" in value else mask_url(value)
    return f"{found['key']}{value}{found['end']}"


def _caret(text: str, masked: str, at: int) -> int:
    """Where a column of a line lies once that is masked; at the first masked character, if it is one of those."""
    start, same_behind = _alike(text, masked)
    behind = len(text) - at
    if at <= start:
        return at
    return len(masked) - behind if behind <= same_behind else start


@lru_cache(maxsize=2)  # as above
def _alike(text: str, masked: str) -> tuple[int, int]:
    """How many characters two texts have in common at their begin, and at their end."""
    pairs = (zip(text, masked, strict=False), zip(reversed(text), reversed(masked), strict=False))
    shorter = min(len(text), len(masked))
    before, behind = (next((n for n, (a, b) in enumerate(each) if a != b), shorter) for each in pairs)
    return before, behind


def _cut(text: str) -> str:
    text = mask_text(text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."


class Problems:
    """Problems as they are found: each place has one of each code, told in the order of files and lines."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int | None, int | None, str, str], Problem] = {}
        self.heard = 0  # how many were added, those among them that were told already
        self._kept = {"error": 0, "warning": 0}

    def add(self, problem: Problem) -> None:
        """Takes a problem, unless the same was told already (of a default that many entries share)."""
        self.heard += 1
        identity = (problem.file, problem.line, problem.column, problem.code, problem.message)
        if identity not in self._found and self._kept[problem.severity] < MOST_KEPT:
            self._found[identity] = problem
            self._kept[problem.severity] += 1

    @property
    def full(self) -> bool:
        """Whether no further error is taken: then there is no need to look for any."""
        return self._kept["error"] >= MOST_KEPT

    def __iter__(self) -> Iterator[Problem]:
        """In the order of files, and by line within each."""
        files: dict[str, int] = {}
        for problem in self._found.values():
            files.setdefault(problem.file, len(files))
        return iter(sorted(self._found.values(), key=lambda p: (files[p.file], p.line or 0, p.column or 0)))

    def __len__(self) -> int:
        return len(self._found)


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Those that make a configuration unusable."""
    return [problem for problem in problems if problem.severity == "error"]


def report(problems: Iterable[Problem]) -> str:
    """Problems as a terminal shows them, with their number at the end."""
    found = list(problems)
    shown = [problem.text() for problem in found[:MOST_PRINTED]]
    if len(found) > MOST_PRINTED:
        shown.append(f"... and {len(found) - MOST_PRINTED} more: beatd check -o json lists them all")
    return "\n".join([*shown, counted(found)])


def summed_up(problems: Iterable[Problem]) -> str:
    """As ``report``, for a log: where there are more than a few of one code, they are one line."""
    found = list(problems)
    number = Counter(problem.code for problem in found)
    first = {problem.code: problem for problem in reversed(found)}
    lines = [
        problem.text() if number[problem.code] <= MOST_OF_A_CODE else _and_more(problem, number[problem.code])
        for problem in found
        if number[problem.code] <= MOST_OF_A_CODE or problem is first[problem.code]
    ]
    return "\n".join([*lines, counted(found)])


def _and_more(problem: Problem, number: int) -> str:
    return f"{problem.place}: {problem.code} {CODES[problem.code]}, here and {number - 1:,} times more: beatd check"


def counted(problems: Iterable[Problem]) -> str:
    """``2 errors, 1 warning``."""
    found = list(problems)
    errors = len(errors_of(found))
    numbers = {"error": errors, "warning": len(found) - errors}
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in numbers.items() if n) or "no problems"


class ConfigProblems(ConfigInvalid):
    """A configuration that can't be used, with every reason. ``message`` is the whole report."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{_UNUSABLE}\n{report(self.problems)}")

    def fields(self) -> dict[str, object]:
        """A message of one line, and the first problems apart, with the fields of `check -o json`."""
        message = f"{_UNUSABLE}: {counted(self.problems)}"
        problems = [problem.to_json() for problem in self.problems[:MOST_IN_AN_ERROR]]
        return {**super().fields(), "message": message, "problems": problems}
