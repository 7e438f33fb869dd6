"""Edits of stored entries: what a put carries, computed from entries. Pure: nonces come in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beatd.core.fire import jitter_of

if TYPE_CHECKING:  # a command that edits run state alone needs no schedules
    from beatd.core.entry import Entry

ANY = "*"
ABSENT = ""
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class PutItem:
    """One entry as the put script takes it.

    expected: the revision this edit is based on, ANY, or ABSENT for a name that must be free. left: runs left, so many
    more or fewer ("+3", "-1"), KEEP, or '' where they are not counted. file_hash: hash of the definition for entries
    owned by files, else ''. replaces: the name under which this entry was stored so far, removed in the same step if it
    has the revision ``replaces_rev``; '' where it has not been renamed.
    """

    name: str
    rev: str
    expected: str
    definition: str
    jitter: int
    left: str
    enabled: bool
    file_hash: str = ""
    replaces: str = ""
    replaces_rev: str = ANY


def put_item(
    entry: "Entry",
    nonce: str,
    *,
    expected: str = ANY,
    left: str = KEEP,
    file_hash: str = "",
    replaces: str = "",
    replaces_rev: str = ANY,
) -> PutItem:
    """The put of an entry under a fresh nonce (never reused, not even for the same content)."""
    rev = f"{nonce}.{entry.fingerprint}"
    jitter = jitter_of(entry.name, entry.policy.jitter_ms)
    definition = entry.to_definition()
    names = (replaces, replaces_rev)
    return PutItem(entry.name, rev, expected, definition, jitter, left, entry.enabled, file_hash, *names)


def runs_left(before: "Entry | None", after: "Entry", stored: int | None) -> str:
    """The runs left that an edit leaves behind, for put: editing `max_runs` changes them by the difference ("+3"), for
    a run may be over before the edit is made. ``stored``: None where they are not counted.
    """
    allowed = after.policy.max_runs
    if allowed is None:
        return ""
    old = before.policy.max_runs if before else None
    if old is None or stored is None:
        return str(allowed)
    return KEEP if old == allowed else f"{allowed - old:+d}"


def runs_after(left: str, stored: int | None) -> int | None:
    """What a put with ``left`` makes of the stored number of runs left; None where they are not counted then."""
    if left in (KEEP, ""):
        return stored if left == KEEP else None
    return max(0, (stored or 0) + int(left)) if left[0] in "+-" else int(left)
