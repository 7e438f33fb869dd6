"""What T:last says of an entry: its last fire, and what was skipped with it or after it."""

from dataclasses import dataclass
from typing import Final, Literal

Result = Literal["fired", "skipped", "never"]
_LONGEST: Final = 15  # digits of a number of ours


@dataclass(frozen=True, slots=True)
class LastRun:
    """Instants in UTC ms, None where there are none. slot: of the last fire, ``at`` when that was sent, ``task_id``.

    result: what became of the newest slot that is settled: fired, skipped, or never where there is none.
    reason, skipped_to: why the last skip was, and the last slot of its range.
    """

    slot: int | None = None
    at: int | None = None
    task_id: str | None = None
    result: Result = "never"
    reason: str | None = None
    skipped_to: int | None = None


def last_run(text: str) -> LastRun:
    """Reads ``slot|fired at|task id|skips``; what another client has written instead counts as never."""
    first, at, task_id, skips = [*text.split("|", 3), "", "", "", ""][:4]
    slot = _whole(first) or None
    reason, _, numbers = skips.rpartition(";")[2].partition(":")
    skipped_to = _whole(numbers.rpartition(":")[2])
    if not reason or skipped_to is None:
        reason, skipped_to = "", None
    result: Result = "never" if slot is None else "fired"
    if skipped_to is not None and (slot is None or skipped_to > slot):
        result = "skipped"
    return LastRun(slot, _whole(at) or None if slot else None, task_id or None, result, reason or None, skipped_to)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else None
