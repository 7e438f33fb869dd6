"""What becomes of the slots in a span: fires, and skips with reasons. The same function serves one slot on time, the
backlog after a stop, and a clock that stepped.
"""

from typing import Final, NamedTuple

from beatd.core.entry import Policy
from beatd.core.fire import Reason, Skip
from beatd.core.schedules import Schedule

EXACT_COUNT: Final = 10_000  # skipped slots are counted exactly up to here, and as "at least" above


class Decision(NamedTuple):
    """The outcome of a span. Instants in UTC ms.

    fires: slots to enqueue, oldest first. skips: the rest of the span. next_slot: the slot after the span, None when
    there is none any more. good_until: the instant after which the decision would be another one, None for never.
    """

    fires: tuple[int, ...]
    skips: tuple[Skip, ...]
    next_slot: int | None
    good_until: int | None
    left: int | None


def decide(
    schedule: Schedule,
    policy: Policy,
    *,
    owed: int,
    now: int,
    jitter: int = 0,
    expires_ms: int | None = None,
    expires_on: int | None = None,
    left: int | None = None,
    at_most: int | None = None,
) -> Decision:
    """Decides every slot from ``owed`` up to ``now``; ``owed + jitter <= now`` must hold.

    Lateness counts from slot + jitter. In this order: past the deadline (or the message's own ``expires``) a slot is
    `expired`, and so when its message would have expired (``expires_ms`` after the slot, or ``expires_on``); within
    the grace it is on time and fires; else `catchup` decides. One cap over all fires of the span,
    the newest stay. ``left`` are the runs that `max_runs` still allows. ``at_most`` bounds the fires of this step:
    what goes beyond it stays owed and is decided again.
    """
    until = now - jitter
    # Nearly always the slot owed is the only one and in good time. Then this is all there is to decide.
    following = schedule.next_ms(owed)
    alone = following is None or following > until
    if alone and left is None and at_most != 0 and schedule.last_ms(until) == owed:
        good_until = _good_until(policy, expires_ms, expires_on, jitter, owed, owed)
        if good_until is None or now <= good_until:
            return Decision((owed,), (), following, good_until, None)
    return _decide_span(schedule, policy, owed, now, jitter, expires_ms, expires_on, left, at_most)


def _decide_span(
    schedule: Schedule,
    policy: Policy,
    owed: int,
    now: int,
    jitter: int,
    expires_ms: int | None,
    expires_on: int | None,
    left: int | None,
    at_most: int | None,
) -> Decision:
    until = now - jitter
    dead = until + 1 if expires_on is not None and now > expires_on else _dead_before(policy, expires_ms, now, until)
    fresh = max(until - policy.grace_ms, dead, owed)
    on_time = _newest(schedule, fresh, until, policy.catchup_limit)
    room = policy.catchup_limit - len(on_time)
    missed_from, missed_to = max(dead, owed), fresh - 1
    late = _late(schedule, policy, missed_from, missed_to, room, bool(on_time))
    fires = (*late, *on_time)
    skips = (  # all of them older than the first fire
        *_skip(schedule, "expired", owed, min(dead - 1, until)),
        *_skip(schedule, _LATE_REASON[policy.catchup], missed_from, late[0] - 1 if late else missed_to),
        *_skip(schedule, "dropped", fresh, on_time[0] - 1 if on_time else fresh - 1),
    )
    next_slot = schedule.next_ms(until)
    if at_most is not None and len(fires) > at_most:
        fires, next_slot = fires[:at_most], fires[at_most]
    if left is not None and len(fires) >= left:
        fires, next_slot = fires[:left], None
    good_until = None
    if fires:
        good_until = _good_until(policy, expires_ms, expires_on, jitter, fires[0], on_time[0] if on_time else None)
    return Decision(fires, skips, next_slot, good_until, None if left is None else left - len(fires))


_LATE_REASON: Final[dict[str, Reason]] = {"none": "missed", "latest": "coalesced", "all": "dropped"}


def _dead_before(policy: Policy, expires_ms: int | None, now: int, until: int) -> int:
    """The first slot that may still be sent: older ones are past their deadline or their message has expired."""
    bounds = [0]
    if policy.deadline_ms is not None:
        bounds.append(until - policy.deadline_ms)
    if expires_ms is not None:
        bounds.append(now - expires_ms)
    return max(bounds)


def _late(schedule: Schedule, policy: Policy, first: int, last: int, room: int, any_on_time: bool) -> tuple[int, ...]:
    if policy.catchup == "all":
        return _newest(schedule, first, last, room)
    if policy.catchup == "latest" and not any_on_time:
        return _newest(schedule, first, last, 1)
    return ()


def _newest(schedule: Schedule, first: int, last: int, at_most: int) -> tuple[int, ...]:
    """The newest slots in [first, last], at most so many, oldest first. Walks backwards, so its cost is the result."""
    found: list[int] = []
    slot = schedule.last_ms(last) if last >= first else None
    while slot is not None and slot >= first and len(found) < at_most:
        found.append(slot)
        slot = schedule.last_ms(slot - 1)
    return tuple(reversed(found))


def _skip(schedule: Schedule, reason: Reason, first: int, last: int) -> tuple[Skip, ...]:
    """The slots in [first, last] as at most one skip."""
    if last < first:
        return ()
    oldest, newest = schedule.next_ms(first - 1), schedule.last_ms(last)
    if oldest is None or newest is None or oldest > last:
        return ()
    return (Skip(reason, schedule.count_ms(first - 1, last, EXACT_COUNT), oldest, newest),)


def _good_until(
    policy: Policy, expires_ms: int | None, expires_on: int | None, jitter: int, oldest: int, on_time: int | None
) -> int | None:
    """The earliest instant at which one of the fires would become late, expired or past its deadline.

    oldest: the first slot to be fired; on_time: the first of them that is not late, if there is one.
    """
    bounds = []
    if on_time is not None and policy.catchup != "all":
        bounds.append(on_time + jitter + policy.grace_ms)
    if policy.deadline_ms is not None:
        bounds.append(oldest + jitter + policy.deadline_ms)
    if expires_ms is not None:
        bounds.append(oldest + expires_ms)
    if expires_on is not None:
        bounds.append(expires_on)
    return min(bounds, default=None)
