"""What must be true of the change log: its rows, replayed, make the stored state."""

from collections.abc import Container, Mapping
from dataclasses import replace

from beatd.core.change_log import Kept
from beatd.store.keys import Keys
from tests.sim.history import instant
from tests.sim.redis import Data, Hash, Stream
from tests.support.change_log import KINDS, replayed, stored


def disagreement(data: Data, keys: Keys, now: int | None, tainted: Container[str]) -> str | None:
    """What the log tells otherwise than the keys do; None where it tells the same. ``tainted``: changed by others.

    now: None where the clock went back, so that nobody can tell which pauses with an end were over at their edits.
    """
    by_log, by_keys = replayed(_rows(data, keys)), stored({kind: _hash(data, keys, kind) for kind in KINDS})
    for name in sorted({*by_log, *by_keys}):
        told, kept = _running(by_log.get(name), now), _running(by_keys.get(name), now)
        if told != kept and name not in tainted:
            return f"the log tells {name} as {told}, and stored is {kept}"
    return None


def _running(kept: Kept | None, now: int | None) -> Kept | None:
    """Without a pause that is over, for what is left of it has no meaning; without any end where now is not known."""
    if kept is None or kept.pause is None or "until" not in kept.pause:
        return kept
    over = now is None or instant(kept.pause["until"]) <= now
    return replace(kept, pause=None) if over else kept


def _rows(data: Data, keys: Keys) -> list[tuple[int, Mapping[bytes, bytes]]]:
    found = data.get(keys.key("log").encode())
    rows = found.rows if isinstance(found, Stream) else []
    return [(ms, dict(zip(fields[::2], fields[1::2], strict=True))) for (ms, _), fields in rows]


def _hash(data: Data, keys: Keys, kind: str) -> Hash:
    found = data.get(keys.key(kind).encode())
    return found if isinstance(found, Hash) else Hash()
