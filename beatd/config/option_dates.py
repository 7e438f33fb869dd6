"""Dates among the options of a message: wall time of the entry's zone becomes an instant."""

import re
from typing import Any, Final

from beatd.core.instant import read_moment, utc_of
from beatd.core.zone import zone_named

DATED_OPTIONS: Final = ("expires", "eta")
_DATE: Final = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*")


def date_options(values: dict[str, Any]) -> None:
    """Replaces dates without an offset in ``values["options"]``: a message has no zone. Raises ScheduleInvalid."""

def _has_offset(text: str) -> bool:
    return bool(re.search(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\s*$", text))


def _with_offset(ms: int) -> str:
    """Not the Z of our own output: whoever reads the message may be an older Python, which knows +00:00 only."""
    return utc_of(ms).isoformat(timespec="milliseconds" if ms % 1_000 else "seconds")
