"""The one ledger check: every message that reaches a queue is recorded, and compared with the pure slot function."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis

from beatd.core.fire import TaskIds
from beatd.core.schedules import SCHEDULE_KEYS, parse_schedule
from tests.support.servers import RedisServer

PATIENCE_S: Final = 20.0
ANSWER_S: Final = 0.2  # within this the answer to a fire is there
RECORD: Final = "ledger:"  # what was taken from a queue lies in a list of this name and the queue's


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One message. ``slot`` UTC ms; ``arrived`` monotonic seconds, None if the answer that brought it was lost."""

    entry: str
    slot: int
    id: str
    arrived: float | None
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many messages came, and what is wrong with them, a line each."""

    messages: int
    doubled: list[str]
    missing: list[str]
    strange: list[str]

    @property
    def problems(self) -> list[str]:
        """All that is wrong."""
        return [*self.doubled, *self.missing, *self.strange]


class Ledger:
    """Consumes queues from a thread each, for as long as it is open, over any outage.

    A message is moved, not popped: what a dying server moved without answering is found in the record afterwards, so
    that a loss in the ledger is never taken for a loss of the daemon.
    """

    def __init__(self, server: RedisServer, *, queues: Sequence[str] = ("celery",), namespace: str = "default") -> None:
        self._server = server
        self._namespace = namespace
        self._found: list[Enqueued] = []
        self._grown = threading.Condition()
        self._closing = False
        self._threads = [threading.Thread(target=self._consume, args=(queue,), daemon=True) for queue in queues]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closing = True
        for thread in self._threads:
            thread.join(10)

    def all(self, entry: str | None = None) -> list[Enqueued]:
        """What has come so far, in the order of arrival."""
        with self._grown:
            return [m for m in self._found if entry in (None, m.entry)]

    def wait_for(self, condition: Callable[[list[Enqueued]], bool], *, timeout: float = PATIENCE_S) -> list[Enqueued]:
        """What has come, as soon as the condition holds."""
        with self._grown:
            if not self._grown.wait_for(lambda: condition(self._found), timeout):
                last = {m.entry: m.slot for m in self._found}
                raise AssertionError(f"not in {timeout:g} s; {len(self._found)} messages, last slots: {last}")
            return list(self._found)

    def wait_for_entry(
        self, entry: str, count: int = 1, *, after: int = 0, timeout: float = PATIENCE_S
    ) -> list[Enqueued]:
        """Messages of one entry with slots after an instant (UTC ms), once there are so many."""

        def of_entry(found: Iterable[Enqueued]) -> list[Enqueued]:
            return [m for m in found if m.entry == entry and m.slot > after]

        return of_entry(self.wait_for(lambda found: len(of_entry(found)) >= count, timeout=timeout))

    def settle(self, specs: Mapping[str, Mapping[str, Any]], until: int, *, timeout: float = PATIENCE_S) -> None:
        """Waits until every entry has fired a slot at or after `until` (UTC ms): all before is decided then."""

        def settled(found: Iterable[Enqueued]) -> bool:
            return {m.entry for m in found if m.slot >= until} >= set(specs)

        self.wait_for(settled, timeout=timeout)

    def check(self, specs: Mapping[str, Mapping[str, Any]], until: int, *, timeout: float = PATIENCE_S) -> Counter[str]:
        """The verdict on entries that fire every slot, which must be without a problem. Gives the number of fires by
        entry.
        """
        self.settle(specs, until, timeout=timeout)
        verdict = self.verdict(specs, until)
        assert not verdict.problems, "\n".join([f"{len(verdict.problems)} problems", *verdict.problems[:20]])
        return Counter(m.entry for m in self.all() if m.slot <= until)

    def check_once(self, *, forgot: Sequence[float] = ()) -> None:
        """No (entry, slot) twice, and each id is the one derived from its slot.

        forgot: when the server lost all it had, monotonic seconds. What came shortly before may come again: its answer
        may still have been on the way.
        """
        sure = [m for m in self.all() if not any(m.arrived and 0 <= at - m.arrived < ANSWER_S for at in forgot)]
        verdict = verdict_on(sure, {}, 0, self._namespace)
        assert not verdict.problems, "\n".join([f"{len(verdict.problems)} problems", *verdict.problems[:20]])

    def verdict(self, specs: Mapping[str, Mapping[str, Any]], until: int) -> Verdict:
        """From the first fire of each entry to `until` none is missing, none stands twice, none is foreign to its
        schedule, and each id is the one derived from its slot.
        """
        return verdict_on(self.all(), specs, until, self._namespace)

    def longest_gap(self, first: float, last: float) -> float:
        """The longest time without an arrival between two monotonic instants, seconds."""
        times = sorted(m.arrived for m in self.all() if m.arrived is not None and first <= m.arrived <= last)
        return max((b - a for a, b in zip([first, *times], [*times, last], strict=True)), default=last - first)

    def lateness_ms(self, entry: str) -> list[int]:
        """By how much each message of an entry came after its slot, by this machine's clock."""
        return [m.wall_ms - m.slot for m in self.all(entry) if m.arrived is not None]

    def _consume(self, queue: str) -> None:
        taken = 0
        while not self._closing:
            with suppress(redis.RedisError, OSError), self._server.client() as client:
                taken += self._recover(client, queue, taken)
                while not self._closing:
                    raw = client.execute_command("BLMOVE", queue, RECORD + queue, "RIGHT", "LEFT", 0.2)
                    if raw is not None:
                        taken += 1
                        self._note([read_message(raw, time.monotonic())])
            time.sleep(0.002)

    def _recover(self, client: "redis.Redis", queue: str, taken: int) -> int:
        lost = client.llen(RECORD + queue) - taken
        if lost > 0:
            found: Any = client.lrange(RECORD + queue, 0, lost - 1)
            self._note([read_message(raw, None) for raw in reversed(found)])
        return max(lost, 0)

    def _note(self, found: Sequence[Enqueued]) -> None:
        with self._grown:
            self._found += found
            self._grown.notify_all()


def by_entry(found: Iterable[Enqueued]) -> dict[str, list[int]]:
    """Slots by entry, in the order of arrival."""
    slots = defaultdict(list)
    for message in found:
        slots[message.entry].append(message.slot)
    return slots


def verdict_on(
    found: Sequence[Enqueued], specs: Mapping[str, Mapping[str, Any]], until: int, namespace: str = "default"
) -> Verdict:
    """As Ledger.verdict, on messages that were found otherwise."""
    counts = Counter((m.entry, m.slot) for m in found)
    doubled = [f"{key} x {n}" for key, n in counts.items() if n > 1]
    ids = TaskIds(namespace)
    strange = [f"{m}: its id does not follow from its slot" for m in found if m.id != ids.of(m.entry, m.slot)]
    missing = []
    for entry, spec in specs.items():
        schedule = parse_schedule({k: v for k, v in spec.items() if k in SCHEDULE_KEYS}, name=entry)
        fired = {m.slot for m in found if m.entry == entry and m.slot <= until}
        wanted = _slots(schedule.next_ms, min(fired) - 1, until)
        missing += [f"{entry}: {slot} is missing" for slot in sorted(wanted - fired)]
        strange += [f"{entry}: {slot} is no slot of its schedule" for slot in sorted(fired - wanted)]
    return Verdict(len(found), doubled, missing, strange)


def read_message(raw: bytes, arrived: float | None) -> Enqueued:
    """A message as it lay in a queue."""
    headers = json.loads(raw)["headers"]
    slot = datetime.fromisoformat(headers["beatd_slot"])
    ms = round((slot - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    return Enqueued(headers["periodic_task_name"], ms, headers["id"], arrived, time.time_ns() // 1_000_000)


def _slots(next_ms: Callable[[int], int | None], after: int, until: int) -> set[int]:
    found = set()
    slot = next_ms(after)
    while slot is not None and slot <= until:
        found.add(slot)
        slot = next_ms(slot)
    return found
