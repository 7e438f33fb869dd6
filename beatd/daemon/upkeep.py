"""Upkeep: what a leader does beside firing, slowly: mends what lies astray, forgets what is over, follows zone data."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from beatd.core.census import Tally
from beatd.core.planning import moved_item, owed_moment
from beatd.core.timetable import Code, PlanItem, Stored
from beatd.daemon.ports import UpkeepPort
from beatd.daemon.requests import tidy_page
from beatd.daemon.session import Session
from beatd.daemon.together import wait_for_event
from beatd.daemon.vitals import Vitals
from beatd.errors import AccessDenied, BeatdError, EntryInvalid, Refused

PAGE: Final = 500
TICK_S: Final = 5.0
FIRST_TICK_S: Final = 1.0
PACE: Final = 1  # times as long as a page takes, a walk waits before the next one
RESTS: Final = 9  # times as long as a walk took, nothing is counted again
ROUND_S: Final = 60.0
SLICE: Final = 20  # definitions made ready between two chances for the ticker
KEEP_FINISHED_MS: Final = 7 * 86_400_000
KEEP_INSTANCES_MS: Final = 86_400_000
FINDINGS: Final = {
    1: "it was in the timetable and is no entry: taken out",
    2: "it was nowhere in the timetable: planned again",
    3: "it was in two places at once: the one that keeps it from firing counts",
    4: "there is a definition without a revision, which never fires: write the entry again (beatd set)",
}

_Row = TypeVar("_Row")


class Upkeep:
    """Runs beside planner and ticker, over a connection of its own.

    zone_data: the version used here, '' where nobody knows. ``vitals`` hears what is counted on the way.
    """

    def __init__(
        self,
        session: Session,
        open_port: Callable[[], Awaitable[UpkeepPort]],
        zone_data: str,
        vitals: Vitals,
    ) -> None:
        self._s = session
        self._open_port = open_port
        self._zone_data = zone_data
        self._next_round = 0.0
        self._told: set[str] = set()
        self._vitals = vitals
        self._count_from = 0.0  # monotonic: no count before, unless a round walks there anyway
        self._tally: Tally | None = None
        self._tallied: tuple[int, int] | None = None  # sizes of the places when that was counted
        self._last_skip: str | None = None

    async def run(self) -> None:
        """Runs until the connection or the lease is lost; raises what ended it."""
        port = await self._open_port()
        try:
            with self._outlived():
                self._last_skip, _ = await port.edit_skips(None)
            with self._outlived():
                await self._follow_zone_data(port)
            tick = FIRST_TICK_S
            while True:
                wanted = await wait_for_event(self._s.walk_wanted, tick)
                tick = TICK_S
                with self._outlived():
                    if wanted:
                        await self._walk(port)
                with self._outlived():
                    await self._count_skips(port)
                with self._outlived():
                    await port.bound_histories()
                with self._outlived():
                    await self._round(port)
                with self._outlived():
                    await self._count_again(port)
        finally:
            await port.close()

    @contextlib.contextmanager
    def _outlived(self) -> Iterator[None]:
        """A key of a wrong type, or a missing right, ends no leadership: none of this is needed to fire."""
        try:
            yield
        except (Refused, AccessDenied) as error:
            self._tell(error)

    def _tell(self, error: BeatdError) -> None:
        if error.message not in self._told:
            self._told.add(error.message)
            self._s.events.emit("backlog", reason="upkeep", error=error.message, hint=error.hint)

    async def _round(self, port: UpkeepPort) -> None:
        """Once a minute: what is over is forgotten."""
        now = self._s.clock.monotonic()
        if now < self._next_round:
            return
        self._next_round = now + ROUND_S
        await port.forget_instances(self._s.clock.now_ms() - KEEP_INSTANCES_MS)
        async for names in _pages(port, "gone"):
            await port.trim(self._s.term, names)
        async for rows in _paced(port.requests, self._s.clock.monotonic):
            await tidy_page(port, self._s.term, rows, self._s.clock.now_ms())
        await self._count(port, remove=True)

    async def _count_again(self, port: UpkeepPort) -> None:
        """Counts as soon as something has changed, and no walk was made a short while ago."""
        tally, clock = self._tally, self._s.clock
        over = tally is not None and tally.ends is not None and tally.ends <= clock.now_ms()
        if clock.monotonic() >= self._count_from and (over or self._places() != self._tallied):
            await self._count(port, remove=False)

    def _places(self) -> tuple[int, int]:
        return self._s.sizes.out, self._s.sizes.held

    async def _count(self, port: UpkeepPort, *, remove: bool) -> None:
        """Walks through the entries outside the timetable and counts them by state.

        On the way entries that ran once are removed a week later, unless a file holds them. Given up where names lie
        astray meanwhile: to mend them comes first, and this may take a minute where a million entries are outside.
        """
        clock = self._s.clock
        tally, places, began = Tally(), self._places(), clock.monotonic()
        before = clock.now_ms() - KEEP_FINISHED_MS
        async for rows in _paced(port.left_out, clock.monotonic):
            if self._s.walk_wanted.is_set():
                return
            tally.add_left_out(rows)
            old = [row.name for row in rows if row.finished_at is not None and row.finished_at < before]
            if remove and old:
                await self._remove_once(port, old)
        async for pauses in _paced(port.pausing, clock.monotonic):
            tally.add_pausing(pauses, clock.now_ms())
        tally.at = clock.now_ms()
        self._tally, self._tallied = tally, places
        self._count_from = clock.monotonic() + RESTS * (clock.monotonic() - began)
        self._vitals.counted(tally)

    async def _count_skips(self, port: UpkeepPort) -> None:
        """Ranges that edits skip are known to nobody but their rows."""
        if self._last_skip is None:
            return
        self._last_skip, found = await port.edit_skips(self._last_skip)
        self._vitals.edits_skipped(found)

    async def _remove_once(self, port: UpkeepPort, names: Sequence[str]) -> None:
        for name, (rev, definition, of_file) in zip(names, await port.definitions(names), strict=True):
            if rev is None or of_file:
                continue
            with contextlib.suppress(EntryInvalid):
                stored = Stored(name, "0", rev, definition, 0, 0, None)
                if self._s.definitions.compile(stored).schedule.kind == "at":
                    await port.remove([name], [rev])

    async def _walk(self, port: UpkeepPort) -> None:
        """The numbers of the places disagree: looks at every entry, then for names that are none, in pages."""
        found: dict[int, list[str]] = {}
        for kind in ("rev", "due", "out", "blocked", "def"):
            async for names in _pages(port, kind):
                for name, code in zip(names, await port.repair(self._s.term, names), strict=True):
                    if code:
                        found.setdefault(code, []).append(name)
        for code, names in found.items():
            self._s.events.emit("entry_invalid", entry=names[0], error=FINDINGS[code], count=len(set(names)))

    async def _follow_zone_data(self, port: UpkeepPort) -> None:
        """With newer zone data than the timetable was planned with, what lies elsewhere now is planned again."""
        stored = await port.zone_data()
        if not self._zone_data or stored == self._zone_data:
            return
        if stored is not None and stored > self._zone_data:
            self._s.trust_slots = True
            risk = f"this instance has zone data {self._zone_data}, the timetable was planned with {stored}"
            hint = "upgrade tzdata here; until then slots stay where the newer data put them"
            self._s.events.emit("risk_found", risk=risk, hint=hint)
            return
        if stored is not None:
            async for names in _pages(port, "due"):
                await self._plan_moved(names)
        await port.note_zone_data(self._zone_data)  # last: a crash repeats the walk

    async def _plan_moved(self, names: Sequence[str]) -> None:
        items: list[PlanItem] = []
        for number, row in enumerate(await self._s.timetable.look(names)):
            with contextlib.suppress(EntryInvalid):  # whoever stages it will say so
                if owed_moment(row) is not None:
                    compiled = self._s.definitions.compile(row)
                    items += filter(None, [moved_item(compiled, row, self._s.clock.now_ms())])
            if number % SLICE == 0:
                await asyncio.sleep(0)
        if items:
            reply = await self._s.timetable.plan(self._s.term, items)
            self._s.suspect(*[item.name for item, code in zip(items, reply.codes, strict=True) if code == Code.DONE])


async def _paced(
    read: Callable[[str], Awaitable[tuple[str, list[_Row]]]], monotonic: Callable[[], float]
) -> AsyncIterator[list[_Row]]:
    """All rows in one place, in pages, at half of the time at most: there may be a million of them."""
    cursor = "0"
    while True:
        began = monotonic()
        cursor, rows = await read(cursor)
        yield rows
        if cursor == "0":
            return
        await asyncio.sleep(PACE * (monotonic() - began))


async def _pages(port: UpkeepPort, kind: str) -> AsyncIterator[Sequence[str]]:
    """All names in one place, in pages that a call can take."""
    cursor = "0"
    while True:
        cursor, names = await port.names(kind, cursor)
        for start in range(0, len(names), PAGE):
            yield names[start : start + PAGE]
        if cursor == "0":
            return
