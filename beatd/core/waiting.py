"""The outbox as people see it: which messages wait for another broker than our Redis, and what they come to."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from beatd.core.intent import Draft, is_same_broker


class Waiting(NamedTuple):
    """One intent without its message, which has so many bytes."""

    id: str
    draft: Draft
    size: int


@dataclass(frozen=True, slots=True)
class Outboxed:
    """The outbox in numbers. oldest: the slot that waits longest of those of the timetable, UTC ms, None where there is
    none. queues: how many messages wait for each, the most first. left_over: how many are for another broker than the
    leader's, which sends them nowhere; None where no leader says which is its. unreadable: how many nobody can read.
    """

    messages: int = 0
    size: int = 0
    oldest: int | None = None
    queues: Mapping[str, int] = field(default_factory=dict)
    left_over: int | None = None
    unreadable: int = 0


def summed_up(rows: Sequence[Waiting], broker: str | None, unreadable: int = 0) -> Outboxed:
    """What some intents come to. broker: the short hash of the leader's, '' for our Redis, None unknown."""
    queues = Counter(row.draft.queue for row in rows)
    return Outboxed(
        len(rows),
        sum(row.size for row in rows),
        min((row.draft.slot for row in rows if not row.draft.cause), default=None),
        dict(queues.most_common()),
        None if broker is None else sum(is_left_over(row, broker) for row in rows),
        unreadable,
    )


def is_left_over(row: Waiting, broker: str) -> bool:
    """Whether a leader with this broker sends it nowhere."""
    return not is_same_broker(row.draft.broker, broker)


def chosen(
    rows: Sequence[Waiting],
    names: Collection[str] = (),
    queues: Collection[str] = (),
    *,
    left_over_of: str | None = None,
) -> list[Waiting]:
    """Those of these entries and these queues, of all where none are given.

    left_over_of: those alone that a leader with this broker sends nowhere.
    """
    return [
        row
        for row in rows
        if (not names or row.draft.name in names)
        and (not queues or row.draft.queue in queues)
        and (left_over_of is None or is_left_over(row, left_over_of))
    ]
