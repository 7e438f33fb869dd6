"""Verbs for what waits for another broker than our Redis: looking at it, and giving it up."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from beatd.client.steps import Steps, ask
from beatd.core.waiting import Waiting
from beatd.errors import BeatdError
from beatd.store.entries import MOST_ITEMS
from beatd.store.keys import Keys
from beatd.store.outbox import broker_of, drop_call, waiting_of


class Kept(NamedTuple):
    """What was read. rows: in the order in which they were decided. unreadable: how many another client has spoilt.

    broker: the short hash of the leader's, '' where it sends to our Redis; None where no leader says so. now: UTC ms.
    """

    rows: Sequence[Waiting]
    unreadable: int
    broker: str | None
    now: int


def look(keys: Keys) -> Steps[Kept]:
    """All that waits. Raises StoreSpoilt where the key holds something else."""
    key = keys.key
    heads, lease, instances, time = yield from ask(
        ("HGETALL", key("ob")), ("HGETALL", key("lease")), ("HGETALL", key("inst")), ("TIME",)
    )
    rows, unreadable = waiting_of(heads)
    now = int(time[0]) * 1000 + int(time[1]) // 1000
    return Kept(rows, unreadable, broker_of(_pairs(lease), _pairs(instances), now), now)


def leaders_broker(keys: Keys) -> Steps[str | None]:
    """The short hash of the leader's broker, '' where it sends to our Redis; None where no leader says so, or where
    that can't be read.
    """
    found = yield from ask(("HGETALL", keys.key("lease")), ("HGETALL", keys.key("inst")), ("TIME",), tolerant=True)
    if any(isinstance(reply, BeatdError) for reply in found):
        return None
    lease, instances, time = found
    return broker_of(_pairs(lease), _pairs(instances), int(time[0]) * 1000 + int(time[1]) // 1000)


def drop(keys: Keys, rows: Sequence[Waiting], why: str, who: str) -> Steps[list[Waiting]]:
    """Gives messages up, with a row of the history each; those that were still there. who: JSON for the audit."""
    dropped: list[Waiting] = []
    for start in range(0, len(rows), MOST_ITEMS):
        part = rows[start : start + MOST_ITEMS]
        pairs = [(row.id, row.draft.task_id) for row in part]
        ((codes, _),) = yield from ask(drop_call(keys, pairs, why, who))
        dropped += [row for row, code in zip(part, codes.decode(), strict=True) if code == "0"]
    return dropped


def _pairs(flat: Sequence[Any]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
