"""What became of runs that were asked for beside the timetable, for programs. Instants are aware, in UTC."""

from dataclasses import dataclass
from datetime import datetime

from beatd.core.instant import utc_of
from beatd.core.requests import Cause, Request, State


@dataclass(frozen=True, slots=True)
class RequestState:
    """A trigger or a backfill. pushed: messages so far. at: when it was asked for (open), or ended.

    state: open, done, withdrawn (by a pause or a removal of the entry), or refused; why: why so. name and kind are None
    where what was asked for can't be read.
    """

    id: str
    state: State
    pushed: int
    at: datetime
    why: str = ""
    name: str | None = None
    kind: Cause | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill pushes. id: of its request. slots: those that were not pushed for it yet, oldest first.

    left: the first slot of the range that is left to the timetable, None where there is none. asked: whether it was
    asked for now; not so where nothing is to be pushed, or it is being served already.
    """

    id: str
    slots: tuple[datetime, ...]
    left: datetime | None
    asked: bool


def request_state_of(found: Request) -> RequestState:
    """The same as stored, for programs."""
    name, kind = (None, None) if found.wanted is None else (found.wanted.name, found.wanted.kind)
    return RequestState(found.id, found.state, found.pushed, utc_of(found.at), found.why, name, kind)
