"""The carrier: keeps the connection to a broker that is not our Redis, for as long as this instance leads."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from beatd.core.intent import CONFIRMED, Intent, Outcome
from beatd.daemon.ports import Clock, EventSink, Transport
from beatd.daemon.together import wait_for_event
from beatd.daemon.trouble import Trouble, Words
from beatd.daemon.vitals import Vitals
from beatd.errors import BeatdError, Unreachable

WORDS: Final = Words(down="broker_down", refused="broker_down", up="broker_up")
BACKOFF_S: Final = (0.1, 2.0)
LOOK_S: Final = 1.0

Key = tuple[str, str]  # id and task id of an intent


class Carrier:
    """Others read ``is_open`` and ``connections``, wait for ``changed``, and publish.

    A window that is being published is seen to its end, whatever becomes of who asked for it: what the broker confirmed
    meanwhile is kept in ``confirmed``, and need not be sent again.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        events: EventSink,
        vitals: Vitals,
        random_source: random.Random,
    ) -> None:
        self.changed = asyncio.Event()
        self.connections = 0
        self.confirmed: set[Key] = set()
        self.progress_at = clock.monotonic()  # when a connection was made, or a message confirmed, last
        self._transport = transport
        self._clock = clock
        self._vitals = vitals
        vitals.broker, vitals.broker_fingerprint = transport.label, transport.fingerprint
        self._trouble = Trouble(events, random_source, clock.monotonic, words=WORDS, backoff=BACKOFF_S)
        self._look = asyncio.Event()
        self._publishing: set[asyncio.Task[Sequence[Outcome]]] = set()
        transport.on_change = self._look.set

    @property
    def label(self) -> str:
        """The broker's URLs for people."""
        return self._transport.label

    @property
    def fingerprint(self) -> str:
        """What tells this broker from others."""
        return self._transport.fingerprint

    @property
    def is_open(self) -> bool:
        """Whether the broker takes messages, as far as is known."""
        return self._transport.connected and not self._transport.blocked

    async def run(self) -> None:
        """Runs for ever: connects, and connects again."""
        self._vitals.broker_down_since = None
        try:
            await self._keep_connected()
        finally:
            self._vitals.broker_down_since = None  # this instance does not lead any more

    async def _keep_connected(self) -> None:
        while True:
            self._look.clear()
            if not self._transport.connected:
                self._is_down()
                try:
                    await self._transport.connect()
                except BeatdError as error:
                    self._vitals.broker_trouble = error.message
                    await wait_for_event(self._look, self._trouble.met(error))
                    continue
                self.connections += 1
                self.progress_at = self._clock.monotonic()
            if self._transport.blocked:
                self._is_down()
                why = f"{self.label} takes no messages for now: {self._transport.blocked}"
                self._vitals.broker_trouble = why
                self._trouble.met(Unreachable(why, hint="free memory or disk on the broker's nodes"))
            elif self._transport.connected:
                self._trouble.over()
                self._vitals.broker_down_since = None
            self.changed.set()
            await wait_for_event(self._look, LOOK_S)

    async def publish(self, intents: Sequence[Intent], until: float) -> Sequence[Outcome]:
        """What became of each; nothing is written after ``until``, an instant of the clock."""
        task = asyncio.create_task(self._published(intents, until))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        return await asyncio.shield(task)

    def stuck_s(self) -> float:
        """For how many seconds it takes nothing though something is held for it, or it can't be told; 0 else."""
        held, since = self._vitals.outbox[0] > 0, self._clock.monotonic() - self.progress_at
        return max(self._vitals.broker_down_s(), since if held else 0.0)

    def holds(self, intents: int, size: int) -> None:
        """So much is held for the broker, for those who look."""
        self._vitals.outbox = intents, size

    async def quiet(self) -> None:
        """Waits until nothing is being published."""
        while self._publishing:
            await asyncio.wait(self._publishing)

    async def close(self) -> None:
        """Ends the connection."""
        await self._transport.close()

    async def _published(self, intents: Sequence[Intent], until: float) -> Sequence[Outcome]:
        outcomes = await self._transport.publish([(intent.id, intent.message) for intent in intents], until)
        self._vitals.publishes.update(outcome.kind for outcome in outcomes)
        through = [intent for intent, outcome in zip(intents, outcomes, strict=True) if outcome == CONFIRMED]
        if through:
            self.progress_at = self._clock.monotonic()
            self.confirmed.update((intent.id, intent.draft.task_id) for intent in through)
        return outcomes

    def _is_down(self) -> None:
        if self._vitals.broker_down_since is None:
            self._vitals.broker_down_since = self._clock.monotonic()
        self.changed.set()
