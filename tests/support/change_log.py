"""What the keys hold of entries, in the form in which the change log tells it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from beatd.core.change_log import Kept, Replay, change_of

KINDS: Final = ("rev", "def", "file", "out", "hold")
OF_A_HOLD: Final = ("until", "who", "note")


def stored(hashes: Mapping[str, Mapping[bytes, bytes]]) -> dict[str, Kept]:
    """The entries by the hashes of KINDS. What is left of a pause with an end counts, over or not."""
    entries = {}
    for raw, rev in hashes["rev"].items():
        out, hold = _object(hashes["out"].get(raw)), _object(hashes["hold"].get(raw))
        pause: Any = out.get("paused")
        if pause is None and "until" in hold:
            pause = {key: hold[key] for key in OF_A_HOLD if key in hold}
        file_hash = hashes["file"].get(raw, b"").decode(errors="replace")
        kept = Kept(rev.decode(), hashes["def"].get(raw), file_hash, "disabled" not in out, pause)
        entries[raw.decode(errors="replace")] = kept
    return entries


def replayed(rows: Iterable[tuple[int, Mapping[bytes, bytes]]]) -> dict[str, Kept]:
    """The entries as rows tell them, given with the instants of their ids."""
    replay = Replay()
    for at, fields in rows:
        change = change_of(at, fields)
        assert change is not None, fields
        replay.add(change)
    return replay.entries


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(text or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
