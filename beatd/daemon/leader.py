"""What a leader does for one term: sessions, one after another, until the term is over."""

import asyncio
import random
from collections.abc import Callable

from beatd.core.term import Term
from beatd.core.timetable import Check
from beatd.daemon.definitions import Definitions
from beatd.daemon.elector import Elector
from beatd.daemon.files import FileEntries
from beatd.daemon.planner import Planner
from beatd.daemon.ports import ChangePort, Clock, EventSink, Stores
from beatd.daemon.session import Session
from beatd.daemon.ticker import Ticker
from beatd.daemon.together import run_together, wait_for_event
from beatd.daemon.trouble import Trouble
from beatd.errors import BeatdError, LeaseLost, Unreachable, WritesRefused

CHECK_S = 1.0
OVERDUE_MS = 1_000


class Leader:
    """Follows the elector: leads while there is a term, holds nothing while there is none."""

    def __init__(
        self,
        stores: Stores,
        elector: Elector,
        clock: Clock,
        events: EventSink,
        definitions: Definitions,
        files: FileEntries,
        *,
        version: str,
        new_tag: Callable[[], str],
        random_source: random.Random,
        patience: float = 12.0,
    ) -> None:
        self.calm = asyncio.Event()  # once in a term all is fired that was due when it began
        self._failing_since: float | None = None  # monotonic
        self._patience = patience
        self._files_were_settled = files.settled  # at the last look
        self._stores = stores
        self._elector = elector
        self._clock = clock
        self._events = events
        self._definitions = definitions
        self._files = files
        self._version = version
        self._new_tag = new_tag
        self._random = random_source

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            term = self._elector.term
            if term is not None:
                await run_together(self._lead(term), self._until_over(term))
            else:
                await wait_for_event(self._elector.changed, 1.0)

    async def _until_over(self, term: Term) -> None:
        while self._elector.term is term:
            await wait_for_event(self._elector.changed, 1.0)

    def failing_s(self) -> float:
        """For how many seconds no session has worked; 0 while one does."""
        return 0.0 if self._failing_since is None else self._clock.monotonic() - self._failing_since

    async def _lead(self, term: Term) -> None:
        """Sessions until the lease is lost: no answer ends a session, and what it believed goes with it.

        Who can't fire for long gives the lease away. Not where the server refuses all writes, or our keys are spoilt:
        every other instance would meet the same.
        """
        trouble = Trouble(self._events, self._random, "leader")
        self._failing_since = None
        while True:
            try:
                await self._session(term, trouble)
            except LeaseLost as error:
                self._elector.lost(term, error.message)
                return
            except BeatdError as error:
                pause = trouble.met(error)
                if self._failing_since is None:
                    self._failing_since = self._clock.monotonic()
                local = isinstance(error, Unreachable) and not isinstance(error, WritesRefused)
                if local and self.failing_s() > self._patience:
                    self._elector.give_up(term, f"it can't fire: {error.message}")
                await asyncio.sleep(pause)

    def _works(self, trouble: Trouble) -> None:
        self._failing_since = None
        self._elector.fit()
        trouble.over()

    def _look_for_calm(self, session: Session, check: Check) -> None:
        """Whether all is planned and fired that was due when this term began, and the files were applied before that
        was asked.
        """
        fired = check.oldest is None or check.oldest > session.term.now
        if fired and not check.unplanned and self._files_were_settled:
            self.calm.set()
        self._files_were_settled = self._files.settled

    async def _session(self, term: Term, trouble: Trouble) -> None:
        timetable = await self._stores.open_timetable()
        try:
            changes = await self._stores.open_changes()
            try:
                session = Session(term, timetable, self._clock, self._definitions, self._events)
                planner = Planner(session, self._version)
                ticker = Ticker(session, new_tag=self._new_tag, prolonged=self._elector.prolonged)
                position = await changes.position()
                await run_together(
                    planner.run(),
                    ticker.run(),
                    _follow(changes, position, session),
                    _check(session, lambda: self._works(trouble), self._look_for_calm),
                    self._files.keep_applied(),
                )
            finally:
                await changes.close()
        finally:
            await timetable.close()


async def _follow(changes: ChangePort, position: str, session: Session) -> None:
    """The change log as a hint: whoever is named in a row is looked at again."""
    while True:
        position, names = await changes.wait(position, 1.0)
        if names:
            session.suspect(*names)


async def _check(session: Session, works: Callable[[], None], seen: Callable[[Session, Check], None]) -> None:
    """Once a second: does Redis agree with what is staged? The first answer says that the session works."""
    differed, stepped = False, session.clock.stepped
    while True:
        await asyncio.sleep(CHECK_S)
        window = session.window
        believed = window.generation, window.bound, window.complete
        sent = session.clock.monotonic()
        check = await session.timetable.check(window.bound)
        session.clock.observe(sent, check.now)
        works()
        seen(session, check)
        if stepped != session.clock.stepped:
            stepped = session.clock.stepped
            by_ms = session.clock.step_ms
            note = "slots that were fired wait until the clock has passed them" if by_ms < 0 else None
            session.events.emit("clock_stepped", by_ms=by_ms, note=note)
            session.restart()
        elif session.seq is not None and check.seq != session.seq:
            # Answers come in order, so ours is up to date: the dataset went back to an older state.
            session.events.emit("backlog", reason="rollback", seq=check.seq, expected=session.seq)
            session.seq = check.seq
            session.restart()
        elif believed[0] == window.generation:
            # Numbers are compared while nothing is being read. Requests sent after the check hold what it still
            # counted: they are in flight. What is overdue is the head, so it was read whatever is being read now.
            comparable = window.complete and believed == (window.generation, window.bound, window.complete)
            miscounted = comparable and check.in_window != len(window) + len(session.in_flight)
            differs = miscounted or _passed_over(session, check)
            if differs and differed:
                session.restart()
            if comparable or differs:
                differed = differs and not differed
        if check.astray:
            session.suspect(*check.astray)
        if check.unplanned:
            session.planner_wakes.set()


def _passed_over(session: Session, check: Check) -> bool:
    """Whether something is overdue that is not staged as such: its moment was set back behind our back, by a dataset
    that returned to an older state or by another client. No number changes then.
    """
    if check.oldest is None or check.now - check.oldest < OVERDUE_MS:
        return False
    earliest = session.earliest()
    return earliest is None or earliest > check.oldest
