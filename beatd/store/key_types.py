"""What type each key of beatd has, and which of them another client has overwritten."""

from collections.abc import Mapping
from typing import Final

from beatd.store.blocking import BlockingLink

# As in scripts/common.lua.
TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("lease", "def", "rev", "out", "hold", "gone", "last", "jit", "left", "req", "asked"), "hash"),
    **dict.fromkeys(("file", "inst", "meta"), "hash"),
    **dict.fromkeys(("due", "blocked"), "zset"),
    **dict.fromkeys(("hist", "skip", "log"), "stream"),
}


def spoilt_keys(link: BlockingLink) -> dict[str, str]:
    """The kinds whose key holds something else, with a sentence that says what to do. Raises Unreachable."""
    found = link.request(*[("TYPE", link.keys.key(kind)) for kind in TYPES])
    return {
        kind: f"{link.keys.key(kind)} holds a {holds.decode()}, beatd keeps a {TYPES[kind]} there: rename or delete"
        " that key"
        for kind, holds in zip(TYPES, found, strict=True)
        if holds not in (b"none", TYPES[kind].encode())
    }
