"""The six columns of a cron expression, and what one of them holds once it is read."""

from dataclasses import dataclass
from typing import Final, NamedTuple

MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the six columns. ``shift`` is its number in the rule for H; ``names[0]`` stands for ``low``."""

    name: str
    low: int
    high: int
    shift: int
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return self.high - self.low + 1


SECOND: Final = Field("second", 0, 59, 5)
MINUTE: Final = Field("minute", 0, 59, 0)
HOUR: Final = Field("hour", 0, 23, 1)
DAY: Final = Field("day of month", 1, 31, 2)
MONTH: Final = Field("month", 1, 12, 3, MONTHS)
WEEKDAY: Final = Field("day of week", 0, 6, 4, WEEKDAYS)


class Special(NamedTuple):
    """A day that depends on the month: ``last`` day, ``nearest`` or ``last working`` day, ``nth`` or ``last`` weekday.

    ``weekday`` is 0 to 6 from Sunday where it has one; ``n`` is the day of nearest, the count of nth.
    """

    kind: str
    n: int = 0
    weekday: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One parsed field: bit v of ``values`` is set when the plain value v is in it."""

    text: str
    values: int
    specials: tuple[Special, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def starred(self) -> bool:
        """Its text begins with a star (or is ``?``): vixie's flag, which decides and/or and interval-like."""
        return self.text.startswith(("*", "?"))

    @property
    def repeating(self) -> bool:
        """Counts through the whole field, and so follows the clock instead of naming times."""
        return self.text.startswith(("*", "H/"))
