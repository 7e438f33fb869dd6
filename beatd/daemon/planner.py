"""The planner: gives first moments to entries that have none, and fills the window ahead of the ticker."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from beatd.core.planning import owed_moment, plan_item, stray_item
from beatd.core.timetable import Code, PlanItem, Stored
from beatd.core.window import Staged
from beatd.daemon.definitions import invalid_item
from beatd.daemon.outbox import OutboxService
from beatd.daemon.session import Session
from beatd.daemon.together import Turn, wait_for_event
from beatd.errors import EntryInvalid

PAGE: Final = 500
SLICE: Final = 100  # entries made ready between two chances for the ticker, or as many as go into
SLICE_S: Final = 0.002  # so that nobody waits long, however large the definitions are
HORIZON_MS: Final = 15_000
MOST_STAGED: Final = 200_000
MOST_STAGED_BYTES: Final = 64 * 1024 * 1024
REFILL_MS: Final = 5_000  # the window is read on when it ends less than the horizon minus this from now
LONGEST_SLEEP_S: Final = 1.0
PROBE: Final = 100  # blocked entries looked at in one go
PROBE_S: Final = 1.0

_T = TypeVar("_T")


class Planner:
    """Runs beside the ticker, over the same connection, so that reads and moves are answered in order."""

    def __init__(self, session: Session, version: str, outbox: OutboxService | None = None) -> None:
        self._s = session
        self._version = version
        self._outbox = outbox
        self._generation = 0
        self._passed_over = 0  # of those to be planned, how many could not be
        self._page_end = 0  # the moment at which reading goes on
        self._read_at_end = 0  # how many rows of exactly that moment were read
        self._last_read = b""  # the last of their names: rows of one moment are in the order of their names
        self._probe_at = 0.0  # monotonic
        self._probe_from = 0

    async def run(self) -> None:
        """Runs until the connection or the lease is lost; raises what ended it."""
        while True:
            more = await self._look_again()
            more |= await self._plan_unplanned()
            more |= await self._extend_window()
            more |= await self._probe_blocked()
            if not more:
                await wait_for_event(self._s.planner_wakes, self._pause())

    async def _look_again(self) -> bool:
        """Entries met before that may have changed: what is staged of them is dropped, then believed anew."""
        names = self._s.next_suspects(PAGE)
        if not names:
            return False
        await self._take_in(await self._s.timetable.look(names))
        return len(names) == PAGE

    async def _take_in(self, rows: Sequence[Stored]) -> None:
        """Stages what has a moment, and plans the rest: marks, and scores that no script of ours writes."""
        moments = [owed_moment(row) for row in rows]
        ready = [(row, moment) for row, moment in zip(rows, moments, strict=True) if moment is not None]
        await self._stage_rows(ready)
        if len(ready) < len(rows):
            await self._plan([row for row, moment in zip(rows, moments, strict=True) if moment is None])

    async def _plan_unplanned(self) -> bool:
        marked = await self._s.timetable.unplanned(self._passed_over, PAGE)
        planned = 0
        if marked:
            names = [name for name, _ in marked]
            rows = await self._s.timetable.look(names)
            planned = await self._plan([row for row in rows if owed_moment(row) is None])
            await self._sweep(names, rows)
        more = len(marked) == PAGE
        # What can't be planned stays where it is: reading goes on behind it, lest it starve all others.
        self._passed_over = self._passed_over + len(marked) - planned if more else 0
        return more

    async def _plan(self, rows: Sequence[Stored]) -> int:
        """Computes and sets first moments; those inside the window are staged at once. How many were set."""
        planned, turn = 0, self._turn()
        for part in _parts(rows, PAGE):
            items: list[PlanItem] = []
            for row in part:
                items.append(self._plan_item(row))
                if turn.over():
                    await asyncio.sleep(0)
            reply = await self._s.timetable.plan(self._s.term, items)
            planned += sum(code == Code.DONE for code in reply.codes)
            for row, item, code in zip(part, items, reply.codes, strict=True):
                self._planned(row, item, code)
        return planned

    def _plan_item(self, row: Stored) -> PlanItem:
        try:
            compiled = self._s.definitions.compile(row)
            return plan_item(compiled, row, self._s.clock.now_ms(), self._s.settled(row))
        except EntryInvalid as error:
            self._s.events.emit("entry_invalid", entry=row.name, error=error.message)
            return invalid_item(row, error, self._version, self._s.clock.now_ms())

    def _planned(self, row: Stored, item: PlanItem, code: int) -> None:
        if code != Code.DONE:
            self._s.refused(row.name)
            return
        self._s.accepted(row.name)
        if self._s.recovery is not None:
            self._s.recovery.taken_up(row.name)
        # Asked with the bound as it is now that the reply is here: a page read meanwhile may have missed it.
        if item.verdict.isdigit() and self._s.window.covers(int(item.verdict)):
            self._s.stage(row, int(item.verdict))
            self._s.ticker_wakes.set()
        for skip in item.skips:
            self._s.events.emit("entry_skipped", entry=row.name, reason=skip.reason, count=skip.count)

    async def _extend_window(self) -> bool:
        """Reads the next page of the timetable's head. True when there may be more to read at once."""
        window, now = self._s.window, self._s.clock.now_ms()
        if self._generation != window.generation:
            self._generation, self._page_end, self._read_at_end = window.generation, 0, 0
        until = now + HORIZON_MS
        full = len(window) >= MOST_STAGED or window.size >= MOST_STAGED_BYTES
        if full or self._page_end > until - REFILL_MS:
            return False
        # The bound moves when the read is sent: whatever is planned or fired from now on asks with the new one.
        before, window.bound, window.complete = window.bound, until, False
        offset, page = await self._read_on(until, now)
        if self._generation != window.generation:
            return True
        more = len(page) == PAGE
        window.bound = max(before, page[-1][1]) if more else until
        self._read_up_to(page[-1][1] if more else until + 1, offset, page)
        await self._stage_page(page)
        window.complete = not more
        if self._generation == window.generation:
            window.settled = page[-1][1] - 1 if more else until
        return more

    async def _read_on(self, until: int, now: int) -> tuple[int, Sequence[tuple[str, int]]]:
        """The next page with the offset it was read from, within the moment at which the last page ended.

        It begins with a row that was read before: proof that none lies between, though rows may have left that moment
        since. Without the proof the moment is read again from its first row.
        """
        offset = max(0, self._offset(now) - 1)
        page = await self._s.timetable.page(self._s.term, self._page_end, until, offset, PAGE)
        if offset and not (page and page[0][1] == self._page_end and _raw(page[0][0]) <= self._last_read):
            offset, page = 0, await self._s.timetable.page(self._s.term, self._page_end, until, 0, PAGE)
        return offset, page

    def _offset(self, now: int) -> int:
        """How many rows of the moment at which the last page ended need not be read again, as far as is known here.

        Those that were read; of a moment that is due already only those still staged, for others have moved on.
        """
        if self._page_end <= now:
            return min(self._read_at_end, self._s.window.staged_at(self._page_end))
        return self._read_at_end

    def _read_up_to(self, moment: int, offset: int, page: Sequence[tuple[str, int]]) -> None:
        here = sum(1 for _, m in page if m == moment)
        self._read_at_end = here + (offset if moment == self._page_end else 0)
        self._page_end = moment
        self._last_read = _raw(page[-1][0]) if page else b""

    async def _stage_page(self, page: Sequence[tuple[str, int]]) -> None:
        wanted = [(name, moment) for name, moment in page if not self._is_older(name, moment)]
        names = [name for name, _ in wanted]
        if not names:
            return
        revs = await self._s.timetable.revisions(names)
        unknown = []
        for (name, moment), rev in zip(wanted, revs, strict=True):
            compiled = self._s.definitions.known(name, rev)
            if compiled is None or compiled.policy.max_runs is not None or not self._s.is_slot(compiled, moment):
                unknown.append(name)
            else:
                self._s.window.stage(Staged(compiled, moment, None))
        self._s.ticker_wakes.set()
        for part in _parts(unknown, PAGE):
            rows = await self._s.timetable.look(part)
            await self._take_in(rows)
            await self._sweep(part, rows)

    async def _sweep(self, names: Sequence[str], rows: Sequence[Stored]) -> None:
        """Names of the timetable that are no entries: no script of ours leaves them, and they would never move."""
        strays = sorted(set(names) - {row.name for row in rows})
        if not strays:
            return
        scores = zip(strays, await self._s.timetable.scores(strays), strict=True)
        items = [PlanItem(name, "", score, "G") for name, score in scores if score is not None]
        if not items:
            return
        codes = (await self._s.timetable.plan(self._s.term, items)).codes
        gone = [item.name for item, code in zip(items, codes, strict=True) if code == Code.DONE]
        if gone:
            error = "the timetable had a moment for it, but there is no such entry: taken out"
            self._s.events.emit("entry_invalid", entry=gone[0], error=error, count=len(gone))

    async def _probe_blocked(self) -> bool:
        """Entries whose queue refused them come back once it takes messages again. Looks at some each second, in turn.

        True when there may be more to bring back at once.
        """
        if self._s.clock.monotonic() < self._probe_at:
            return False
        rows = await self._s.timetable.blocked(self._probe_from, PROBE)
        moved = await self._bring_back(rows)
        self._probe_from = self._probe_from + len(rows) - moved if len(rows) == PROBE else 0
        self._probe_at = self._s.clock.monotonic() + (0 if moved == PROBE else PROBE_S)
        return moved == PROBE

    async def _bring_back(self, rows: Sequence[Stored]) -> int:
        ready: dict[str, list[tuple[Stored, PlanItem]]] = {}
        turn = self._turn()
        for row in rows:
            if turn.over():
                await asyncio.sleep(0)
            try:
                compiled = self._s.definitions.compile(row)
            except EntryInvalid as error:
                item = invalid_item(row, error, self._version, self._s.clock.now_ms())
                ready.setdefault("", []).append((row, item))
                continue
            item = plan_item(compiled, row, self._s.clock.now_ms())
            if (moment := owed_moment(row)) is not None:
                item = PlanItem(row.name, row.rev, row.score, str(moment))
            template = compiled.shape.template
            queue = template.queue_key if self._outbox is None else template.queue
            ready.setdefault(queue, []).append((row, item))
        usable = dict(zip(ready, await self._usable(list(ready)), strict=True)) if ready else {}
        back = [pair for queue, pairs in ready.items() if usable[queue] for pair in pairs]
        if not back:
            return 0
        reply = await self._s.timetable.plan(self._s.term, [item for _, item in back])
        for (row, item), code in zip(back, reply.codes, strict=True):
            self._planned(row, item, code)
        return len(back)

    async def _usable(self, queues: Sequence[str]) -> list[bool]:
        if self._outbox is not None:
            return [not self._outbox.is_bad(queue) for queue in queues]
        return await self._s.timetable.usable(queues)

    def _is_older(self, name: str, moment: int) -> bool:
        """Whether a page tells what has been overtaken: the entry is being fired, or staged for later already."""
        staged = self._s.window.moment_of(name)
        return name in self._s.in_flight or (staged is not None and staged > moment)

    async def _stage_rows(self, rows: Sequence[tuple[Stored, int]]) -> None:
        anew: list[tuple[Stored, PlanItem]] = []
        turn = self._turn()
        for row, moment in rows:
            if not self._s.window.covers(moment):
                continue
            try:
                compiled = self._s.make_ready(row)
                if self._s.is_slot(compiled, moment):
                    self._s.window.stage(Staged(compiled, moment, row.left))
                elif (stray := stray_item(compiled, row)) is not None:
                    anew.append((row, stray))
            except EntryInvalid as error:
                self._s.events.emit("entry_invalid", entry=row.name, error=error.message)
                anew.append((row, invalid_item(row, error, self._version, self._s.clock.now_ms())))
            if turn.over():
                self._s.ticker_wakes.set()
                await asyncio.sleep(0)
        self._s.ticker_wakes.set()
        if anew:
            reply = await self._s.timetable.plan(self._s.term, [item for _, item in anew])
            for (row, item), code in zip(anew, reply.codes, strict=True):
                self._planned(row, item, code)

    def _turn(self) -> Turn:
        return Turn(self._s.clock.monotonic, SLICE, SLICE_S)

    def _pause(self) -> float:
        """Until the window wants to be read on; an edit wakes the planner earlier."""
        ahead = (self._page_end - HORIZON_MS + REFILL_MS - self._s.clock.now_ms()) / 1000
        return min(LONGEST_SLEEP_S, max(0.01, ahead))


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _parts(rows: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
