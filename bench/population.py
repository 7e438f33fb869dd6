"""A million stored entries, and the order in which they fall due."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from beatd.core.entry import Entry, Policy
from beatd.core.fire import TaskIds
from beatd.core.schedules import parse_schedule
from beatd.core.window import Compiled, Shape, Staged
from beatd.formats.celery import compile_template
from beatd.store.keys import Keys

Order = Literal["burst", "spread"]

HOUR_MS: Final = 3_600_000
PAGE: Final = 5_000
# So long a grace that a slot of last week is on time: a pass over all entries takes seconds, their slots are hours.
POLICY: Final = Policy(grace_ms=10_000 * HOUR_MS)
DESCRIPTION: Final = (
    "Fills the definition up to the 300 bytes that one has with arguments, an owner and a few words about it"
)
SCHEDULES: Final[dict[Order, dict[str, str]]] = {
    "burst": {"cron": "0 * * * *"},  # all at one moment, in the timetable's order
    "spread": {"every": "1h"},  # each at a moment by the hash of its name
}


class Population:
    """Entries by number. A walk hands them out in the timetable's order, one hour further with each pass."""

    def __init__(self, count: int, order: Order, since: int) -> None:
        first = since - since % HOUR_MS
        self._order = order
        self._names = [f"entry-{i:07d}" for i in range(count)]
        self._base = self._entry(0)
        base = self._base
        self._template = compile_template(base.task, base.queue, base.options, origin="gen1@bench")
        self._shape = Shape(base.policy, self._template, TaskIds("default"), 2_000)
        self._own = self._template.own(base.name, base.args, base.kwargs)
        self._first = [self._first_moment(i, first - 1) for i in range(count)]
        self._sequence = sorted(range(count), key=lambda i: (self._first[i], i))
        self._position = self._passes = 0

    @property
    def message_bytes(self) -> int:
        """No message is longer."""
        return self._template.longest(self._own)

    def take(self, count: int) -> list[Staged]:
        """The next entries, as the planner stages them."""
        return [self._staged() for _ in range(count)]

    def commands(self, keys: Keys) -> Iterator[list[Any]]:
        """What stores all of it, in pages: the state that put and plan leave behind, and one earlier fire."""
        definition = self._base.to_definition()
        for start in range(0, len(self._names), PAGE):
            page = range(start, min(start + PAGE, len(self._names)))
            names = [self._names[i] for i in page]
            yield ["HSET", keys.key("def"), *_pairs(names, [definition] * len(names))]
            yield ["HSET", keys.key("rev"), *_pairs(names, [self._rev(i) for i in page])]
            yield ["ZADD", keys.key("due"), *_pairs([self._first[i] for i in page], names)]
            yield ["HSET", keys.key("last"), *_pairs(names, [self._last(i) for i in page])]

    def _staged(self) -> Staged:
        i = self._sequence[self._position]
        moment = self._first[i] + self._passes * HOUR_MS
        self._position += 1
        if self._position == len(self._sequence):
            self._position, self._passes = 0, self._passes + 1
        entry = self._entry(i)
        compiled = Compiled(entry.name, self._rev(i), entry.schedule, self._shape, self._own, 0, 600)
        return Staged(compiled, moment, None)

    def _entry(self, i: int) -> Entry:
        name = self._names[i]
        schedule = parse_schedule(SCHEDULES[self._order], name=name)
        return Entry(name, "app.tasks.work", schedule, policy=POLICY, description=DESCRIPTION)

    def _first_moment(self, i: int, after: int) -> int:
        slot = self._entry(i).schedule.next_ms(after)
        assert slot is not None
        return slot

    def _rev(self, i: int) -> str:
        nonce = hashlib.md5(self._names[i].encode(), usedforsecurity=False).hexdigest()
        return f"{nonce}.{self._base.fingerprint}"

    def _last(self, i: int) -> str:
        slot = self._first[i] - HOUR_MS
        return f"{slot}|{slot}|{self._shape.ids.of(self._names[i], slot)}|"


def _pairs(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    return [value for pair in zip(first, second, strict=True) for value in pair]
