"""Dates among the options of a message: wall time of the entry's zone becomes an instant."""

import re
from typing import Any, Final

from beatd.core.instant import read_moment, utc_of
from beatd.core.zone import zone_named

DATED_OPTIONS: Final = ("expires", "eta")
_DATE: Final = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*")
_OFFSET: Final = re.compile(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\s*$")


def date_options(values: dict[str, Any]) -> None:
    """Replaces dates without an offset in ``values["options"]``: a message has no zone. Raises ScheduleInvalid."""
    options, zone_name = values.get("options"), values.get("timezone", "UTC")
    if not isinstance(options, dict) or not isinstance(zone_name, str):
        return
    dated = [name for name in DATED_OPTIONS if _is_wall_time(options.get(name))]
    if not dated:
        return
    zone = zone_named(zone_name)
    values["options"] = {
        **options,
        **{name: _with_offset(read_moment(f"options.{name}", options[name], zone).ms) for name in dated},
    }


def _is_wall_time(value: object) -> bool:
    return isinstance(value, str) and bool(_DATE.fullmatch(value)) and not _OFFSET.search(value)


def _with_offset(ms: int) -> str:
    """Not the Z of our own output: whoever reads the message may be an older Python, which knows +00:00 only."""
    return utc_of(ms).isoformat(timespec="milliseconds" if ms % 1_000 else "seconds")
