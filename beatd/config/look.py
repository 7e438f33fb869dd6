"""Looking at files again and again, cheaply: a content is hashed only where the file's stamps changed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from beatd.config.source import LARGEST_FILE, content_digest, digest_of, matching_files, stat_of
from beatd.core.watching import NOT_READ, Digests, Signature, Watched, is_unchanged

_Hashed = tuple[Signature, int, str | None]  # stamps, when they were taken (wall clock, ns), hash of the content


class Looker:
    """Remembers what it hashed. Blocks on slow file systems: call it in a thread, one call at a time."""

    def __init__(self) -> None:
        self._hashed: dict[str, _Hashed] = {}

    def look(self, watched: Watched) -> Digests:
        """As a reading would find these files now, and whatever else the patterns match."""
        found = {name: self._digest(name, watched.digests.get(name)) for name in sorted(set(_names(watched)))}
        self._hashed = {name: kept for name, kept in self._hashed.items() if name in found}
        return found

    def _digest(self, name: str, read: str | None) -> str | None:
        path = Path(name)
        if read == NOT_READ:  # its content does not count
            return None if stat_of(path) is None else NOT_READ
        return digest_of(path, lambda: self._hash(path))

    def _hash(self, path: Path) -> str | None:
        before, at = self._hashed.get(str(path)), time.time_ns()
        signature = _signature(path)
        if before is not None and signature is not None and is_unchanged(before[0], signature, before[1]):
            return before[2]
        digest = _content(path)
        if signature is not None:
            self._hashed[str(path)] = signature, at, digest
        return digest


def _names(watched: Watched) -> Iterator[str]:
    yield from watched.digests
    for folder, pattern in watched.patterns:
        yield from map(str, matching_files(Path(folder), pattern))


def _signature(path: Path) -> Signature | None:
    found = stat_of(path)
    if found is None:
        return None
    place = os.path.realpath(path)
    return Signature(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino, place)


def _content(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return content_digest(file.read(LARGEST_FILE + 1))
    except (OSError, ValueError):
        return None
