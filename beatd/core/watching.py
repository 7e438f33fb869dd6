"""What a reading of files looked at, as values: is there anything new, and may it be believed? Instants are monotonic
seconds, stamps of files are nanoseconds since 1970.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:  # settings know what was looked at, and need no schedules for it
    from beatd.core.entry_set import EntrySet

SETTLE_S: Final = 0.5  # a file that did not change for so long is not being written
RACY_NS: Final = 2_000_000_000  # the coarsest stamps in use (FAT) and a margin
NOT_READ: Final = "?"

Digests = Mapping[str, str | None]  # path -> hash of its content; None: it is not there, or can't be read;
#                                     NOT_READ: it is there, and its content does not count (a folder, a pipe)


@dataclass(frozen=True, slots=True)
class Watched:
    """All files that a reading looked at, missing ones too, and the patterns (folder, pattern) that may match more."""

    digests: Digests = field(default_factory=dict)
    patterns: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reading gave. ``errors``: each with its place; then there are no settings and no entries. ``hint``: what
    to do about the first of them.

    ``settings``: those that count after a restart only, by their names in the file.
    """

    watched: Watched
    errors: Sequence[str]
    warnings: int
    settings: Mapping[str, Any] = field(repr=False)
    entries: "EntrySet"
    hint: str | None = None


class Signature(NamedTuple):
    """What a file's content is taken to be unchanged by. ``place`` is its path without symbolic links."""

    mtime_ns: int
    ctime_ns: int
    size: int
    device: int
    inode: int
    place: str


def is_unchanged(before: Signature | None, now: Signature, hashed_at_ns: int) -> bool:
    """Whether a file is what it was when it was hashed at that instant of the wall clock.

    Stamps have a grain: what was written in the same grain as the hash was taken has the same stamps.
    """
    return before == now and abs(hashed_at_ns - now.ctime_ns) > RACY_NS


def second_look_at(seen: Digests, seen_at: float, read: Digests, read_at: float) -> float:
    """When to look a second time, after files were seen at one instant and read until another one.

    What was read counts only if it is still there SETTLE_S after it was first met.
    """
    return (seen_at if seen == read else read_at) + SETTLE_S
