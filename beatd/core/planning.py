"""The first slot of an entry that is to be planned."""

from dataclasses import dataclass

from beatd.core.entry import Entry
from beatd.core.fire import Skip
from beatd.core.instant import LAST_MS
from beatd.core.timetable import PlanItem, Stored


@dataclass(frozen=True, slots=True)
class First:
    """The first moment (slot + jitter, UTC ms), or None when the schedule has none; skips say what was passed over."""

    moment: int | None
    skips: tuple[Skip, ...] = ()


def first_moment(entry: Entry, since: int, last_slot: int, jitter: int, left: int | None) -> First:
    """The moment of the first slot strictly after `since` and after the last fire, by the entry's schedule.

    An entry that runs once is looked for as far back as it would still be on time (lateness counts from its moment,
    the grace is inclusive), so that an instant just past still fires; one that lies further back is a skip (`past`).
    """
    if left == 0:
        return First(None)
    once = entry.schedule.kind == "at"
    start = since - jitter - entry.policy.grace_ms - 1 if once else since
    slot = entry.schedule.next_ms(max(start, last_slot))
    if slot is not None:
        return First(slot + jitter)
    missed = entry.schedule.next_ms(last_slot) if once else None
    return First(None, () if missed is None else (Skip("past", 1, missed, missed),))


def plan_item(entry: Entry, stored: Stored, now: int) -> PlanItem:
    """What to tell the plan script about an entry whose score is no moment: -t says "plan from instant t".

    A score that none of our scripts writes (a fraction, an infinity, past the year 9999) is planned from `now`.
    """
    score = float(stored.score)
    since = int(-score) if score.is_integer() and -LAST_MS <= score < 0 else now
    first = first_moment(entry, since, stored.last_slot, stored.jitter, stored.left)
    verdict = "F" if first.moment is None else str(first.moment)
    return PlanItem(stored.name, stored.rev, stored.score, verdict, "", first.skips)


def moment_of(score: str) -> int | None:
    """The moment that a score stands for; None where it is a mark to be planned, or not one of ours."""
    value = float(score)
    return int(value) if 0 <= value <= LAST_MS and value.is_integer() else None
