"""Which of our keys somebody has overwritten, for a sentence that names it."""

from beatd.store.keys import Keys
from beatd.store.link import Link
from beatd.store.refusals import StoreSpoilt


async def spoilt_stream(link: Link, keys: Keys, *kinds: str) -> StoreSpoilt | None:
    """An error that names the first of some streams that is none; None when all are, or are missing."""
    found = await link.request(*[("TYPE", keys.key(kind)) for kind in kinds])
    for kind, holds in zip(kinds, found, strict=True):
        if holds not in (b"stream", b"none"):
            text = f"{keys.key(kind)} holds a {holds.decode()}, beatd keeps a stream there: rename or delete that key"
            return StoreSpoilt(text, hint="entries fire all the same; nothing is written there until it is gone")
    return None
