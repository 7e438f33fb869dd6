"""A TCP proxy between daemons and a server: slow, silent, forgetful, cutting, or quoting the server wrongly.

With no latency even a broken lock looks right; with replies that never come nobody may assume anything.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

CHUNK = 65_536
Result = TypeVar("Result")


@dataclass(slots=True)
class Behaviour:
    """What the proxy does from now on. Delays in seconds, each way, of each piece of data."""

    slowest: float = 0.0
    cut_after: int | None = None  # bytes of replies, of each connection
    refusing: bool = False  # new connections are closed at once
    accepts: int | None = None  # so many connections in all; later ones are closed at once
    rewrite: Callable[[bytes], bytes] | None = None  # what the server says, before it is passed on


@dataclass(slots=True, eq=False)
class _Pair:
    """One client's connection with the one to the server behind it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loses: set[str] = field(default_factory=set)  # directions whose data are swallowed: "requests", "replies"


class Proxy:
    """Listens on a free loopback port, in a thread with a loop of its own, until closed.

    ``port_behind`` is where new connections lead: whoever sets it makes a failover.
    """

    def __init__(self, port: int, *, seed: int = 1, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.accepted = 0
        self.port_behind = port
        self._random = random.Random(seed)
        self._pairs: set[_Pair] = set()
        self._open = {"requests": asyncio.Event(), "replies": asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        for gate in self._open.values():
            self._call(_do(gate.set))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The first database of a server without a password, by this way."""
        return f"redis://127.0.0.1:{self.port}/0"

    def hold(self, direction: str = "replies") -> None:
        """Nothing passes in this direction, and nothing is lost, until let_pass."""
        self._call(_do(self._open[direction].clear))

    def let_pass(self, direction: str = "replies") -> None:
        """What was held goes on."""
        self._call(_do(self._open[direction].set))

    def lose(self, direction: str = "replies") -> None:
        """From now on the connections there are swallow what goes in this direction, and stay open."""

        def swallow() -> None:
            for pair in self._pairs:
                pair.loses.add(direction)

        self._call(_do(swallow))

    def cut(self) -> None:
        """Closes all connections."""

        def close_all() -> None:
            for pair in self._pairs:
                _close(pair)

        self._call(_do(close_all))

    def close(self) -> None:
        """Ends everything. Closed already: nothing."""
        if self._loop.is_closed():
            return
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _stop(self) -> None:
        self._listener.close()
        for pair in self._pairs:
            _close(pair)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(asyncio.current_task())
        self.accepted += 1
        full = self.behaviour.accepts is not None and self.accepted > self.behaviour.accepts
        if self.behaviour.refusing or full:
            writer.close()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.port_behind)
        except OSError:
            writer.close()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        for work in (self._pump("requests", pair, reader, server_writer),
                     self._pump("replies", pair, server_reader, writer)):  # fmt: skip
            self._keep(asyncio.ensure_future(work))

    def _keep(self, task: "asyncio.Task[Any] | None") -> None:
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, direction: str, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Passes data on in order, each piece after its delay and once the gate is open."""
        passing: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sender = asyncio.ensure_future(self._send(direction, pair, passing, writer))
        try:
            while data := await reader.read(CHUNK):
                delay = self._random.uniform(0, self.behaviour.slowest)
                passing.put_nowait((self._loop.time() + delay, data))
            passing.put_nowait((self._loop.time(), b""))
            await sender
        except OSError:
            pass
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            self._pairs.discard(pair)
            _close(pair)

    async def _send(
        self, direction: str, pair: _Pair, passing: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        passed = 0
        while True:
            at, data = await passing.get()
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            await self._open[direction].wait()
            if not data:
                return
            if direction in pair.loses:
                continue
            behaviour, most = self.behaviour, None
            if direction == "replies":
                data = behaviour.rewrite(data) if behaviour.rewrite else data
                most = behaviour.cut_after
            writer.write(data if most is None else data[: max(0, most - passed)])
            await writer.drain()
            passed += len(data)
            if most is not None and passed >= most:
                _close(pair)


async def _do(action: Callable[[], object]) -> None:
    action()


def _close(pair: _Pair) -> None:
    for writer in (pair.client, pair.server):
        with suppress(OSError):
            writer.close()
