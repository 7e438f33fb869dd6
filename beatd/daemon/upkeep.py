"""Upkeep: what a leader does beside firing, slowly: mends what lies astray, forgets what is over, follows zone data."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Final

from beatd.core.planning import moved_item, owed_moment
from beatd.core.timetable import Code, PlanItem, Stored
from beatd.daemon.ports import UpkeepPort
from beatd.daemon.session import Session
from beatd.daemon.together import wait_for_event
from beatd.errors import AccessDenied, BeatdError, EntryInvalid, Refused

PAGE: Final = 500
TICK_S: Final = 5.0
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


class Upkeep:
    """Runs beside planner and ticker, over a connection of its own.

    zone_data: the version used here, '' where nobody knows.
    """

    def __init__(self, session: Session, open_port: Callable[[], Awaitable[UpkeepPort]], zone_data: str) -> None:
        self._s = session
        self._open_port = open_port
        self._zone_data = zone_data
        self._next_round = 0.0
        self._told: set[str] = set()

    async def run(self) -> None:
        """Runs until the connection or the lease is lost; raises what ended it."""
        port = await self._open_port()
        try:
            with self._outlived():
                await self._follow_zone_data(port)
            while True:
                wanted = await wait_for_event(self._s.walk_wanted, TICK_S)
                with self._outlived():
                    if wanted:
                        await self._walk(port)
                    await port.bound_histories()
                    await self._round(port)
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
        await self._remove_finished(port)

    async def _remove_finished(self, port: UpkeepPort) -> None:
        """Entries that ran once are removed a week later, unless a file holds them."""
        before, cursor = self._s.clock.now_ms() - KEEP_FINISHED_MS, "0"
        while True:
            cursor, found = await port.finished(cursor)
            old = [name for name, at in found if at < before]
            if old:
                await self._remove_once(port, old)
            if cursor == "0":
                return

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
            error = f"this instance has zone data {self._zone_data}, the timetable was planned with {stored}"
            hint = "upgrade tzdata here; until then slots stay where the newer data put them"
            self._s.events.emit("config_refused", error=error, hint=hint)
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


async def _pages(port: UpkeepPort, kind: str) -> AsyncIterator[Sequence[str]]:
    """All names in one place, in pages that a call can take."""
    cursor = "0"
    while True:
        cursor, names = await port.names(kind, cursor)
        for start in range(0, len(names), PAGE):
            yield names[start : start + PAGE]
        if cursor == "0":
            return
