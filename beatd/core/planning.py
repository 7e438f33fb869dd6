"""The first slot of an entry that is to be planned."""

from dataclasses import dataclass
from typing import Final, Protocol

from beatd.core.entry import Policy
from beatd.core.fire import Skip
from beatd.core.instant import LAST_MS
from beatd.core.schedules import Schedule
from beatd.core.timetable import PlanItem, Stored

SCORE_END: Final = LAST_MS + 1  # no script of ours writes a score from here on
WHOLE_DIGITS: Final = len(str(SCORE_END)) - 1  # any number of so many digits lies below it


@dataclass(frozen=True, slots=True)
class First:
    """The first moment (slot + jitter, UTC ms), or None when the schedule has none; skips say what was passed over."""

    moment: int | None
    skips: tuple[Skip, ...] = ()


class Timed(Protocol):
    """What planning needs to know of an entry."""

    @property
    def schedule(self) -> Schedule:
        """The rule of its slots."""

    @property
    def policy(self) -> Policy:
        """What decides whether a slot is fired or skipped."""


def first_moment(
    entry: Timed,
    since: int,
    last_slot: int,
    jitter: int,
    left: int | None,
    held: int = 0,
    *,
    settled: int | None = None,
) -> First:
    """The moment of the first slot strictly after `since`, the last fire and the pause (`held`), by the schedule.

    settled: where something is known to have been settled up to an earlier instant than `since`, it counts from there.

    An entry that runs once is looked for as far back as it would still be on time (lateness counts from its moment,
    the grace is inclusive), so that an instant just past still fires; one that lies further back, or up to the end of
    a pause, is a skip (`past`).
    """
    if left == 0:
        return First(None)
    once = entry.schedule.kind == "at"
    start = since - jitter - entry.policy.grace_ms - 1 if once else since
    if settled is not None:
        start = min(start, settled)
    slot = entry.schedule.next_ms(max(start, last_slot, held))
    if slot is not None:
        return First(slot + jitter)
    missed = entry.schedule.next_ms(last_slot) if once else None
    return First(None, () if missed is None else (Skip("past", 1, missed, missed),))


def plan_item(entry: Timed, stored: Stored, now: int, settled: int | None = None) -> PlanItem:
    """What to tell the plan script about an entry whose score is no moment: -t says "plan from instant t".

    A score that none of our scripts writes (a fraction, an infinity) is planned from `now`, and a moment at or before
    the last fire from just after that: nothing fires twice, nor inside a pause, whoever wrote the score. `settled` as
    in first_moment.
    """
    mark = whole_score(stored.score)
    since = now if mark is None else -mark if mark < 0 else stored.last_slot
    first = first_moment(entry, since, stored.last_slot, stored.jitter, stored.left, stored.held, settled=settled)
    verdict = "F" if first.moment is None else str(first.moment)
    return PlanItem(stored.name, stored.rev, stored.score, verdict, "", first.skips)


def stray_item(entry: Timed, stored: Stored) -> PlanItem | None:
    """Plans anew an entry whose moment stands for no slot of its schedule, from just before it; None where it does.

    Zone data may have changed since it was planned, or somebody has written the score by hand.
    """
    moment = owed_moment(stored)
    if moment is None or entry.schedule.next_ms(moment - stored.jitter - 1) == moment - stored.jitter:
        return None
    since = moment - stored.jitter - 1
    first = first_moment(entry, since, stored.last_slot, stored.jitter, stored.left, stored.held, settled=since)
    verdict = "F" if first.moment is None else str(first.moment)
    return PlanItem(stored.name, stored.rev, stored.score, verdict, "", first.skips)


def moved_item(entry: Timed, stored: Stored, now: int) -> PlanItem | None:
    """Plans anew an entry whose next slot is another one by the zone data of today; None where it is not.

    A slot that has come already stays, though its jitter may not be over: whoever stages it asks whether it is one at
    all. Inside a pause nothing is planned.
    """
    moment = owed_moment(stored)
    timeless = entry.schedule.zone.is_utc or entry.schedule.kind == "every"  # no zone data move these
    if timeless or moment is None or moment - stored.jitter <= now or stored.left == 0:
        return None
    slot = entry.schedule.next_ms(max(now, stored.last_slot, stored.held))
    if slot is None or slot + stored.jitter == moment:
        return None
    return PlanItem(stored.name, stored.rev, stored.score, str(slot + stored.jitter))


def owed_moment(stored: Stored) -> int | None:
    """The moment at which an entry is to be fired; None where it has to be planned first."""
    moment = moment_of(stored.score)
    return moment if moment is not None and moment - stored.jitter > stored.last_slot else None


def moment_of(score: str) -> int | None:
    """The moment that a score stands for; None where it is a mark to be planned, or not one of ours."""
    value = whole_score(score)
    return value if value is not None and value >= 0 else None


def whole_score(score: str) -> int | None:
    """A score that one of our scripts could have written: whole, of at most 15 digits. None for any other."""
    if score.isascii() and score.isdigit() and len(score) <= WHOLE_DIGITS:  # nearly always: a moment of our days
        return int(score)
    value = float(score)
    return int(value) if abs(value) < SCORE_END and value.is_integer() else None
