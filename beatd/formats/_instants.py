"""Instants as the texts that stand in messages.

On the path of every fire, and many entries fire at one instant: what was written last is remembered.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

REMEMBERED: Final = 64  # few: what lives long amid a storm's memory keeps it from going back to the system


@lru_cache(maxsize=REMEMBERED)
def rfc3339(instant_ms: int) -> str:
    """UTC with ``Z``, always with milliseconds: ``2026-11-20T09:00:00.000Z``."""
    minute, rest = divmod(instant_ms, 60_000)
    second, ms = divmod(rest, 1_000)
    return f"{_minute_text(minute)}:{second:02}.{ms:03}Z"


@lru_cache(maxsize=REMEMBERED)
def isoformat(instant_ms: int) -> str:
    """As ``datetime.isoformat`` writes it in UTC: microseconds only when not zero, ``+00:00`` at the end."""
    minute, rest = divmod(instant_ms, 60_000)
    second, ms = divmod(rest, 1_000)
    fraction = f".{ms:03}000" if ms else ""
    return f"{_minute_text(minute)}:{second:02}{fraction}+00:00"


@lru_cache(maxsize=REMEMBERED)
def _minute_text(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M")
