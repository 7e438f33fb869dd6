"""Reading what `beatd status` sums up: lease, instances, entries by state, how late the last fires were, refusals.

A handful of round trips at any number of entries: what would take longer to count is taken from the leader, who counts
now and then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any, Final, TypeVar

from beatd.core.census import STATES, LeftOut, Pausing, Sizes, Tally
from beatd.core.overview import OF_INSTANCE, QUEUE_TAKES_NONE, Counts, Overview, Refusal
from beatd.core.waiting import Outboxed, summed_up
from beatd.store.blocking import BlockingLink
from beatd.store.history import History
from beatd.store.key_types import spoilt_keys
from beatd.store.lease import applied_command, applied_of
from beatd.store.outbox import broker_of, waiting_of
from beatd.store.refusals import StoreSpoilt
from beatd.store.spoilt import instant, object_of, score

FIRES: Final = 1_000  # of which lateness is told
SKIPS: Final = 500  # among which refusals are looked for
REFUSALS: Final = 5
PAGE: Final = 1_000
COUNTED: Final = 5_000  # entries outside the timetable that are counted one by one
FRESH_MS: Final = 600_000  # how old the leader's own count may be
# Skips that nobody asked for; the others follow from an edit, or from a later slot that stood for this one.
REFUSED: Final[Mapping[str, str]] = {
    "missed": "it was later than its grace, and catchup is none",
    "expired": "it was past its deadline, or its message had expired",
    "dropped": "more had piled up than catchup_limit",
    "past": "its only instant had passed",
    "invalid": "its definition could not be read",
    "undeliverable": "the broker did not take it",
}
_NO_DUE: Final[tuple[int | None, int]] = (None, 0)
_NO_FIRE: Final[tuple[list[int], int | None]] = ([], None)
_NO_REFUSAL: Final[list[Refusal]] = []
_T = TypeVar("_T")


def read_overview(link: BlockingLink) -> Overview:
    """Reads it all. What another client has spoilt counts as missing, and is told. Raises Unreachable."""
    fleet = read_fleet(link)
    leader = fleet.instances.get(fleet.lease.get("host", ""), {})
    counts, invalid = _outlived(partial(_counted, link, fleet.now, leader), (fleet.counts, _NO_REFUSAL))
    late, since = _outlived(partial(History(link, ("hist",)).lateness, FIRES), _NO_FIRE)
    refusals = [_outlived(partial(read, link), _NO_REFUSAL) for read in (_blocked, _skipped)]
    refusals.append(list(_of_instances(fleet)))
    return replace(
        fleet,
        counts=counts,
        late_ms=late,
        late_since=since,
        refusals=sorted(chain(invalid, *refusals), key=lambda each: -(each.at or 0))[:REFUSALS],
        spoilt=list(spoilt_keys(link).values()),
        outbox=_outlived(partial(_outboxed, link, fleet.now), Outboxed()),
    )


def read_fleet(link: BlockingLink) -> Overview:
    """Lease, instances and what waits, without counting anything. Raises Unreachable."""
    key = link.keys.key
    lease, instances, applied, time = link.ask(
        ("HGETALL", key("lease")), ("HGETALL", key("inst")), applied_command(link.keys), ("TIME",)
    )
    seconds, micros = _sound(time)
    now = int(seconds) * 1000 + int(micros) // 1000
    held = {_text(name): _text(value) for name, value in _pairs(_sound(lease, []))}
    records = {_text(name): object_of(text) for name, text in _pairs(_sound(instances, []))}
    oldest, unplanned = _outlived(partial(_due, link, now), _NO_DUE)
    return Overview(
        now=now,
        lease=held,
        counts=Counts({}, now),
        instances=records,
        applied=applied_of(_sound(applied, (None, None, None))),
        oldest_due=oldest,
        unplanned=unplanned,
    )


def _due(link: BlockingLink, now: int) -> tuple[int | None, int]:
    """The oldest moment that has come, and how many entries wait to be planned from an instant that has come."""
    due = link.keys.key("due")
    oldest, unplanned = link.request(
        ("ZRANGEBYSCORE", due, 0, now, "WITHSCORES", "LIMIT", 0, 1), ("ZCOUNT", due, -now, "(0")
    )
    return (score(oldest[1]) if oldest else None), int(unplanned)


def _outboxed(link: BlockingLink, now: int) -> Outboxed:
    """What waits for another broker."""
    heads, lease, instances = link.request(*[("HGETALL", link.keys.key(kind)) for kind in ("ob", "lease", "inst")])
    rows, unreadable = waiting_of(heads)
    return summed_up(rows, broker_of(dict(_pairs(lease)), dict(_pairs(instances)), now), unreadable)


def _counted(link: BlockingLink, now: int, leader: Mapping[str, Any]) -> tuple[Counts, list[Refusal]]:
    """Entries by state, and some of those that are invalid. Off by those that are edited meanwhile."""
    key = link.keys.key
    out, hold, due, blocked = link.request(
        ("HLEN", key("out")), ("HLEN", key("hold")), ("ZCARD", key("due")), ("ZCARD", key("blocked"))
    )
    told = told_counts(leader, now)
    if out + hold > COUNTED and told is not None:
        return told, []
    tally = Tally()
    invalid: list[Refusal] = []
    for page in _pages(link, "out"):
        rows = {name: object_of(text) for name, text in page}
        tally.add_left_out(LeftOut("", reasons.keys(), None) for reasons in rows.values())
        found = ((name, reasons["invalid"]) for name, reasons in rows.items() if "invalid" in reasons)
        invalid += [_invalid(_text(name), why) for name, why in islice(found, REFUSALS - len(invalid))]
    for page in _pages(link, "hold"):
        tally.add_pausing(_pausing(link, page), now)
    return Counts(tally.by_state(Sizes(due=due, out=out, blocked=blocked)), now), invalid


def told_counts(leader: Mapping[str, Any], now: int) -> Counts | None:
    """What the leader says it has counted lately; None where that is old or can't be read."""
    states, at = leader.get("entries"), instant(leader.get("counted_at"))
    if not isinstance(states, dict) or at is None or at < now - FRESH_MS:
        return None
    if not all(isinstance(states.get(state), int) for state in STATES):
        return None
    return Counts({state: states[state] for state in STATES}, at)


def _pausing(link: BlockingLink, page: Sequence[tuple[bytes, bytes]]) -> list[Pausing]:
    """The pauses with an end of one page of T:hold, over or not."""
    until = {name: end for name, text in page if (end := instant(object_of(text).get("until"))) is not None}
    if not until:
        return []
    key = link.keys.key
    outs, blocked = link.request(("HMGET", key("out"), *until), ("ZMSCORE", key("blocked"), *until))
    return [
        Pausing(end, None if text is None else object_of(text).keys(), moment is not None)
        for end, text, moment in zip(until.values(), outs, blocked, strict=True)
    ]


def _pages(link: BlockingLink, kind: str) -> Iterator[list[tuple[bytes, bytes]]]:
    """A whole hash, page by page."""
    cursor = b"0"
    while True:
        cursor, flat = link.request(("HSCAN", link.keys.key(kind), cursor, "COUNT", PAGE))[0]
        yield list(_pairs(flat))
        if cursor == b"0":
            return


def _invalid(name: str, found: Any) -> Refusal:
    known = found if isinstance(found, dict) else {}
    why = str(known.get("why") or "its definition can't be read")
    return Refusal(instant(known.get("at")), name, "invalid", why)


def _blocked(link: BlockingLink) -> list[Refusal]:
    flat = link.request(("ZRANGE", link.keys.key("blocked"), 0, REFUSALS - 1, "WITHSCORES"))[0]
    return [Refusal(abs(score(raw) or 0), _text(name), "blocked", QUEUE_TAKES_NONE) for name, raw in _pairs(flat)]


def _skipped(link: BlockingLink) -> list[Refusal]:
    """The newest skips that nobody asked for, one an entry."""
    history = History(link, ("skip",))
    found: dict[str, Refusal] = {}
    for line in islice(history.backwards(0, history.tips()), SKIPS):
        why = REFUSED.get(line.reason or "")
        if why is not None and line.name is not None and line.name not in found:
            found[line.name] = Refusal(line.at, line.name, str(line.reason), line.why or why)
            if len(found) == REFUSALS:
                break
    return list(found.values())


def _of_instances(fleet: Overview) -> Iterator[Refusal]:
    """What living instances were refused last."""
    for name, record in fleet.living.items():
        told = record.get("last_refusal")
        if isinstance(told, dict):
            yield Refusal(instant(told.get("at")), name, OF_INSTANCE, str(told.get("error")))


def _outlived(read: Callable[[], _T], otherwise: _T) -> _T:
    """What is read, or what stands for it where a key is not what beatd keeps there: that is told by itself."""
    try:
        return read()
    except StoreSpoilt:
        return otherwise


def _sound(reply: Any, otherwise: Any = None) -> Any:
    if isinstance(reply, StoreSpoilt) and otherwise is not None:
        return otherwise
    if isinstance(reply, Exception):
        raise reply
    return reply


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _text(raw: bytes) -> str:
    """For people: a name in no encoding of ours is shown with marks in it."""
    return raw.decode(errors="replace")
