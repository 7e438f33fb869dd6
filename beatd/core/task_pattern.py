"""Patterns of task names: an exact name, a glob with ``*``, ``?`` or ``[...]``, or ``re:`` and a regular expression.

A regular expression is matched at the beginning of the name, as Celery's ``task_routes`` does. One that could take for
ever is refused: Python's matching can't be interrupted.
"""

import fnmatch
import re
from collections.abc import Callable
from typing import Final

from beatd.core.shown import shown
from beatd.errors import EntryInvalid

REGEX: Final = "re:"
LONGEST: Final = 255  # of a pattern, and of a name that a pattern is tried on
MOST_REPEATS: Final = 4
MANY: Final = 50  # a repeat up to so often, or more, counts as one without an end
_ATOM: Final = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\()|(?P<close>\))|(?P<or>\|)|(?P<char>.)", re.DOTALL
)
_REPEAT: Final = re.compile(r"(?:(?P<open>[*+]|\{[0-9]*,\})|\{(?:[0-9]*,)?(?P<most>[0-9]+)\}|\?)[?+]?")

Matches = Callable[[str], bool]


def is_exact(pattern: str) -> bool:
    """Whether a pattern names one task and no more."""
    return not pattern.startswith(REGEX) and not any(char in pattern for char in "*?[")


def task_pattern(pattern: str) -> Matches:
    """Whether a task's name matches. Raises EntryInvalid for what is no pattern, or could take for ever."""
    if len(pattern) > LONGEST:
        raise EntryInvalid(f"a pattern of {len(pattern)} characters; at most {LONGEST} are accepted")
    if is_exact(pattern):
        return pattern.__eq__
    compiled = _regex(pattern.removeprefix(REGEX)) if pattern.startswith(REGEX) else _glob(pattern)
    return lambda name: len(name) <= LONGEST and compiled.match(name) is not None


def _glob(pattern: str) -> "re.Pattern[str]":
    if pattern.count("*") > 2 * MOST_REPEATS:
        raise EntryInvalid(f"{shown(pattern)} has more than {2 * MOST_REPEATS} times *")
    return re.compile(fnmatch.translate(pattern))


def _regex(text: str) -> "re.Pattern[str]":
    try:
        compiled = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise EntryInvalid(f"{shown(text)} is no regular expression: {error}") from error
    _check_cost(text)
    return compiled


def _check_cost(text: str) -> None:
    """Refuses a repeat or an alternative within a repeat without an end, and more such repeats than a few."""
    groups: list[bool] = [False]  # for each open group: whether it holds a repeat without an end, or an alternative
    repeats, at = 0, 0
    while atom := _ATOM.match(text, at):
        at, costly = atom.end(), False
        if atom["open"]:
            groups.append(False)
            continue
        if atom["or"]:
            groups[-1] = True
            continue
        if atom["close"]:
            costly = groups.pop()
            groups[-1] |= costly
        repeat = _REPEAT.match(text, at)
        if repeat is None:
            continue
        at = repeat.end()
        if not repeat["open"] and int(repeat["most"] or 1) < MANY:
            continue
        repeats, groups[-1] = repeats + 1, True
        if costly:
            raise EntryInvalid(
                f"{shown(text)} repeats a group that holds a repeat or an alternative, which may take for ever",
                hint="write such as app\\.(video|image)\\..* without a * or + behind the brackets",
            )
    if repeats > MOST_REPEATS:
        raise EntryInvalid(f"{shown(text)} has {repeats} repeats without an end; at most {MOST_REPEATS} are accepted")
