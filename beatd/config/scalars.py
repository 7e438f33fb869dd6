"""Plain scalars by the core rules of YAML 1.2: only true and false are booleans, and no number hides a time of day.

YAML 1.1, which most Python programs read, takes ``no`` for false, ``12:30`` for 750 and ``010`` for 8. Here they are
a text, a text, and 10; where a reader might expect the old meaning, ``trap_of`` says so.
"""

import re
from typing import Final, NamedTuple

MOST_DIGITS: Final = 4_000  # Python refuses to read more than 4,300

_NAMED: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + name: float(f"{sign}inf") for sign in ("", "+", "-") for name in (".inf", ".Inf", ".INF")},
}
OLD_TRUE: Final = frozenset({"yes", "Yes", "YES", "on", "On", "ON"})
OLD_FALSE: Final = frozenset({"no", "No", "NO", "off", "Off", "OFF"})
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL_LOOK: Final = re.compile(r"[-+]?0[0-9]+")
_UNDERSCORED: Final = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?")
_BEGINS_NUMBER: Final = frozenset("0123456789+-.")


class Trap(NamedTuple):
    """A spelling that YAML 1.1 reads otherwise."""

    code: str
    message: str
    hint: str


def read_scalar(text: str) -> object:
    """What an unquoted text stands for: None, a boolean, a number, or the text itself."""
    if text in _NAMED:
        return _NAMED[text]
    if text[0] not in _BEGINS_NUMBER or len(text) > MOST_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def trap_of(text: str) -> Trap | None:
    """What to say about an unquoted text in free data, where nothing tells which of its readings is meant."""
    if text in OLD_TRUE or text in OLD_FALSE:
        meant = "true" if text in OLD_TRUE else "false"
        return Trap(
            "W003", f"{text} is a text here, YAML 1.1 reads {meant}", f'write {meant}, or "{text}" for the text'
        )
    if text[:1] not in _BEGINS_NUMBER:
        return None
    if _OCTAL_LOOK.fullmatch(text):
        number = int(text[:MOST_DIGITS])
        return Trap(
            "W001", f"{text} is {number} here, YAML 1.1 reads octal", f'write {number}, or "{text}" for the text'
        )
    if _UNDERSCORED.fullmatch(text):
        plain = text.replace("_", "")
        return Trap(
            "W002", f"{text} is a text here, YAML 1.1 reads {plain}", f'write {plain}, or "{text}" for the text'
        )
    return None
