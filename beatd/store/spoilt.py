"""Stored numbers as they may be after another client has written to our keys by hand: read without ever failing."""

import json
from typing import Any, Final

_LONGEST: Final = 15  # digits, as in the scripts: what a double holds exactly


def whole(raw: bytes | None) -> int | None:
    """A whole number >= 0; None where there is none, or something else in its place."""
    return int(raw) if raw is not None and raw.isdigit() and len(raw) <= _LONGEST else None


def score(raw: bytes | None) -> int | None:
    """A score as a whole number, rounded towards zero; None where there is none, or an infinity."""
    try:
        return None if raw is None else int(float(raw))
    except (OverflowError, ValueError):
        return None


def object_of(text: bytes | None) -> dict[str, Any]:
    """A JSON object of ours; empty where another client has put something else. What is no UTF-8 in a text of it, a
    pause's note, must not hide that there is a pause.
    """
    try:
        value = json.loads((text or b"{}").decode(errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def instant(value: object) -> int | None:
    """An instant of a JSON object, UTC ms: scripts write it as a text, other clients perhaps as a number."""
    text = str(value) if isinstance(value, str | int) else ""
    return whole(text.encode(errors="replace"))


def held_to(text: bytes | None) -> int:
    """The instant up to which a value of T:hold keeps slots from being planned; 0 where there is none."""
    if text is None:
        return 0
    hold = object_of(text)
    return max((instant(hold.get("until")) or 0) - 1, instant(hold.get("after")) or 0)
