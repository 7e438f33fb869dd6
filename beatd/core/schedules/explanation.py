"""A rule taken apart for a reader: its pieces, its nature where clocks shift, and the readings it could have had."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

FIXED_TIME: Final = (
    "fixed-time: wall times that the clock skips run once, right after the gap; "
    "repeated ones run in the first pass only"
)


class Detail(NamedTuple):
    """One piece of a rule: its name, its canonical text, what it means, and the values it stands for, if it does."""

    name: str
    text: str
    meaning: str
    values: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class Reading(NamedTuple):
    """One way to take an ambiguous rule, by name; ``spec`` holds the keys that ask for it, over those of the rule."""

    name: str
    chosen: bool
    spec: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a kind can say about one of its rules. ``clock``: what shifts of the clock do to it, in general."""

    details: tuple[Detail, ...] = ()
    clock: str = ""
    readings: tuple[Reading, ...] = ()
