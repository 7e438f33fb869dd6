"""Which files count."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

DEFAULT_PLACES: Final = ("schedules.yaml", "/etc/beatd/schedules.yaml")


def find_files(given: Sequence[str], env: Mapping[str, str]) -> list[Path]:
    """The files to read: those given, else BEATD_CONFIG, else the first default place that exists, else none."""
    named = list(given) or ([env["BEATD_CONFIG"]] if env.get("BEATD_CONFIG") else [])
    if named:
        return [Path(name) for name in named]
    return [Path(place) for place in DEFAULT_PLACES if Path(place).is_file()][:1]
