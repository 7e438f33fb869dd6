"""Ranges that overlap: slots of a backfill that another one of the same entry has pushed, or is pushing."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from beatd.client.steps import Steps, ask
from beatd.core.instant import instant_text
from beatd.core.requests import Request, Wanted, read_request
from beatd.errors import Refused
from beatd.store.keys import Keys

PAGE: Final = 1_000


class Overlap(NamedTuple):
    """Slots that were pushed before, oldest first; those that were not; and the other backfills, newest first."""

    pushed: Sequence[int]
    fresh: Sequence[int]
    others: Sequence[tuple[Request, Wanted]]


def overlap_of(slots: Sequence[int], others: Iterable[Request]) -> Overlap:
    """What some slots (UTC ms, in order) share with other backfills of their entry.

    An open one counts with all of its range, an ended one as far as it came, and not at all where it pushed nothing.
    """
    marks = [False] * len(slots)
    sharing: list[tuple[Request, Wanted]] = []
    for other in others:
        if other.wanted is None or (other.state != "open" and not other.pushed):
            continue
        first, behind = _covered(slots, other, other.wanted)
        if first < behind:
            marks[first:behind] = [True] * (behind - first)
            sharing.append((other, other.wanted))
    pushed = [slot for slot, mark in zip(slots, marks, strict=True) if mark]
    fresh = [slot for slot, mark in zip(slots, marks, strict=True) if not mark]
    return Overlap(pushed, fresh, sorted(sharing, key=lambda pair: pair[0].at, reverse=True))


def _covered(slots: Sequence[int], other: Request, wanted: Wanted) -> tuple[int, int]:
    """From which index of the slots to before which."""
    until = wanted.last if other.state == "open" else min(other.cursor, wanted.last)
    return bisect_right(slots, wanted.first - 1), bisect_right(slots, until)


def check_overlap(keys: Keys, name: str, request_id: str, slots: Sequence[int]) -> Steps[None]:
    """Raises Refused where another backfill of the entry than this one has pushed some of the slots."""
    if not slots:
        return
    found = overlap_of(slots, (yield from _others(keys, name, request_id)))
    if found.pushed:
        raise _refusal(name, len(slots), found)


def _others(keys: Keys, name: str, request_id: str) -> Steps[list[Request]]:
    """The backfills of an entry that are kept, but one; page by page, as requests are stored by their ids alone."""
    others: dict[str, Request] = {}
    cursor: bytes = b"0"
    while True:
        [(cursor, flat)] = yield from ask(("HSCAN", keys.key("req"), cursor, "COUNT", PAGE))
        for raw, value in zip(flat[::2], flat[1::2], strict=True):
            found = read_request(raw.decode("utf-8", "surrogateescape"), value)
            if found is None or found.wanted is None or found.id == request_id:
                continue
            if found.wanted.name == name and found.wanted.kind == "backfill":
                others[found.id] = found
        if cursor == b"0":
            return list(others.values())


def _refusal(name: str, slots: int, found: Overlap) -> Refused:
    (newest, wanted), more = found.others[0], len(found.others) - 1
    state = "being pushed, asked for" if newest.state == "open" else "pushed"
    beside = "" if not more else " and another one" if more == 1 else f" and {more:,} others"
    return Refused(
        f"{name!r}: {len(found.pushed):,} of the {slots:,} slots here belong to the backfill from"
        f" {instant_text(wanted.first)} to {instant_text(wanted.last)} ({state} at {instant_text(newest.at)}){beside}",
        hint=_way_out(found),
    )


def _way_out(found: Overlap) -> str:
    low, high = found.pushed[0], found.pushed[-1]
    behind = next((slot for slot in found.fresh if slot > high), None)
    before = next((slot for slot in reversed(found.fresh) if slot < low), None)
    ways = [f"--from {instant_text(behind)} begins behind them"] if behind is not None else []
    ways += [f"--to {instant_text(before)} ends before them"] if before is not None else []
    return ", ".join([*ways, "--again pushes them once more"])
