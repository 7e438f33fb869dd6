"""A source into a tree. What can't be read is told, mended or left out, so that no problem hides the next."""

import re
from contextlib import suppress
from typing import Final

import yaml

from beatd.config.keys import FREE_PREFIX, TOP, by_name
from beatd.config.nodes import Mapping, Node, Scalar, Unusable
from beatd.config.problems import Problem, Problems
from beatd.config.source import Source
from beatd.config.without_entries import without_entries
from beatd.config.yaml_traps import trap_in
from beatd.config.yaml_tree import MOST_NODES, Refused, build_tree

NOTHING_MEANT: Final = "if no entries are meant, write schedules: {}"
MOST_MENDED: Final = 20
MOST_READ_AGAIN: Final = 8_000_000  # characters: reading a large file twenty times would take a minute
_TOP: Final = by_name(TOP)


def parse(source: Source, problems: Problems, most_nodes: int = MOST_NODES) -> Node | None:
    """The tree of a file, or None where nothing of it can be used; ``problems`` then says why."""
    text, lines, read = source.text, list(source.lines), 0
    told: set[int] = set()
    for _ in range(MOST_MENDED):
        try:
            root, found = build_tree(source, text, most_nodes=most_nodes)
        except Refused as refused:
            problems.add(refused.problem)
            return None
        except yaml.YAMLError as error:
            problem, mended = _mend(source, lines, error, told)
            problems.add(problem)
            read += len(text)
            if not mended or read > MOST_READ_AGAIN:
                return None
            text = "\n".join(lines)
            continue
        for problem in found:
            problems.add(problem)
        if root is None and lines == source.lines:
            problems.add(_empty(source))
        if isinstance(root, Mapping):
            _excuse(root, source, lines)
        return root
    return None


def parse_settings(source: Source, problems: Problems) -> Node | None:
    """As ``parse``, with an empty `schedules` where the entries can be left out, and nothing told of them.

    Where anything is wrong with the rest, all is parsed: it is told in the same words as ever.
    """
    text = without_entries(source.text)
    if text is not None:
        with suppress(Refused, yaml.YAMLError):
            root, found = build_tree(source, text)
            if isinstance(root, Mapping) and not found and all(map(_is_known, root.items)):
                return root
    return parse(source, problems)


def _is_known(name: str) -> bool:
    return name in _TOP or name.startswith(FREE_PREFIX)


def _excuse(root: Mapping, source: Source, lines: list[str]) -> None:
    """A key whose whole value was taken out has none, and that follows from a problem that was told."""
    for name, (key, value) in list(root.items.items()):
        if isinstance(value, Scalar) and value.missing:
            behind = range(value.line + 1, len(lines))
            first = next((n for n in behind if re.match(r"\s*[^\s#]", source.lines[n])), None)
            if first is not None and not lines[first].strip():
                root.items[name] = (key, Unusable(source, value.line, value.column))


def _empty(source: Source) -> Problem:
    return source.problem(0, 0, "E006", "the file is empty", NOTHING_MEANT)


def _mend(source: Source, lines: list[str], error: yaml.YAMLError, told: set[int]) -> tuple[Problem, bool]:
    """The problem behind a parser's error; mends the line, or takes out the block around it. False: neither helped."""
    at, column = _mark(error)
    for number in _suspects(error, at):
        trap = trap_in(lines, number) if 0 <= number < len(lines) and number not in told else None
        if trap:
            told.add(number)
            lines[number] = trap.mended
            return source.problem(number, trap.column, trap.code, trap.message, trap.hint), True
    problem = _untrapped(source, error, at, column)
    return problem, _take_out(lines, (problem.line or 1) - 1)


def _mark(error: yaml.YAMLError) -> tuple[int, int]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return (mark.line, mark.column) if mark else (0, 0)


def _suspects(error: yaml.YAMLError, at: int) -> list[int]:
    """The lines that may be wrong: where the parser gave up, where what it was reading began, and the line before."""
    context, begun = str(getattr(error, "context", "")), getattr(error, "context_mark", None)
    if "quoted scalar" in context:
        return []  # everything behind the open quote looks wrong, and nothing is
    return list(dict.fromkeys([at, begun.line if begun else at, *([] if "flow" in context else [at - 1])]))


def _untrapped(source: Source, error: yaml.YAMLError, line: int, column: int) -> Problem:
    """A problem in our words where the parser's are known, else in the parser's."""
    reason = str(getattr(error, "problem", None) or error).splitlines()[0]
    context = str(getattr(error, "context", None) or "")
    begun = getattr(error, "context_mark", None)
    if "quoted scalar" in context and begun is not None:
        return source.problem(begun.line, begun.column, "E033", "the quote that begins here is not closed")
    if "flow" in context and begun is not None:
        message = f"the bracket that begins here is not closed, or a comma is missing before line {line + 1}"
        return source.problem(*_opened(source.lines, begun.line, begun.column), "E020", message)
    if "block" in context or "mapping values" in reason or "could not find expected" in reason:
        hint = "keys of one mapping begin in one column; a longer text needs quotes"
        return source.problem(
            min(line, len(source.lines) - 1), column, "E032", "indented otherwise than its neighbours", hint
        )
    return source.problem(min(line, len(source.lines) - 1), column, "E020", f"not YAML: {reason}", "quote the text")


def _opened(lines: list[str], at: int, column: int) -> tuple[int, int]:
    """Where a bracket was opened, for a parser that tells only where it missed what should follow."""
    if at < len(lines) and lines[at][column : column + 1] in {"[", "{"}:
        return at, column
    for number in range(min(at, len(lines) - 1), -1, -1):
        line = lines[number]
        if sum(map(line.count, "[{")) > sum(map(line.count, "]}")):
            return number, max(line.rfind("["), line.rfind("{"))
    return min(at, len(lines) - 1), column


def _take_out(lines: list[str], at: int) -> bool:
    """Blanks the entry around a line, so that the others can be read. False where that would be the whole file."""
    inner = [len(line) - len(line.lstrip()) for line in lines if re.match(r" +[^ #]", line)]
    level = min(inner, default=0)
    if not level or not 0 <= at < len(lines):
        return False
    first = next((n for n in range(at, -1, -1) if _indent(lines[n]) <= level and lines[n].strip()), 0)
    if _indent(lines[first]) < level:
        return False
    after = (n for n in range(at + 1, len(lines)) if lines[n].strip() and _indent(lines[n]) <= level)
    last = next(after, len(lines))
    lines[first:last] = [""] * (last - first)
    return True


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
