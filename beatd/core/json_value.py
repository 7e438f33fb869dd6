"""What JSON carries unchanged: the values that an entry may hand to its task."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from beatd.errors import EntryInvalid

MOST_VALUES: Final = 128 * 1024  # no definition within its size holds more; a YAML alias bomb does
DEEPEST_VALUE: Final = 100
LONGEST_NUMBER: Final = 10_000  # in bits: Python itself refuses to print much more
LONGEST_PLACE: Final = 200
SHALLOW: Final = 3  # levels; with so few values on each, no alias bomb is walked for long
FEW: Final = 32
LARGE: Final = 2**63
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
KIND_NAMES: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "nothing",
}

_Place = tuple["_Place | None", str | int, int]  # the place around it, the step from there, the depth


def check_json(key: str, value: object) -> None:
    """Raises EntryInvalid, with the place, at the first thing at any depth that JSON does not carry unchanged.

    Not carried: other types than JSON's (tuples too), keys that are no texts, infinities, halves of surrogate pairs,
    values that hold themselves. ``key`` names the value in the message.
    """
    if _is_plain(value, 0):
        return
    pending: list[tuple[object, _Place]] = [(value, (None, key, 0))]
    for _ in range(MOST_VALUES):
        if not pending:
            return
        found, place = pending.pop()
        problem = _problem(found)
        if problem:
            raise EntryInvalid(f"{_path(place)}: found {problem}; what JSON can hold unchanged is accepted")
        if isinstance(found, dict | list):
            if place[2] > DEEPEST_VALUE:
                raise EntryInvalid(f"{key}: more than {DEEPEST_VALUE} levels deep, or a value that holds itself")
            steps = found.items() if isinstance(found, dict) else enumerate(found)
            pending += [(inner, (place, step, place[2] + 1)) for step, inner in steps]
    raise EntryInvalid(f"{key}: more than {MOST_VALUES} values")


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is small and of the everyday kind that needs no walk with places: every definition is checked."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is list or kind is dict:
        if depth >= SHALLOW or len(value) > FEW:
            return False
        for inner in value if kind is list else value.values():
            if not _is_plain(inner, depth + 1):
                return False
        return kind is list or _are_plain_keys(value)
    return value is None or kind is bool or (kind is int and -LARGE < value < LARGE)


def _are_plain_keys(value: dict[Any, Any]) -> bool:
    return all([type(key) is str and key.isascii() for key in value])  # noqa: C419  # a list is made faster


def _problem(value: object) -> str | None:
    """What is wrong with a value, its own values aside."""
    if isinstance(value, str):
        return None if value.isascii() or not _SURROGATE.search(value) else "half of a surrogate pair in a text"
    if isinstance(value, dict):
        found = [_problem(key) if isinstance(key, str) else kind_of(key) for key in value]
        return next((f"{problem} as a key" for problem in found if problem), None)
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value}"
    if isinstance(value, int):
        return None if value.bit_length() <= LONGEST_NUMBER else f"a whole number of {value.bit_length()} bits"
    return None if value is None or isinstance(value, list) else kind_of(value)


def _path(place: "_Place") -> str:
    """``kwargs.a[1]``: written out only where something is wrong, as every definition is walked."""
    steps: list[str] = []
    at: _Place | None = place
    while at:
        at, step, depth = at
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}" if depth else step)
    return "".join(reversed(steps))[:LONGEST_PLACE]


def kind_of(value: object) -> str:
    """The type of a value in the words of a definition."""
    return KIND_NAMES.get(type(value), type(value).__name__)
