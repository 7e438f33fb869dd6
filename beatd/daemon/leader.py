"""What a leader does for one term: sessions, one after another, until the term is over."""

import asyncio
import random
from collections.abc import Callable

from beatd.core.recovery import Memory, Recovery
from beatd.core.term import Term
from beatd.core.timetable import Check
from beatd.daemon.carrier import Carrier
from beatd.daemon.checker import Checker, led
from beatd.daemon.complaints import Complaints
from beatd.daemon.definitions import Definitions
from beatd.daemon.elector import Elector
from beatd.daemon.files import FileEntries
from beatd.daemon.outbox import OutboxService, report_left_over
from beatd.daemon.planner import Planner
from beatd.daemon.ports import ChangePort, Clock, EventSink, Stores
from beatd.daemon.requests import Requests
from beatd.daemon.session import Session
from beatd.daemon.ticker import Ticker
from beatd.daemon.together import run_together, wait_for_event
from beatd.daemon.trouble import Trouble
from beatd.daemon.upkeep import Upkeep
from beatd.daemon.vitals import Vitals
from beatd.errors import BeatdError, LeaseLost, Refused, Unreachable, WritesRefused


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
        vitals: Vitals,
        *,
        version: str,
        zone_data: str,
        new_tag: Callable[[], str],
        random_source: random.Random,
        patience: float = 12.0,
        carrier: Carrier | None = None,
    ) -> None:
        self.calm = asyncio.Event()  # once in a term all is fired that was due when it began
        self.refused = False  # as at the last look, but for what queues of the broker refuse
        self._patience = patience
        self._files_were_settled = files.settled  # at the last look
        self._stores = stores
        self._elector = elector
        self._clock = clock
        self._events = events
        self._definitions = definitions
        self._files = files
        self._vitals = vitals
        self._version = version
        self._zone_data = zone_data
        self._complaints = Complaints(clock.monotonic)
        self._new_tag = new_tag
        self._random = random_source
        self._memory: Memory | None = None
        self._others_met = 0  # other leaders, when that memory was made
        self._recovery: Recovery | None = None
        self._session_now: Session | None = None
        self._last_batch: tuple[str, int] | None = None  # of which dataset, and its number
        self._carrier = carrier  # to a broker that is not our Redis
        self._outbox: OutboxService | None = None

    @property
    def staged(self) -> int:
        """How many entries are staged here."""
        return 0 if self._session_now is None else len(self._session_now.window)

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            term = self._elector.term
            if term is not None:
                carrying = [self._carrier.run()] if self._carrier is not None else []
                await run_together(self._lead(term), self._until_over(term), *carrying)
            else:
                await wait_for_event(self._elector.changed, 1.0)

    async def _until_over(self, term: Term) -> None:
        while self._elector.term is term:
            await wait_for_event(self._elector.changed, 1.0)

    async def _lead(self, term: Term) -> None:
        """Sessions until the lease is lost: no answer ends a session, and what it believed goes with it.

        Who can't fire for long gives the lease away. Not where the server refuses all writes, or our keys are spoilt:
        every other instance would meet the same.
        """
        trouble = Trouble(self._events, self._random, self._clock.monotonic, "leader")
        while True:
            try:
                await self._session(term, trouble)
            except LeaseLost as error:
                self._elector.lost(term, error.message)
                return
            except BeatdError as error:
                pause = trouble.met(error)
                self._vitals.failed(error.message)
                local = isinstance(error, Unreachable) and not isinstance(error, WritesRefused)
                if local and self._vitals.failing_s() > self._patience:
                    self._elector.give_up(term, f"it can't fire: {error.message}")
                await asyncio.sleep(pause)

    def _checked(self, session: Session, trouble: Trouble, check: Check) -> None:
        """An answer to the checker: the session works. Is all fired by now that was due when this term began? Files
        count as applied when they were before this was asked.
        """
        self._elector.fit()
        trouble.over()
        self._vitals.checked(check)
        self._vitals.worked()
        if self._outbox is not None:
            self._outbox.counted(check.intents)
        fired = check.oldest is None or check.oldest > session.term.now
        self._vitals.open_requests = session.open_requests
        # What was asked for is served too, but for what is stuck: somebody has to look at that first.
        served = session.requests_served and not session.asked.is_set()
        fired = fired and (served or not check.asked)
        if self._files_were_settled and not check.unplanned:
            self._recovery = session.recovery = None  # what the files had is planned; what they get now is new
        decided = fired and not check.unplanned and self._files_were_settled
        self.refused = decided and self._outbox is not None and self._outbox.is_refused
        if decided and self._all_sent():
            self.calm.set()
        self._files_were_settled = self._files.settled

    async def _session(self, term: Term, trouble: Trouble) -> None:
        timetable = await self._stores.open_timetable()
        try:
            changes = await self._stores.open_changes()
            try:
                session = Session(term, timetable, self._clock, self._definitions, self._events, self._complaints)
                position = await _last_row(changes)  # first of all: what is edited or asked for from now on is told
                check = led(await timetable.check(-1, self._clock.now_ms()))
                self._compare_batches(term, check)
                session.sizes = check.sizes
                self._vitals.checked(check)
                if check.asked:
                    session.asked.set()
                session.recovery = self._recover(session)
                self._files_were_settled = False
                try:
                    self._session_now = session
                    await self._serve(session, changes, position, trouble)
                finally:
                    self._session_now = None
                    self._remember(session)
            finally:
                await changes.close()
        finally:
            await timetable.close()

    def _all_sent(self) -> bool:
        return self._carrier is None or (self._outbox is not None and self._outbox.is_empty)

    async def _serve(self, session: Session, changes: ChangePort, position: str, trouble: Trouble) -> None:
        outbox = self._outbox = await self._open_outbox(session)
        planner = Planner(session, self._version, outbox)
        ticker = Ticker(session, new_tag=self._new_tag, prolonged=self._elector.prolonged, outbox=outbox)
        await run_together(
            planner.run(),
            ticker.run(),
            outbox.run() if outbox is not None else report_left_over(session, self._stores.open_outbox),
            _follow(changes, position, session),
            Checker(session, lambda check: self._checked(session, trouble, check)).run(),
            Upkeep(session, self._stores.open_upkeep, self._zone_data, self._vitals).run(),
            Requests(session, self._stores.open_requests, self._new_tag, outbox).run(),
            self._files.keep_applied(session.term),
        )

    def _compare_batches(self, term: Term, check: Check) -> None:
        """Whether the dataset went back to an older state while nobody looked: after a failover to a replica that was
        behind, say. What it owes again is fired again; this is for people, who may find it done twice.
        """
        if self._last_batch is None or check.seq is None:
            return
        incarnation, last = self._last_batch
        if incarnation == term.incarnation and check.seq < last:
            self._events.emit("backlog", reason="rollback", seq=check.seq, expected=last)
        self._last_batch = None

    async def _open_outbox(self, session: Session) -> OutboxService | None:
        if self._carrier is None:
            return None
        port = await self._stores.open_outbox()
        return OutboxService(session, self._carrier, port, lambda: self._elector.trusted_until, self._random)

    def _remember(self, session: Session) -> None:
        """What has been fired since an older memory would be fired again after it: none is better than that one."""
        if session.seq is not None:
            self._last_batch = session.term.incarnation, session.seq
        before = self._memory.names if self._memory is not None else frozenset()
        memory = session.memory(self._files.names() if self._files.settled else before)
        if memory is not None or session.seq is not None:
            self._memory, self._others_met = memory, self._elector.others_met

    def _recover(self, session: Session) -> Recovery | None:
        """Whether Redis came back empty, and where entries of files go on then.

        Only who led last knows: had another led in between, what is remembered here would be fired twice.
        """
        memory, self._memory = self._memory, None
        if memory is None or memory.incarnation == session.term.incarnation:
            self._memory = memory
            return self._recovery
        self._recovery = None
        if session.sizes.revisions == 0 and (memory.entries or memory.staged):
            lost = memory.not_in_files
            error = f"Redis came back empty: of {memory.entries} entries {lost} were in no file and are gone"
            if not memory.entries:  # they are counted once a second
                error = "Redis came back empty, before its entries were counted"
            self._events.emit("backlog", reason="wipe", error=error, lost=lost)
            if self._elector.others_met == self._others_met:
                self._recovery = Recovery(memory)
        return self._recovery


async def _last_row(changes: ChangePort) -> str:
    try:
        return await changes.position()
    except Refused:  # told by whoever follows the log
        return "0-0"


async def _follow(changes: ChangePort, position: str, session: Session) -> None:
    """The change log as a hint: whoever is named in a row is looked at again.

    Nothing is lost without it: what waits to be planned is counted once a second.
    """
    told = ""
    while True:
        try:
            position, names, requested = await changes.wait(position, 1.0)
        except Refused as error:  # another kind of key in its place
            if error.message != told:
                told = error.message
                session.events.emit("backlog", reason="change log", error=error.message, hint=error.hint)
            await asyncio.sleep(1.0)
            continue
        if requested:
            session.asked.set()
        if names:
            session.suspect(*names)
