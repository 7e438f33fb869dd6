"""A broker in virtual time: its queues, the ways to it, and what goes wrong there. It keeps all that ever arrived.

A message is written by one process and arrives a while later, whatever becomes of that process; its confirm travels
back, or is lost with the connection.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from beatd.core.intent import CONFIRMED, Outcome
from beatd.errors import Unreachable
from tests.sim.link import NOWHERE
from tests.sim.loop import VirtualLoop

ANSWER_S = 5.0  # no confirm may take longer
RETURNED = Outcome("returned", "NO_ROUTE")
LOST = Outcome("unknown", "the connection was lost")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that the broker has taken."""

    at: float
    intent: str
    queue: str
    name: str
    slot: int
    task_id: str


@dataclass
class Broker:
    """``slowest``: of a way there or back, seconds. ``loses``: how likely a connection ends with a write."""

    loop: VirtualLoop
    random: random.Random
    slowest: float = 0.01
    loses: float = 0.0
    down: bool = False
    blocked: str = ""
    missing: set[str] = field(default_factory=set)
    arrivals: list[Arrival] = field(default_factory=list)
    returned: int = 0
    transports: list["SimTransport"] = field(default_factory=list)
    fingerprint: str = "simbroker"
    took: Callable[[Arrival], None] = lambda arrival: None

    def stop(self) -> None:
        """It is away, and with it all connections."""
        self.down = True
        for transport in self.transports:
            transport.cut()

    def start(self) -> None:
        """It is back."""
        self.down = False

    def block(self, why: str) -> None:
        """It takes nothing for now, or ('') again."""
        self.blocked = why
        for transport in self.transports:
            transport.on_change()

    def arrive(self, intent: str, message: bytes) -> Outcome:
        """A message is here."""
        content = json.loads(message)
        queue = content["queue"]
        if queue in self.missing:
            self.returned += 1
            return RETURNED
        arrival = Arrival(self.loop.time(), intent, queue, content["name"], content["slot"], content["id"])
        self.arrivals.append(arrival)
        self.took(arrival)
        return CONFIRMED


class SimTransport:
    """Fits ports.Transport. ``monotonic``: the clock of its process."""

    def __init__(self, broker: Broker, monotonic: Callable[[], float]) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.label = "sim://broker"
        self.fingerprint = broker.fingerprint
        self.connected = False
        self._broker = broker
        self._monotonic = monotonic
        self._connection = 0
        self._waiting: set[asyncio.Future[Outcome]] = set()
        broker.transports.append(self)

    @property
    def blocked(self) -> str:
        return self._broker.blocked if self.connected else ""

    async def connect(self) -> None:
        await asyncio.sleep(self._way())
        if self._broker.down:
            raise Unreachable(f"{self.label} does not answer")
        self._connection += 1
        self.connected = True
        self.on_change()

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]:
        broker, loop = self._broker, self._broker.loop
        sent: list[asyncio.Future[Outcome]] = []
        connection = self._connection
        for intent, message in messages:
            future: asyncio.Future[Outcome] = loop.create_future()
            sent.append(future)
            await asyncio.sleep(self._way() / 50)
            if self._monotonic() >= until or not self.connected or connection != self._connection or self.blocked:
                future.set_result(LOST)
                continue
            self._waiting.add(future)
            loop.call_later(self._way(), self._arrives, intent, message, future, connection, context=NOWHERE)
            if broker.random.random() < broker.loses:
                self.cut()
        if sent:
            await asyncio.wait(sent, timeout=ANSWER_S)
        return [future.result() if future.done() else LOST for future in sent]

    def cut(self) -> None:
        """The connection ends: what has no answer gets none."""
        if self.connected:
            self.connected = False
            self._connection += 1
            for future in self._waiting:
                if not future.done():
                    future.set_result(LOST)
            self._waiting.clear()
            self.on_change()

    async def close(self) -> None:
        self.cut()

    def _way(self) -> float:
        return self._broker.random.uniform(0.0, self._broker.slowest)

    def _arrives(self, intent: str, message: bytes, future: "asyncio.Future[Outcome]", connection: int) -> None:
        """What was written before a connection ended may still be read by the broker, or not."""
        if self._broker.down or (connection != self._connection and self._broker.random.random() < 0.5):
            return
        outcome = self._broker.arrive(intent, message)
        self._broker.loop.call_later(self._way(), self._answers, outcome, future, connection, context=NOWHERE)

    def _answers(self, outcome: Outcome, future: "asyncio.Future[Outcome]", connection: int) -> None:
        if connection == self._connection and not future.done():
            self._waiting.discard(future)
            future.set_result(outcome)
