"""RabbitMQ and others that speak AMQP 0-9-1: windows of messages in one write, confirmed by the broker.

All messages are `mandatory`, so that one that no queue takes comes back. Each exchange has a channel of its own, for
the broker closes a channel over a single message to an exchange that is missing or forbidden, with all others on it.
"""

import re
import select
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import amqp
from amqp import spec
from amqp.exceptions import AMQPError

from beatd.core.broker import Broker
from beatd.core.intent import CONFIRMED, Outcome, OutcomeKind
from beatd.errors import Unreachable
from beatd.transports import _examine
from beatd.transports._declare import Queues
from beatd.transports._envelope import Envelope, open_envelope
from beatd.transports._frames import Writer
from beatd.transports._ledger import Ledger, Sent, Window
from beatd.transports._login import connection_options, read_logins, understand
from beatd.transports._wire import Connection, Frame
from beatd.transports._worker import Worker, at_most, settle
from beatd.uptime import uptime

SCHEMES: Final = ("amqp", "amqps", "pyamqp")
examine: Final = _examine.examine

METHOD: Final = 1
HEARTBEAT: Final = 8
ACK: Final = (60, 80)
NACK: Final = (60, 120)
CLOSE_CHANNEL: Final = (20, 40)
BLOCKED: Final = (10, 60)
UNBLOCKED: Final = (10, 61)
TOO_LARGE: Final = re.compile(r"message size ([0-9]+)\b.*\blarger than\D*([0-9]+)")
MOST_CHANNELS: Final = 64
MOST_LATE: Final = 2_000
CLOSING_S: Final = 1.0
CLOSINGS: Final[Mapping[int, OutcomeKind]] = {403: "refused", 404: "returned"}  # what a channel is closed for
PRECONDITION_FAILED: Final = 406  # a message that the broker never takes: another user's id, a lifetime that is none
REFUSED: Final = Outcome("refused", "the broker refused it (negative confirm): is its queue full?")


class Lane:
    """The channel of one exchange, and what was written to it and has no answer."""

    def __init__(self, channel: amqp.Channel, exchange: str) -> None:
        self.channel = channel
        self.exchange = exchange
        self.number: int = channel.channel_id
        self.ledger = Ledger()


class AmqpTransport:
    """See ``beatd.daemon.ports.Transport``. What begins with an underscore and is no coroutine runs on the thread."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = uptime) -> None:
        self.on_change: Callable[[], None] = _nothing
        self.label, self.fingerprint = broker.label, broker.fingerprint
        self.connected = False
        self.blocked = ""
        self._broker = broker
        self._uptime = clock  # of trust; our own deadlines need not count the time asleep
        self._logins = read_logins(broker)
        self._attempts = 0
        self._connection: Connection | None = None
        self._writer = Writer(0)
        self._queues: Queues | None = None
        self._lanes: dict[str, Lane] = {}
        self._numbers: dict[int, Lane] = {}
        self._open: dict[str, Sent] = {}  # by id: what has no answer yet
        self._late: dict[str, bytes] = {}  # confirmed when nobody waited any more
        self._windows: dict[Window, Any] = {}  # with the futures that wait for them
        self._largest: int | None = None  # bytes of a body, once the broker has said so
        self._read_at = self._wrote_at = 0.0
        self._closed = False
        self._worker = Worker(f"broker {broker.fingerprint}", self)

    # What the event loop calls

    async def connect(self) -> None:
        """Connects once, to the next URL of the list."""
        if self._closed:
            raise Unreachable(f"the broker at {self.label}: this transport was closed")
        attempt = self._worker.call(self._connect)
        if not await at_most(attempt, 2 * self._broker.confirm_timeout):
            raise Unreachable(f"the broker at {self.label} gave no answer in time", hint="does its host name resolve?")
        await attempt

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]:
        """Hands over a window."""
        if not self.connected or self._closed:
            return [Outcome("unknown", "not connected")] * len(messages)
        future = self._worker.loop.create_future()
        self._worker.post(partial(self._hand_over, messages, until, future))
        outcomes: Sequence[Outcome] = await future
        return outcomes

    async def close(self) -> None:
        """Ends the connection and the thread."""
        if not self._closed:
            self._closed = True
            await at_most(self._worker.call(self._close), 2 * CLOSING_S)

    # What the thread does between two pieces of work

    def wants(self) -> tuple[Any, float | None]:
        """The connection's socket, and when the next thing is due."""
        if self._connection is None:
            return None, None
        times = [window.deadline for window in self._windows]
        if beat := self._connection.heartbeat:
            times.append(min(self._wrote_at + beat / 2, self._read_at + 2 * beat))
        return self._connection.transport.sock, max(0.0, min(times) - time.monotonic()) if times else None

    def turn(self, *, readable: bool) -> None:
        """Reads answers, keeps the heart beating, gives up what is over."""
        connection = self._connection
        if connection is None:
            return
        with self._losing_it():
            if readable:
                connection.transport.sock.settimeout(self._broker.confirm_timeout)
                connection.receive()
            self._beat(connection, time.monotonic())
        self._finish()

    def _beat(self, connection: Connection, now: float) -> None:
        if not connection.heartbeat:
            return
        if now >= self._read_at + 2 * connection.heartbeat:
            raise TimeoutError(f"no heartbeat for {2 * connection.heartbeat:g} s")
        if now >= self._wrote_at + connection.heartbeat / 2:
            connection.transport.sock.settimeout(self._broker.confirm_timeout)
            connection.send_heartbeat()
            self._wrote_at = now

    # Connecting and losing

    def _connect(self) -> None:
        if self._connection is not None:
            return
        login = self._logins[self._attempts % len(self._logins)]
        self._attempts += 1
        connection = None
        try:
            options = connection_options(login, self._broker, self._broker.confirm_timeout)
            connection = Connection(self._hear, **options)
            connection.deadline = time.monotonic() + self._broker.confirm_timeout
            connection.connect()
            connection.deadline = float("inf")
        except Exception as error:
            if connection is not None:
                _drop(connection)
            raise understand(error, login) from error
        self._connection = connection
        self._writer = Writer(connection.frame_max)
        self._queues = Queues(connection, self._broker.declare, login.vhost)
        self._read_at = self._wrote_at = time.monotonic()
        self._change(connected=True, blocked="")

    @contextmanager
    def _losing_it(self) -> Iterator[None]:
        """What goes wrong within ends the connection: what it has taken is unknown."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - py-amqp raises more than it says; all of it means the same here
            self._lose(_why(error))

    def _lose(self, why: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        _drop(connection)
        for lane in self._lanes.values():
            for sent in lane.ledger:
                sent.learn(Outcome("unknown", f"the connection was lost: {why}"))
        self._queues = None
        self._lanes.clear()
        self._numbers.clear()
        self._open.clear()
        self._change(connected=False, blocked="")
        for window in list(self._windows):
            self._settle(window, Outcome("unknown", f"the connection was lost: {why}"))

    def _change(self, *, connected: bool, blocked: str) -> None:
        self.connected, self.blocked = connected, blocked
        self._worker.tell(self._tell_of_it)

    def _tell_of_it(self) -> None:
        self.on_change()  # read on the event loop: it may have been set since

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.deadline = time.monotonic() + CLOSING_S
            with suppress(Exception):  # it was asked politely; what comes back does not matter any more
                self._connection.close()
            self._lose("it was closed")
        self._worker.end()

    # Handing over

    def _hand_over(self, messages: Sequence[tuple[str, bytes]], until: float, future: Any) -> None:
        window = Window(len(messages), time.monotonic() + self._broker.confirm_timeout)
        self._windows[window] = future
        with self._losing_it():
            self._publish(window, messages, until)
        self._finish()

    def _publish(self, window: Window, messages: Sequence[tuple[str, bytes]], until: float) -> None:
        connection = self._connection
        if connection is None or self.blocked:
            return self._give_up(window, self.blocked or "not connected")
        ready = []
        with self._asking(connection):
            for place, (id_, message) in enumerate(messages):
                found = self._prepare(connection, window, place, id_, message)
                if isinstance(found, Outcome):
                    window.learn(place, found)
                elif found is not None:
                    ready.append(found)
        if self._uptime() >= until:
            return self._give_up(window, "it was too late to send it")
        parts = []
        for lane, sent, data in ready:
            if self._lanes.get(lane.exchange) is not lane:  # closed while others were prepared
                sent.learn(Outcome("unknown", "its channel was closed"))
                continue
            lane.ledger.write(sent)
            self._open[sent.id] = sent
            parts.append(data)
        self._write(connection, b"".join(parts), until)
        return None

    def _give_up(self, window: Window, why: str) -> None:
        # Those that were written by an earlier call stay open in their ledger: only this window ends.
        self._settle(window, Outcome("unknown", why))

    def _prepare(
        self, connection: Connection, window: Window, place: int, id_: str, message: bytes
    ) -> tuple[Lane, Sent, bytes] | Outcome | None:
        """What is to be written; or the outcome, where nothing is; or None, where an earlier one is waited for."""
        if self._late.get(id_) == message:
            del self._late[id_]
            return CONFIRMED
        earlier = self._open.get(id_)
        if earlier is not None and earlier.message == message:
            earlier.waiting = [each for each in earlier.waiting if each[0] in self._windows]
            earlier.waiting.append((window, place))
            return None
        try:
            envelope = open_envelope(message)
            refused = self._refused(envelope)
            if refused is not None:
                return refused
            lane = self._lane(connection, envelope.exchange)
            data = self._writer.frames(envelope, lane.number)
        except ValueError as error:
            return Outcome("refused", f"the message can't be sent: {error}", hopeless=True)
        sent = Sent(id_, message, envelope.exchange, envelope.routing_key, _correlation(envelope), len(envelope.body))
        sent.waiting.append((window, place))
        return lane, sent, data

    def _refused(self, envelope: Envelope) -> Outcome | None:
        """What is known to become of it without sending it."""
        if self._largest is not None and len(envelope.body) > self._largest:
            why = f"its body has {len(envelope.body)} bytes; the broker takes {self._largest}"
            return Outcome("refused", why, hopeless=True)
        return self._queues.missing(envelope.exchange, envelope.routing_key) if self._queues else None

    def _lane(self, connection: Connection, exchange: str) -> Lane:
        lane = self._lanes.get(exchange)
        if lane is not None:
            return lane
        for idle in [each for each in self._lanes.values() if not len(each.ledger)][: len(self._lanes) - MOST_CHANNELS]:
            del self._lanes[idle.exchange], self._numbers[idle.number]
            idle.channel.close()
        channel = connection.channel()
        channel.confirm_select()
        lane = Lane(channel, exchange)
        channel.events["basic_return"].add(partial(self._came_back, lane))
        self._lanes[exchange] = self._numbers[lane.number] = lane
        return lane

    @contextmanager
    def _asking(self, connection: Connection) -> Iterator[None]:
        """Within, the broker is asked and answers, all of it within one confirm timeout."""
        connection.deadline = time.monotonic() + self._broker.confirm_timeout
        connection.transport.sock.settimeout(self._broker.confirm_timeout)
        yield
        connection.deadline = float("inf")

    def _write(self, connection: Connection, data: bytes, until: float) -> None:
        """Writes it all, reading answers meanwhile: a broker that can't get rid of them reads nothing either."""
        sock, rest = connection.transport.sock, memoryview(data)
        deadline = time.monotonic() + self._broker.confirm_timeout
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT)
        while rest:
            left = min(until - self._uptime(), deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError("the broker reads nothing")
            sock.settimeout(left)
            for _, ready in poll.poll(left * 1000):
                if ready & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    connection.receive()
                elif ready & select.POLLOUT and self._uptime() < until:  # the machine may have slept since
                    rest = rest[sock.send(rest[: 1 << 18]) :]
        self._wrote_at = time.monotonic()

    # Answers

    def _hear(self, frame: Frame) -> bool:
        """Deals with the frames that matter here; all others are py-amqp's."""
        kind, number, payload = frame
        self._read_at = time.monotonic()
        if kind == HEARTBEAT:
            return True
        if kind != METHOD:
            return False
        method = struct.unpack_from(">HH", payload)
        lane = self._numbers.get(number)
        if lane is not None and method in (ACK, NACK):
            tag, bits = struct.unpack_from(">QB", payload, 4)
            self._answered(lane.ledger.answered(tag, multiple=bool(bits & 1)), CONFIRMED if method == ACK else REFUSED)
        elif lane is not None and method == CLOSE_CHANNEL:
            self._lane_closed(lane, *_read_close(payload))
        elif method in (BLOCKED, UNBLOCKED):
            blocked = f"the broker takes nothing for now: {_read_short(payload, 4)}" if method == BLOCKED else ""
            self._change(connected=self.connected, blocked=blocked)
        else:
            return False
        return True

    def _answered(self, found: Sequence[Sent], outcome: Outcome) -> None:
        for sent in found:
            self._open.pop(sent.id, None)
            learnt = Outcome("returned", sent.returned) if sent.returned else outcome
            sent.learn(learnt)
            if learnt is CONFIRMED and not any(window in self._windows for window, _ in sent.waiting):
                self._late[sent.id] = sent.message
                if len(self._late) > MOST_LATE:
                    del self._late[next(iter(self._late))]

    def _came_back(self, lane: Lane, error: AMQPError, exchange: str, routing_key: str, message: amqp.Message) -> None:
        if self._queues is not None:
            self._queues.forget(exchange, routing_key)
        what = f"no queue {routing_key!r}" if not exchange else f"no queue is bound to {exchange!r} for {routing_key!r}"
        correlation = message.properties.get("correlation_id")
        lane.ledger.came_back(exchange, routing_key, correlation, f"{what} ({error.reply_text})")

    def _lane_closed(self, lane: Lane, code: int, text: str) -> None:
        """The broker has closed the channel of an exchange: which message was it about, and what of the others?"""
        del self._lanes[lane.exchange], self._numbers[lane.number]
        lane.channel.send_method(spec.Channel.CloseOk)
        lane.channel.collect()
        large = TOO_LARGE.search(text)
        if large:
            self._largest = int(large[2])
        alone = len(lane.ledger) == 1
        for sent in lane.ledger:
            self._open.pop(sent.id, None)
            if sent.size > int(large[2]) if large else alone and code == PRECONDITION_FAILED:
                sent.learn(Outcome("refused", text, hopeless=True))
            else:
                why = "another message was too large" if large else text
                sent.learn(Outcome(CLOSINGS.get(code, "unknown"), why))

    def _finish(self) -> None:
        """Tells those who wait what is known, and those who have waited long enough."""
        now = time.monotonic()
        over = [window for window in self._windows if window.done or now >= window.deadline]
        for window in over:
            self._settle(window, Outcome("unknown", f"no answer within {self._broker.confirm_timeout:g} s"))

    def _settle(self, window: Window, otherwise: Outcome) -> None:
        self._worker.tell(settle, self._windows.pop(window), window.outcomes(otherwise))


def open_broker(broker: Broker) -> AmqpTransport:
    """A transport for this broker, not connected yet."""
    return AmqpTransport(broker)


def _nothing() -> None:
    """Nobody listens yet."""


def _drop(connection: Connection) -> None:
    with suppress(Exception):  # whatever state it is in, it is not used again
        if connection.connected:
            connection.transport.sock.settimeout(CLOSING_S)
        connection.collect()


def _correlation(envelope: Envelope) -> str | None:
    found = envelope.properties.get("correlation_id")
    return found if isinstance(found, str) else None


def _read_short(payload: bytes, at: int) -> str:
    return payload[at + 1 : at + 1 + payload[at]].decode("utf-8", "replace")


def _read_close(payload: bytes) -> tuple[int, str]:
    (code,) = struct.unpack_from(">H", payload, 4)
    return code, _read_short(payload, 6)


def _why(error: Exception) -> str:
    if isinstance(error, AMQPError):
        return str(error.reply_text or type(error).__name__)
    return str(error) or type(error).__name__
