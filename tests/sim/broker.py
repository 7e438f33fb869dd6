"""A broker in virtual time, and the connections to it: slow, and at times broken.

A message is written by one process and arrives a while later, whatever becomes of that process; the answer travels
back, or is lost. What is written on one connection arrives in order.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.intent import CONFIRMED, Outcome
from beatd.errors import Unreachable
from tests.sim.link import NOWHERE, STEP
from tests.sim.loop import CURRENT, Process, VirtualLoop

FINGERPRINT: Final = "51b40ce4"
CONFIRM_S: Final = 1.0  # no answer is waited for any longer
HEARTBEAT_S: Final = 2.0  # a connection over which nothing comes any more ends after this
LATE_S: Final = (0.5, 1.5)  # of a late answer
RETURNED: Final = Outcome("returned", "NO_ROUTE")
REFUSED: Final = Outcome("refused", "negative confirm")
LOST: Final = Outcome("unknown", "the connection was lost")
UNANSWERED: Final = Outcome("unknown", "no answer in time")
UNWRITTEN: Final = Outcome("unknown", "it was not written")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that the broker has taken."""

    at: float
    intent: str
    queue: str
    name: str
    slot: int
    task_id: str


@dataclass(frozen=True, slots=True)
class Written:
    """One message as it leaves a process. ``behind``: by how many seconds the trust in the lease was over then."""

    process: str
    intent: str
    message: bytes
    behind: float

    @property
    def key(self) -> tuple[str, str]:
        """Id and task id of the intent."""
        return self.intent, json.loads(self.message)["id"]


class Broker:
    """Queues, and all connections to them. ``slowest``: of a way there or back, seconds.

    fault_rate: of writes after which something happens to their connection, or to their answer.
    """

    def __init__(self, loop: VirtualLoop, source: random.Random, slowest: float) -> None:
        self.loop = loop
        self.random = source
        self.slowest = slowest
        self.fault_rate = 0.0
        self.down = False  # nobody listens
        self.stalled = False  # it reads nothing: what is written waits on this side
        self.blocked = ""
        self.missing: set[str] = set()  # queues
        self.refusing: set[str] = set()  # queues that are full, say
        self.fingerprint = FINGERPRINT  # of transports that begin now
        self.arrivals: list[Arrival] = []
        self.cut_off: set[Process | None] = set()
        self.transports: list[SimTransport] = []
        self.wrote: Callable[[Written], object] = lambda written: None  # what it gives is handed to `took`
        self.took: Callable[[Written, object], None] = lambda written, token: None
        self.fault_happened: Callable[[str, str], None] = lambda kind, process: None

    @property
    def broken(self) -> bool:
        """Whether nobody, or somebody, can't reach it at all."""
        return self.down or self.stalled or bool(self.blocked or self.cut_off)

    @property
    def hindered(self) -> bool:
        """Whether some queues take no messages."""
        return bool(self.missing or self.refusing)

    def delay(self) -> float:
        """Of one message, one way."""
        return self.random.uniform(0.0, self.slowest)

    def stop(self) -> None:
        """It ends, and with it all connections; its queues stay."""
        self.down = True
        self.cut_all(arrives=False)

    def start(self) -> None:
        """It is back."""
        self.down = False

    def block(self, why: str) -> None:
        """It takes nothing for now, or ('') again, and says so."""
        self.blocked = why
        for transport in self.transports:
            transport.on_change()

    def cut_all(self, process: Process | None = None, *, arrives: bool | None = None) -> None:
        """Cuts all connections, or those of one process; what is under way arrives, or is lost (None: by chance)."""
        for transport in self.transports:
            if transport.line is not None and process in (None, transport.process):
                transport.line.end(arrives=self.random.random() < 0.5 if arrives is None else arrives)

    def arrive(self, written: Written, token: object) -> Outcome:
        """A message is here."""
        content = json.loads(written.message)
        queue = content["queue"]
        if queue in self.missing:
            return RETURNED
        if queue in self.refusing:
            return REFUSED
        self.arrivals.append(
            Arrival(self.loop.time(), written.intent, queue, content["name"], content["slot"], content["id"])
        )
        self.took(written, token)
        return CONFIRMED


class Line:
    """One connection."""

    def __init__(self, broker: Broker, lost: Callable[["Line"], None]) -> None:
        self.broker = broker
        self.ended = self.arrives = False
        self.silent = False  # no answer comes any more, and nobody has noticed
        self.swallows = False  # and nothing arrives
        self.waiting: dict[tuple[str, bytes], asyncio.Future[Outcome]] = {}
        self._lost = lost
        self._last_request = self._last_reply = 0.0

    def write(self, written: Written) -> "asyncio.Future[Outcome]":
        """A message is on its way; one that still waits for its answer is not written again."""
        key, broker = (written.intent, written.message), self.broker
        if key in self.waiting:
            return self.waiting[key]
        token = broker.wrote(written)
        answer = self.waiting[key] = broker.loop.create_future()
        late = 0.0
        if broker.random.random() < broker.fault_rate:
            late = self._fault()
        if not self.swallows:
            self._last_request = max(self._last_request + STEP, broker.loop.time() + broker.delay())
            broker.loop.call_at(self._last_request, self._arrive, written, token, late, context=NOWHERE)
        return answer

    def end(self, *, arrives: bool) -> None:
        """It ends for both sides; this one learns it a moment later."""
        if not self.ended:
            self.ended, self.arrives = True, arrives
            self.broker.loop.call_at(self._reply_time(), self._break_off, context=NOWHERE)

    def _fault(self) -> float:
        kind = self.broker.random.choice(["cut", "silent", "swallows", "late"])
        transport = next(t for t in self.broker.transports if t.line is self)
        self.broker.fault_happened(f"{kind} line", transport.process.name)
        if kind == "late":
            return self.broker.random.uniform(*LATE_S)
        if kind == "cut":
            self.end(arrives=self.broker.random.random() < 0.5)
        elif not self.silent:
            self.silent, self.swallows = True, kind == "swallows"
            self.broker.loop.call_later(HEARTBEAT_S, self._break_off, context=NOWHERE)
        return 0.0

    def _arrive(self, written: Written, token: object, late: float) -> None:
        if self.broker.down or (self.ended and not self.arrives):
            return
        outcome = self.broker.arrive(written, token)
        if not self.ended and not self.silent:
            when = self._reply_time() + late
            self.broker.loop.call_at(when, self._answer, (written.intent, written.message), outcome, context=NOWHERE)

    def _answer(self, key: tuple[str, bytes], outcome: Outcome) -> None:
        answer = self.waiting.pop(key, None)
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    def _break_off(self) -> None:
        self.ended = True
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_result(LOST)
        self.waiting.clear()
        self._lost(self)

    def _reply_time(self) -> float:
        self._last_reply = max(self._last_reply + STEP, self.broker.loop.time() + self.broker.delay())
        return self._last_reply


class SimTransport:
    """Fits ports.Transport. ``monotonic``: the clock of its process. ``trusted``: until when, on that clock, its
    process may trust its lease; only to judge what it writes.
    """

    label = "sim://broker"

    def __init__(
        self, broker: Broker, process: Process, monotonic: Callable[[], float], trusted: Callable[[], float]
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.fingerprint = broker.fingerprint
        self.process = process
        self.line: Line | None = None
        self._broker = broker
        self._monotonic = monotonic
        self._trusted = trusted
        broker.transports.append(self)

    @property
    def connected(self) -> bool:
        return self.line is not None

    @property
    def blocked(self) -> str:
        return self._broker.blocked if self.connected else ""

    async def connect(self) -> None:
        broker = self._broker
        await asyncio.sleep(broker.delay())
        if broker.stalled or CURRENT.get() in broker.cut_off:
            await asyncio.sleep(CONFIRM_S)
        if broker.down or broker.stalled or CURRENT.get() in broker.cut_off:
            raise Unreachable(f"{self.label} does not answer")
        self.line = Line(broker, self._lose)
        self.on_change()

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]:
        line = self.line
        answers = [await self._write(line, intent, message, until) for intent, message in messages]
        waiting = [answer for answer in answers if answer is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=CONFIRM_S)
        return [UNWRITTEN if answer is None else answer.result() if answer.done() else UNANSWERED for answer in answers]

    async def close(self) -> None:
        if self.line is not None:
            self.line.end(arrives=True)

    async def _write(
        self, line: Line | None, intent: str, message: bytes, until: float
    ) -> "asyncio.Future[Outcome] | None":
        """None where it was not written: there is no connection, or no time."""
        broker = self._broker
        await asyncio.sleep(broker.delay() / 20)
        while broker.stalled and line is self.line and self._monotonic() < until:  # noqa: ASYNC110  # no room to write
            await asyncio.sleep(0.05)
        if line is None or line is not self.line or line.ended or self._monotonic() >= until:
            return None
        return line.write(Written(self.process.name, intent, message, self._monotonic() - self._trusted()))

    def _lose(self, line: Line) -> None:
        if self.line is line:
            self.line = None
            self.on_change()
