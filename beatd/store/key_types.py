"""What type each key of beatd has, and which of them another client has overwritten."""

from collections.abc import Mapping, Sequence
from typing import Final

from beatd.store.blocking import BlockingLink
from beatd.store.keys import Keys

# As in scripts/common.lua.
TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("lease", "def", "rev", "out", "hold", "gone", "last", "jit", "left", "req", "asked"), "hash"),
    **dict.fromkeys(("file", "inst", "meta", "ob", "obm"), "hash"),
    **dict.fromkeys(("due", "blocked"), "zset"),
    **dict.fromkeys(("hist", "skip", "log"), "stream"),
}


def spoilt_keys(link: BlockingLink) -> dict[str, str]:
    """The kinds whose key holds something else, with a sentence that says what to do. Raises Unreachable."""
    return spoilt_of(link.keys, link.request(*types_commands(link.keys)))


def types_commands(keys: Keys) -> list[tuple[str, str]]:
    """The commands that ask for the type of each key; their replies go to `spoilt_of`."""
    return [("TYPE", keys.key(kind)) for kind in TYPES]


def spoilt_of(keys: Keys, found: Sequence[bytes]) -> dict[str, str]:
    """As spoilt_keys."""
    return {
        kind: f"{keys.key(kind)} holds a {holds.decode()}, beatd keeps a {TYPES[kind]} there: rename or delete that key"
        for kind, holds in zip(TYPES, found, strict=True)
        if holds not in (b"none", TYPES[kind].encode())
    }
