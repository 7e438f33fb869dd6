"""The outbox service of one session: takes what is decided for another broker there, and then out of the store.

Each window of intents is looked up (what was withdrawn is dropped), published, and taken out of the store when the
broker has confirmed it. Nothing is settled while the broker is away: the timetable is the backlog.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from beatd.core.fire import FireItem
from beatd.core.intent import CONFIRMED, MOST_INTENTS, Intent, Outcome
from beatd.core.outbox import MOST_IN_WINDOW, MOST_WINDOW_BYTES, Given, Learned, Outbox
from beatd.core.settling import Settling, intents_of, make_settling
from beatd.core.timetable import FireReply
from beatd.core.window import Staged
from beatd.daemon.carrier import Carrier
from beatd.daemon.ports import OutboxPort
from beatd.daemon.session import Session
from beatd.daemon.together import wait_for_event
from beatd.errors import OutboxFull, Refused

MOST_WINDOWS: Final = 4  # side by side: a broker takes tens of ms to confirm, for it syncs its disk first
DRAIN_S: Final = 1.0  # so long a session that ends waits for what is being published
LONGEST_SLEEP_S: Final = 1.0
UNTRUSTED_S: Final = 0.05  # between two looks whether the lease was renewed
FULL_S: Final = 1.0
MOST_FAILED: Final = 100
MOST_LOOKS: Final = 3
MOST_JITTERS: Final = 2 * MOST_INTENTS


class OutboxService:
    """Runs beside the ticker, which settles through it. ``trusted``: until when (monotonic) the lease is trusted."""

    def __init__(
        self,
        session: Session,
        carrier: Carrier,
        port: OutboxPort,
        trusted: Callable[[], float],
        random_source: random.Random,
    ) -> None:
        self.box = Outbox(carrier.fingerprint)
        self._s = session
        self._carrier = carrier
        self._port = port
        self._trusted = trusted
        self._random = random_source
        self._loaded = self._was_open = False
        self._loaded_at = -1  # which of the session's restarts was the last when all was read
        self._leaving = 0  # how many are through, and being taken out of the store
        self._more = 0  # looks in a row that found more stored than is known
        self._connections = carrier.connections
        self._jitters: dict[str, int] = {}  # of intents decided here, where it is not 0
        self._carrying: set[asyncio.Task[None]] = set()
        self._full_until = 0.0  # monotonic

    @property
    def is_open(self) -> bool:
        """Whether anything may be settled now."""
        return self._loaded and self._carrier.is_open and self._s.clock.monotonic() >= self._full_until

    @property
    def is_empty(self) -> bool:
        """Whether all that was decided is with the broker, as far as is known."""
        return self._loaded and not len(self.box)

    @property
    def is_refused(self) -> bool:
        """Whether all that is held is for queues that take no messages, and there is some."""
        return self._loaded and self.box.queues.only_bad

    def is_bad(self, queue: str) -> bool:
        """Whether the entries of a queue stay blocked."""
        return self.box.queues.is_full_and_bad(queue)

    def counted(self, stored: int) -> None:
        """So many are stored, by the look of once a second. More than is known here, again and again: the dataset went
        back, or somebody meddled, and all are read anew.
        """
        known = len(self.box) + len(self.box.left_over) + self._leaving
        self._more = self._more + 1 if stored > known else 0
        if self._more >= MOST_LOOKS:
            self._more, self._loaded_at = 0, -1
            self._carrier.changed.set()

    # What the ticker does with it

    def make(self, due: Sequence[Staged], now: int, new_tag: Callable[[], str]) -> Settling:
        """The next batch; room is reserved for it."""
        return make_settling(due, now, new_tag, self.box.room(), self.box.broker)

    async def settle(self, made: Settling) -> FireReply | None:
        """Sends a batch; what is accepted is published from now on. None where the stored outbox is full."""
        try:
            reply = await self._s.timetable.settle(self._s.term, made.items, made.drafts, made.usable)
        except OutboxFull as error:
            made.room.close()
            self._full_until = self._s.clock.monotonic() + FULL_S
            if self._s.complaints.may_tell(f"outbox\n{error.message}"):
                self._s.events.emit("backlog", reason="outbox", error=error.message, hint=error.hint)
            return None
        made.room.close()
        intents = intents_of(made, reply)
        self._remember_jitters(made, intents)
        self.add(intents)
        return reply

    def add(self, intents: Sequence[Intent]) -> None:
        """These were decided: they are published from now on."""
        self.box.add(intents)
        self._carrier.changed.set()

    def _remember_jitters(self, made: Settling, intents: Sequence[Intent]) -> None:
        jitters = {staged.name: staged.compiled.jitter for staged in made.staged if staged.compiled.jitter}
        if jitters:
            if len(self._jitters) > MOST_JITTERS:  # of those that were withdrawn: only a lateness hangs on it
                self._jitters.clear()
            self._jitters |= {i.id: jitters[i.draft.name] for i in intents if i.draft.name in jitters}

    def told_skips(self, fired: Sequence[FireItem], now: int) -> None:
        """What an accepted batch skipped is told at once; what it fires when the broker has it."""
        skipped = [item._replace(slots=(), plain=False, messages=()) for item in fired if item.skips]
        if skipped:
            self._s.events.fired(skipped, now)

    # Its own work

    async def run(self) -> None:
        """Runs until the connection or the lease is lost; raises what ended it. Then, for a moment, what is being
        published is seen to its end.
        """
        try:
            await self._carrier.quiet()  # of the session before
            while True:
                self._raise_failed()
                if self._loaded_at != self._s.restarts:
                    self._loaded_at = self._s.restarts
                    await self._load()
                if self.is_open != self._was_open:
                    self._was_open = self.is_open
                    self._s.ticker_wakes.set()
                await self._give_up(self.box.dead(self._s.clock.now_ms()))
                self._carrier.holds(len(self.box), self.box.queues.size)
                if not self._carry_next():
                    await wait_for_event(self._carrier.changed, self._pause())
        finally:
            if self._carrying:
                await asyncio.wait(self._carrying, timeout=DRAIN_S)
            for task in self._carrying:
                task.cancel()
            await asyncio.gather(*self._carrying, return_exceptions=True)
            await self._port.close()

    def _raise_failed(self) -> None:
        for task in [task for task in self._carrying if task.done()]:
            self._carrying.remove(task)
            task.result()

    async def _load(self) -> None:
        """All that is stored. What another broker was to have stays where it is, and is reported."""
        self.box.left_over.clear()
        found: set[tuple[str, str]] = set()
        cursor = "0"
        while True:
            cursor, page = await self._port.load(cursor)
            found.update((intent.id, intent.draft.task_id) for intent in page)
            self.box.add(page, self._carrier.confirmed)
            if cursor == "0":
                break
        self._carrier.confirmed &= found
        self._loaded = True
        self._tell_left_over()
        for intent_id, name, why in self._port.take_spoilt():
            self._s.events.emit("entry_invalid", entry=name or "?", error=f"its message {intent_id}: {why}")
        self._s.ticker_wakes.set()

    def _tell_left_over(self) -> None:
        tell_left_over(self._s, self.box.left_over.values())

    def _carry_next(self) -> bool:
        """Begins to publish a window, where one may be and there is something to go in."""
        if not self._may_publish() or len(self._carrying) >= MOST_WINDOWS:
            return False
        if self._connections != self._carrier.connections:
            self._connections = self._carrier.connections
            self.box.connected_anew()
        taken = self.box.window(self._s.clock.monotonic(), MOST_IN_WINDOW, MOST_WINDOW_BYTES)
        if taken:
            task = asyncio.create_task(self._carry(taken))
            task.add_done_callback(self._carried)
            self._carrying.add(task)
        return bool(taken)

    def _carried(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, whoever raises it
        self._carrier.changed.set()

    def _may_publish(self) -> bool:
        return self._carrier.is_open and self._s.clock.monotonic() < self._trusted()

    async def _carry(self, taken: Sequence[Intent]) -> None:
        """One window: looked up, published, taken out."""
        port, known = self._port, self._carrier.confirmed
        standing = await port.standing(taken)
        self.box.withdraw(intent for intent, stands in zip(taken, standing, strict=True) if not stands)
        wanted = [intent for intent, stands in zip(taken, standing, strict=True) if stands]
        through = [intent for intent in wanted if (intent.id, intent.draft.task_id) in known]
        going = [intent for intent in wanted if (intent.id, intent.draft.task_id) not in known]
        if going and not self._may_publish():
            self.box.put_back(going)
            going = []
        if once := [intent for intent in going if intent.draft.at_most_once]:
            may_go = dict(zip(once, await port.mark(once), strict=True))
            self.box.withdraw(intent for intent, may in may_go.items() if not may)
            going = [intent for intent in going if may_go.get(intent, True)]
        outcomes = await self._carrier.publish(going, self._trusted()) if going else ()
        await self._learn([*[(intent, CONFIRMED) for intent in through], *zip(going, outcomes, strict=True)], through)

    async def _learn(self, outcomes: Sequence[tuple[Intent, Outcome]], known: Sequence[Intent]) -> None:
        """``known``: those that the broker had confirmed before; they were told then."""
        clock = self._s.clock
        learned = self.box.learn(outcomes, clock.monotonic(), clock.now_ms(), self._random.random())
        self._tell(learned, known)
        self._s.ticker_wakes.set()
        if learned.confirmed:
            self._leaving += len(learned.confirmed)
            await self._port.done(learned.confirmed)
            self._leaving -= len(learned.confirmed)
        confirmed = [intent for intent, outcome in outcomes if outcome == CONFIRMED]
        self._carrier.confirmed.difference_update((intent.id, intent.draft.task_id) for intent in confirmed)
        await self._give_up(learned.given_up)

    async def _give_up(self, given: Sequence[Given]) -> None:
        """Undeliverable: each leaves a row that says why."""
        for start in range(0, len(given), MOST_FAILED):
            part = given[start : start + MOST_FAILED]
            await self._port.fail(self._s.term, [(intent, why) for intent, why in part])
            for intent, why in part:
                name, queue = intent.draft.name, intent.draft.queue
                said = {"reason": "undeliverable", "count": 1, "queue": queue, "error": why}
                self._s.events.emit("entry_skipped", entry=name, **said)
            self._s.ticker_wakes.set()

    def _tell(self, learned: Learned, known: Sequence[Intent]) -> None:
        told_before = {intent.id for intent in known}
        fired = [self._as_fired(intent) for intent in learned.confirmed if intent.id not in told_before]
        if fired:
            self._s.events.fired(fired, self._s.clock.now_ms())
        for queue, kind, why in learned.bad:
            if self._s.complaints.may_tell(f"queue\n{queue}"):
                held = self.box.queues.held(queue)
                self._s.events.emit("message_returned", queue=queue, result=kind, error=why or kind, count=held)

    def _as_fired(self, intent: Intent) -> FireItem:
        """A message on its queue; its moment is that of its slot, with the entry's jitter where that is known here."""
        draft = intent.draft
        moment = draft.slot + self._jitters.pop(intent.id, 0)
        return FireItem(
            name=draft.name,
            rev="",
            expected=moment,
            next_moment=None,
            slots=(draft.slot,),
            plain=True,
            task_id=draft.task_id,
            good_until=None,
            left=None,
            skips=(),
            queue_key=draft.queue,
            messages=(),
        )

    def _pause(self) -> float:
        if not self._may_publish():
            return UNTRUSTED_S if self._carrier.is_open else LONGEST_SLEEP_S
        if len(self._carrying) >= MOST_WINDOWS:
            return LONGEST_SLEEP_S
        wait = self.box.next_look(self._s.clock.monotonic(), self._s.clock.now_ms())
        return LONGEST_SLEEP_S if wait is None else min(LONGEST_SLEEP_S, wait)


async def report_left_over(session: Session, open_port: Callable[[], Awaitable[OutboxPort]]) -> None:
    """Where all goes to our Redis: tells of what an earlier broker was to have, and never ends."""
    port = await open_port()
    try:
        brokers: list[str] = []
        cursor = "0"
        while True:
            cursor, page = await port.load(cursor)
            brokers += [intent.draft.broker for intent in page]
            if cursor == "0":
                break
        tell_left_over(session, brokers)
    except Refused as error:  # another client has overwritten what nothing here needs
        session.events.emit("backlog", reason="outbox", error=error.message, hint=error.hint)
    finally:
        await port.close()
    await asyncio.Event().wait()


def tell_left_over(session: Session, brokers: Iterable[str]) -> None:
    """Tells of messages that were decided for other brokers, given by their fingerprints; once a minute at most."""
    for broker, count in Counter(brokers).items():
        if session.complaints.may_tell(f"left over\n{broker}"):
            error = f"{count} messages wait that were decided for another broker ({broker}); they are sent nowhere else"
            hint = "beatd outbox shows them; go back to that broker, or drop them (beatd outbox drop --left-over)"
            session.events.emit("backlog", reason="outbox", error=error, hint=hint)
