"""How one entry stands, in a sentence, for whoever asks why it did not run."""

from beatd.cli.show import distance, instant
from beatd.cli.stored import pause_of
from beatd.core.overview import QUEUE_TAKES_NONE
from beatd.store.entries import Row


def why_idle(row: Row, now: int) -> str:
    """The rest of a sentence that begins with its name: `is paused by ann@web-1 since ...: a deploy`."""
    state, since = row.state_at(now), row.since(now)
    from_then = "" if since is None else f" since {instant(since)}"
    if state == "scheduled":
        return _when(row, now)
    if state == "paused":
        return f"is paused{_pause(row, now, from_then)}"
    reasons = {
        "invalid": f": {row.why_invalid() or 'its definition can not be read'}",
        "blocked": f": {QUEUE_TAKES_NONE}",
        "finished": ": its schedule has no slot after that, or its runs are used up",
    }
    return f"is {state}{from_then}{reasons.get(state, '')}"


def _when(row: Row, now: int) -> str:
    if row.moment is None or row.moment < 0:
        return "is scheduled, and waits for a leader to plan it"
    if row.moment > now:
        return f"is scheduled; its next moment is {instant(row.moment)}, {distance(row.moment - now)}"
    return f"is due since {instant(row.moment)}, and was not fired yet: beatd status tells whether anybody leads"


def _pause(row: Row, now: int, from_then: str) -> str:
    found = pause_of(row, now) or {"who": "", "note": ""}
    by = f" by {found['who']}" if found["who"] else ""
    until = f" until {found['until']}" if found.get("until") else ""
    return f"{by}{from_then}{until}{': ' if found['note'] else ''}{found['note']}"
