"""Stored numbers as they may be after another client has written to our keys by hand: read without ever failing."""

from typing import Final

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
