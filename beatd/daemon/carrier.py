"""The carrier: keeps the connection to a broker that is not our Redis, for as long as this instance leads."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from beatd.core.intent import CONFIRMED, Intent, Outcome
from beatd.daemon.ports import Clock, EventSink, Transport
from beatd.daemon.together import wait_for_event
from beatd.daemon.trouble import Trouble, Words
from beatd.errors import BeatdError, Unreachable

RESULTS: Final = ("confirmed", "returned", "refused", "unknown")
WORDS: Final = Words(down="broker_down", refused="broker_down", up="broker_up")
BACKOFF_S: Final = (0.1, 2.0)
LOOK_S: Final = 1.0

Key = tuple[str, str]  # id and task id of an intent


class Carrier:
    """Others read ``is_open`` and ``connections``, wait for ``changed``, and publish.

    A window that is being published is seen to its end, whatever becomes of who asked for it: what the broker confirmed
    meanwhile is kept in ``confirmed``, and need not be sent again.
    """

    def __init__(self, transport: Transport, clock: Clock, events: EventSink, random_source: random.Random) -> None:
        self.changed = asyncio.Event()
        self.connections = 0
        self.confirmed: set[Key] = set()
        self.results: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        self.progress_at = clock.monotonic()  # when a connection was made, or a message confirmed, last
        self.down_since: float | None = clock.monotonic()
        self._transport = transport
        self._clock = clock
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

    def down_s(self) -> float:
        """For how many seconds the broker has taken no messages; 0 while it does."""
        since = self.down_since
        return 0.0 if since is None else max(0.0, self._clock.monotonic() - since)

    async def run(self) -> None:
        """Runs for ever: connects, and connects again."""
        while True:
            self._look.clear()
            if not self._transport.connected:
                self._is_down()
                try:
                    await self._transport.connect()
                except BeatdError as error:
                    await wait_for_event(self._look, self._trouble.met(error))
                    continue
                self.connections += 1
                self.progress_at = self._clock.monotonic()
            if self._transport.blocked:
                self._is_down()
                why = f"{self.label} takes no messages for now: {self._transport.blocked}"
                self._trouble.met(Unreachable(why, hint="free memory or disk on the broker's nodes"))
            elif self._transport.connected:
                self._trouble.over()
                self.down_since = None
            self.changed.set()
            await wait_for_event(self._look, LOOK_S)

    async def publish(self, intents: Sequence[Intent], until: float) -> Sequence[Outcome]:
        """What became of each; ``until`` as of Transport."""
        task = asyncio.create_task(self._published(intents, until))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        return await asyncio.shield(task)

    async def quiet(self) -> None:
        """Waits until nothing is being published."""
        while self._publishing:
            await asyncio.wait(self._publishing)

    async def close(self) -> None:
        """Ends the connection."""
        await self._transport.close()

    async def _published(self, intents: Sequence[Intent], until: float) -> Sequence[Outcome]:
        outcomes = await self._transport.publish([(intent.id, intent.message) for intent in intents], until)
        self.results.update(outcome.kind for outcome in outcomes)
        through = [intent for intent, outcome in zip(intents, outcomes, strict=True) if outcome == CONFIRMED]
        if through:
            self.progress_at = self._clock.monotonic()
            self.confirmed.update((intent.id, intent.draft.task_id) for intent in through)
        return outcomes

    def _is_down(self) -> None:
        if self.down_since is None:
            self.down_since = self._clock.monotonic()
        self.changed.set()
