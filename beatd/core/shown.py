"""A value from outside, as an error message may show it."""

from typing import Final

LONGEST: Final = 80


def shown(value: object) -> str:
    """Its repr, cut to 80 characters; its type where a repr is long or impossible (trees, huge numbers)."""
    if isinstance(value, str):
        text = repr(value[:LONGEST])
        return text if len(value) <= LONGEST else f"{text}... ({len(value)} characters)"
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**20):
        return repr(value)
    return f"a value of type {type(value).__name__}"
