"""The wire between processes and the simulated Redis: in order per connection, slow, and at times broken.

The real ``Link`` runs over it, with its timeouts and its giving up; only the socket is not one.
"""

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import redis.exceptions
from redis._parsers.base import BaseParser

from beatd.store.connect import RedisAddress
from beatd.store.link import Link, Listener
from beatd.store.rights import Rights
from tests.sim.loop import CURRENT, Process, VirtualLoop
from tests.sim.redis import Server, rows_after
from tests.sim.replies import Failure, Reply

Commands = Sequence[Sequence[bytes]]
NOWHERE: Final = contextvars.Context()  # callbacks of the network belong to no process
STEP: Final = 1e-6  # two events of one connection never share an instant, so their order is theirs


class Network:
    """All connections to one server. Delays are in seconds, each way, uniformly between 0 and ``slowest``."""

    def __init__(self, loop: VirtualLoop, server: Server, source: random.Random) -> None:
        self.loop = loop
        self.server = server
        self.random = source
        self.slowest = 0.04
        self.fault_rate = 0.0
        self.part_rate = 0.1  # of writes
        self.fault_happened: Callable[[str, Connection], None] = lambda kind, connection: None
        self.executed: Callable[[], None] = lambda: None
        self.down = False  # nobody listens
        self.stalled = False  # connections stand, nothing is answered
        self.connections: list[Connection] = []
        self._backlog: deque[tuple[Connection, Commands]] = deque()
        self._blocked: list[_Blocked] = []

    def open_link(self, timeout: float, listener: Listener | None = None) -> Callable[[], Awaitable[Link]]:
        """What RedisStores takes: opens real links over this network."""
        address = RedisAddress("redis://sim", timeout)

        network = self

        class SimLink(Link):
            def __init__(
                self,
                address: RedisAddress,
                rights: Rights | None = None,
                listener: Listener | None = None,
                *_: object,
            ) -> None:
                super().__init__(address, rights, listener, Connection(network))  # type: ignore[arg-type]

        return lambda: SimLink.open(address, listener=listener)

    def delay(self) -> float:
        """Of one message, one way."""
        return self.random.uniform(0.0, self.slowest)

    def cut(self, connection: "Connection", *, arrives: bool) -> None:
        """Ends a connection for both sides; what is under way to the server may still arrive."""
        if connection.cut:
            return
        connection.cut = True
        connection.arrives = arrives
        self.later(connection.reply_time(), connection.break_off)
        if connection in self.connections:
            self.connections.remove(connection)

    def cut_all(self, process: Process | None = None) -> None:
        """Cuts all connections, or those of one process."""
        for connection in list(self.connections):
            if process is None or connection.process is process:
                self.cut(connection, arrives=self.random.random() < 0.5)

    def stop_server(self) -> None:
        """The server's process ends; its data stay."""
        self.down = True
        for connection in list(self.connections):
            self.cut(connection, arrives=False)
        self._blocked.clear()

    def start_server(self) -> None:
        """The server is back, its scripts forgotten."""
        self.down = False
        self.server.restart()

    def resume(self) -> None:
        """A stalled server works off what came in meanwhile."""
        self.stalled = False
        while self._backlog and not self.stalled:
            self._execute(*self._backlog.popleft())

    def later(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Runs something at an instant, in no process."""
        self.loop.call_at(when, callback, *args, context=NOWHERE)

    def send(self, connection: "Connection", commands: Commands) -> None:
        """Takes requests that a client wrote in one piece."""
        if self.random.random() < self.fault_rate:
            self._fault(connection)
        if connection.loses_requests or (connection.cut and not connection.arrives):
            return
        # One write may be read by the server in two parts, with others in between.
        parted = len(commands) > 1 and self.random.random() < self.part_rate
        at = self.random.randrange(1, len(commands)) if parted else 0
        for part in [commands[:at], commands[at:]] if at else [commands]:
            self.later(connection.request_time(), self._execute, connection, part)

    def _fault(self, connection: "Connection") -> None:
        kind = self.random.choice(["cut", "lost requests", "lost replies", "lost replies"])
        self.fault_happened(kind, connection)
        if kind == "cut":
            self.cut(connection, arrives=self.random.random() < 0.5)
        elif kind == "lost requests":
            connection.loses_requests = True
        else:
            connection.loses_replies = True

    def _execute(self, connection: "Connection", commands: Commands) -> None:
        if self.down or (connection.cut and not connection.arrives):
            return
        if self.stalled:
            self._backlog.append((connection, commands))
            return
        for words in commands:
            command = words[0].upper()
            if command == b"SUBSCRIBE":
                connection.channels.append(words[1])
                connection.answer([b"subscribe", words[1], len(connection.channels)])
                continue
            reply = self.server.execute(words)
            if reply is None and command == b"XREAD" and b"BLOCK" in words:
                self._block(connection, words)
            else:
                connection.answer(reply)
        self._deliver()
        self.executed()

    def _block(self, connection: "Connection", words: Sequence[bytes]) -> None:
        waiting = _Blocked(connection, words)
        self._blocked.append(waiting)
        self.later(self.loop.time() + waiting.seconds, self._unblock, waiting, None)

    def _unblock(self, waiting: "_Blocked", reply: Reply) -> None:
        if waiting in self._blocked:
            self._blocked.remove(waiting)
            waiting.connection.answer(reply)

    def _deliver(self) -> None:
        for waiting in list(self._blocked):
            found = rows_after(self.server, waiting.key, waiting.after, waiting.count)
            if found is not None:
                self._unblock(waiting, found)
        published, self.server.published = self.server.published, []
        for channel, message in published:
            for connection in self.connections:
                if channel in connection.channels:
                    connection.answer([b"message", channel, message])


class _Blocked:
    """A connection that waits for rows."""

    def __init__(self, connection: "Connection", words: Sequence[bytes]) -> None:
        at = words.index(b"STREAMS")
        self.connection = connection
        self.key, self.after = words[at + 1], words[at + 2]
        self.count = int(words[words.index(b"COUNT") + 1])
        self.seconds = int(words[words.index(b"BLOCK") + 1]) / 1000


class Connection:
    """Fits what Link uses of redis-py's connection."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.process = CURRENT.get()
        self.channels: list[bytes] = []
        self.cut = self.arrives = self.loses_requests = self.loses_replies = False
        self._inbox: deque[Any] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._last_request = self._last_reply = 0.0

    async def connect(self) -> None:
        network = self.network
        await asyncio.sleep(network.delay())
        while network.stalled:  # noqa: ASYNC110  # as a server that does not accept
            await asyncio.sleep(0.05)
        await asyncio.sleep(network.delay())
        if network.down:
            raise redis.exceptions.ConnectionError("Connection refused")
        network.connections.append(self)

    async def send_packed_command(self, packed: bytes, *, check_health: bool) -> None:
        if self.cut:
            raise redis.exceptions.ConnectionError("Connection reset by peer")
        self.network.send(self, unpack(packed))

    async def read_response(self, *, disable_decoding: bool, disconnect_on_error: bool) -> Any:
        while not self._inbox:
            self._reader = self.network.loop.create_future()
            await self._reader
        item = self._inbox.popleft()
        if isinstance(item, Exception):
            raise item
        return item

    async def disconnect(self, *, nowait: bool) -> None:
        self.network.cut(self, arrives=True)

    def answer(self, reply: Reply) -> None:
        """Sends a reply to the client."""
        if not self.loses_replies and not self.cut:
            self.network.later(self.reply_time(), self._arrive, _as_read(reply))

    def break_off(self) -> None:
        """The client learns that the connection is gone."""
        self._arrive(redis.exceptions.ConnectionError("Connection closed by server."))

    def request_time(self) -> float:
        """When the next request arrives."""
        self._last_request = max(self._last_request + STEP, self.network.loop.time() + self.network.delay())
        return self._last_request

    def reply_time(self) -> float:
        """When the next reply arrives."""
        self._last_reply = max(self._last_reply + STEP, self.network.loop.time() + self.network.delay())
        return self._last_reply

    def _arrive(self, item: Any) -> None:
        self._inbox.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def _as_read(reply: Reply) -> Any:
    if isinstance(reply, Failure):
        return BaseParser.parse_error(reply.text)
    if isinstance(reply, list):
        return [_as_read(item) for item in reply]
    return bytes(reply) if isinstance(reply, bytes) else reply


def unpack(packed: bytes) -> list[list[bytes]]:
    """The commands in what a client wrote."""
    commands, at = [], 0
    while at < len(packed):
        count, at = _number(packed, at)
        words = []
        for _ in range(count):
            size, at = _number(packed, at)
            words.append(packed[at : at + size])
            at += size + 2
        commands.append(words)
    return commands


def _number(packed: bytes, at: int) -> tuple[int, int]:
    end = packed.index(b"\r\n", at)
    return int(packed[at + 1 : end]), end + 2
