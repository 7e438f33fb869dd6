"""Which of our keys somebody has overwritten, for a sentence that names it."""

from collections.abc import Sequence

from beatd.store.keys import Keys
from beatd.store.link import Link
from beatd.store.refusals import StoreSpoilt


async def spoilt_stream(link: Link, keys: Keys, *kinds: str) -> StoreSpoilt | None:
    """An error that names the first of some streams that is none; None when all are, or are missing."""
    return await _spoilt(
        link, keys, "stream", "entries fire all the same; nothing is written there until it is gone", kinds
    )


async def spoilt_hash(link: Link, keys: Keys, *kinds: str) -> StoreSpoilt | None:
    """As spoilt_stream, of hashes that hold requests."""
    return await _spoilt(link, keys, "hash", "entries fire all the same; requests wait until it is gone", kinds)


async def _spoilt(link: Link, keys: Keys, wanted: str, hint: str, kinds: Sequence[str]) -> StoreSpoilt | None:
    found = await link.request(*[("TYPE", keys.key(kind)) for kind in kinds])
    for kind, holds in zip(kinds, found, strict=True):
        if holds not in (wanted.encode(), b"none"):
            text = f"{keys.key(kind)} holds a {holds.decode()}, beatd keeps a {wanted} there: rename or delete that key"
            return StoreSpoilt(text, hint=hint)
    return None
