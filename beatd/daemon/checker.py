"""The checker: once a second, does Redis agree with what this leader believes?"""

import asyncio
from collections.abc import Callable
from typing import Final

from beatd.core.timetable import Check
from beatd.daemon.session import Session
from beatd.errors import LeaseLost

CHECK_S: Final = 1.0
OVERDUE_MS: Final = 1_000
NOTHING: Final = (0, 0)


class Checker:
    """Compares numbers. What differs twice makes the window start over, or asks for a walk through all entries.

    ``answered`` hears of every answer: the session works.
    """

    def __init__(self, session: Session, answered: Callable[[Check], None]) -> None:
        self._s = session
        self._answered = answered
        self._stepped = session.clock.stepped
        self._window_differed = False
        self._amiss = self._walked_for = NOTHING

    async def run(self) -> None:
        """Runs until the connection or the lease is lost. The first answer says that the session works."""
        session = self._s
        while True:
            await asyncio.sleep(CHECK_S)
            window = session.window
            believed = window.generation, window.bound, window.complete
            sent = session.clock.monotonic()
            check = await session.timetable.check(window.bound, session.clock.now_ms())
            session.clock.observe(sent, check.now)
            self._answered(led(check))
            self._compare_window(check, believed)
            self._compare_sizes(check)
            if check.astray:
                session.suspect(*check.astray)
            if check.unplanned:
                session.planner_wakes.set()
            if check.asked:
                session.asked.set()

    def _compare_window(self, check: Check, believed: tuple[int, int, bool]) -> None:
        session, window = self._s, self._s.window
        if self._stepped != session.clock.stepped:
            self._stepped = session.clock.stepped
            by_ms = session.clock.step_ms
            note = "slots that were fired wait until the clock has passed them" if by_ms < 0 else None
            session.events.emit("clock_stepped", by_ms=by_ms, note=note)
            session.restart()
        elif check.seq is not None and session.seq is not None and check.seq != session.seq:
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
            if differs and self._window_differed:
                session.restart()
            if comparable or differs:
                self._window_differed = differs and not self._window_differed

    def _compare_sizes(self, check: Check) -> None:
        """The numbers are read one after another, and others write meanwhile: only what is amiss twice counts.

        What a walk could not mend was reported, and is not walked for again until it changes.
        """
        before, amiss = self._amiss, check.sizes.disagreement
        self._s.sizes, self._amiss = check.sizes, amiss
        if amiss == NOTHING:
            self._walked_for = NOTHING
        elif amiss == before and amiss != self._walked_for:
            self._walked_for = amiss
            self._s.walk_wanted.set()


def led(check: Check) -> Check:
    """Itself, where there is a lease. Raises LeaseLost: before anything is believed of what is stored, and before
    files are applied to it, for it may be another dataset.
    """
    if check.seq is None:
        raise LeaseLost("the record of the lease is gone: all data were lost, or somebody deleted it")
    return check


def _passed_over(session: Session, check: Check) -> bool:
    """Whether something is overdue that is not staged as such: its moment was set back behind our back, by a dataset
    that returned to an older state or by another client. No number changes then.
    """
    if check.oldest is None or check.now - check.oldest < OVERDUE_MS:
        return False
    earliest = session.earliest()
    return earliest is None or earliest > check.oldest
