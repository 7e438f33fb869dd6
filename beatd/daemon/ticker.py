"""The ticker: fires what is due, batch after batch, and learns from every answer."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from beatd.core.batch import MOST_ENTRIES, Batch, make_batch
from beatd.core.fire import FireItem
from beatd.core.planning import owed_moment
from beatd.core.settling import Settling
from beatd.core.term import Term
from beatd.core.timetable import Code, FireReply
from beatd.core.window import Staged
from beatd.daemon.outbox import OutboxService
from beatd.daemon.session import Session
from beatd.daemon.together import wait_for_event
from beatd.errors import EntryInvalid

MOST_IN_FLIGHT: Final = 2  # batches: one runs in Redis while the next is being made
FRESH_MS: Final = 200
LONGEST_SLEEP_S: Final = 1.0
EARLY_MS: Final = 1  # a staged moment is due this long after itself: the clock here may be a rounding ahead


class Ticker:
    """Runs beside the planner. ``prolonged`` hears of every accepted batch, for it renews the lease.

    ``outbox``: what goes to another broker than our Redis is settled through it; while it is shut, nothing is taken.
    """

    def __init__(
        self,
        session: Session,
        *,
        new_tag: Callable[[], str],
        prolonged: Callable[[Term, float], None],
        outbox: OutboxService | None = None,
    ) -> None:
        self._s = session
        self._new_tag = new_tag
        self._prolonged = prolonged
        self._outbox = outbox
        self._room = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._turn = 0
        self._caught_up = 0  # the last moment at which nothing was overdue

    async def run(self) -> None:
        """Runs until the connection or the lease is lost; raises what ended it."""
        sending: list[asyncio.Task[None]] = []
        try:
            while True:
                await self._room.acquire()
                self._raise_failed(sending)
                due = await self._take() if self._is_open() else ()
                batch = self._make_batch(due)
                if batch.items:
                    sending.append(asyncio.create_task(self._fire(batch)))
                    continue
                self._room.release()
                if not due:
                    await wait_for_event(self._s.ticker_wakes, self._pause())
                elif self._outbox is not None:  # there is no room for any of them
                    await wait_for_event(self._s.ticker_wakes, LONGEST_SLEEP_S)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    @staticmethod
    def _raise_failed(sending: list[asyncio.Task[None]]) -> None:
        for task in [task for task in sending if task.done()]:
            sending.remove(task)
            task.result()

    async def _take(self) -> Sequence[Staged]:
        """What to fire next. While more is overdue than a batch holds, every second batch serves what fell due last.

        The newest first, since the backlog began: however long Redis or this process was held up, whatever fell due
        meanwhile need not wait for the backlog.
        """
        now, window = self._s.clock.now_ms() - EARLY_MS, self._s.window
        self._turn += 1
        if self._turn % 2:
            fresh: list[Staged] = []
            if window.bound < now:  # first, for it is newer than all that is staged: a full window may end in a storm
                fresh = await self._read_fresh(window.bound, now)
            fresh += window.take_fresh(min(self._caught_up, now - FRESH_MS), now, MOST_ENTRIES - len(fresh))
            if fresh:
                return fresh
        due = window.take_due(now, MOST_ENTRIES)
        if len(due) < MOST_ENTRIES and window.bound >= now:
            self._caught_up = now
        return due

    async def _read_fresh(self, bound: int, now: int) -> list[Staged]:
        """Entries that fell due beyond the window's bound: a backlog is being read, and they must not wait for it."""
        page = await self._s.timetable.newest(bound, now, MOST_ENTRIES)
        wanted = [(name, at) for name, at in page if not self._is_busy(name)]
        if not wanted:
            return []
        found, unknown = [], []
        revs = await self._s.timetable.revisions([name for name, _ in wanted])
        for (name, moment), rev in zip(wanted, revs, strict=True):
            compiled = self._s.definitions.known(name, rev)
            if compiled is None or compiled.policy.max_runs is not None or not self._s.is_slot(compiled, moment):
                unknown.append(name)
            else:
                found.append(Staged(compiled, moment, None))
        found += await self._looked_at(unknown, now)
        return [staged for staged in found if not self._is_busy(staged.name)]

    def _is_busy(self, name: str) -> bool:
        return name in self._s.in_flight or self._s.rests(name)

    async def _looked_at(self, names: Sequence[str], now: int) -> list[Staged]:
        """Those that are due, made ready; whoever is not fit to be fired is the planner's to look at."""
        found: list[Staged] = []
        for row in await self._s.timetable.look(names) if names else ():
            moment = owed_moment(row)
            try:
                compiled = self._s.definitions.compile(row)
            except EntryInvalid:
                self._s.suspect(row.name)
                continue
            if moment is None or not self._s.is_slot(compiled, moment):
                self._s.suspect(row.name)
            elif moment <= now:
                found.append(Staged(compiled, moment, row.left))
        return found

    def _make_batch(self, due: Sequence[Staged]) -> Batch:
        now = self._s.clock.now_ms()
        try:
            batch = self._made(due, now)
        except Exception:  # noqa: BLE001  # a defect met by one entry would end this instance, and then each standby
            batch = self._made([staged for staged in due if self._can_be_made(staged, now)], now)
        for staged in batch.rest:
            self._s.window.stage(staged)
        self._s.in_flight.update({staged.name: staged for staged in batch.staged})
        return batch

    def _made(self, due: Sequence[Staged], now: int) -> Batch:
        if self._outbox is not None:
            return self._outbox.make(due, now, self._new_tag)
        return make_batch(due, now, self._new_tag)

    def _can_be_made(self, staged: Staged, now: int) -> bool:
        try:
            make_batch([staged], now, self._new_tag)
        except Exception as error:  # noqa: BLE001  # as above
            self._s.condemn(staged.name, error)
            return False
        return True

    async def _fire(self, batch: Batch) -> None:
        sent = self._s.clock.monotonic()
        try:
            # Without an answer they stay in flight: the session ends, and who knows whether they were fired.
            reply = await self._send(batch)
            for item in batch.items:
                self._s.in_flight.pop(item.name, None)
        finally:
            self._room.release()
            self._s.ticker_wakes.set()
        if reply is None:
            for staged in batch.staged:
                self._s.window.stage(staged)
            return
        self._s.clock.observe(sent, reply.now)
        self._learn(batch, reply, sent)

    async def _send(self, batch: Batch) -> FireReply | None:
        """None where nothing at all was done, and may be tried again."""
        if self._outbox is not None and isinstance(batch, Settling):
            return await self._outbox.settle(batch)
        return await self._s.timetable.fire(self._s.term, batch.items)

    def _learn(self, batch: Batch, reply: FireReply, sent: float) -> None:
        fired: list[FireItem] = []
        for staged, item, code in zip(batch.staged, batch.items, reply.codes, strict=True):
            if code == Code.DONE:
                fired.append(item)
                self._moved(staged, item)
            elif code in (Code.TOO_EARLY, Code.DECIDE_AGAIN):
                self._s.window.stage(staged)
            elif code == Code.QUEUE_REFUSED:
                self._s.events.emit("entry_skipped", entry=item.name, reason="blocked", queue=item.queue_key)
            else:
                self._s.refused(item.name)
        self._s.count_batch(reply.seq, accepted=bool(fired))
        if fired:
            self._prolonged(self._s.term, sent)
            if self._outbox is None:
                self._s.events.fired(fired, reply.now)
            else:
                self._outbox.told_skips(fired, reply.now)

    def _moved(self, staged: Staged, item: FireItem) -> None:
        """An accepted move: inside the window, by the bound as it is now, the entry is staged again without a read."""
        self._s.accepted(item.name)
        if item.next_moment is not None and self._s.window.covers(item.next_moment):
            self._s.window.stage(Staged(staged.compiled, item.next_moment, item.left))

    def _is_open(self) -> bool:
        return self._outbox is None or self._outbox.is_open

    def _pause(self) -> float:
        if not self._is_open():
            return LONGEST_SLEEP_S
        earliest = self._s.window.earliest()
        if earliest is None:
            return LONGEST_SLEEP_S
        return min(LONGEST_SLEEP_S, max(0.0, (earliest + EARLY_MS - self._s.clock.now_ms()) / 1000))
