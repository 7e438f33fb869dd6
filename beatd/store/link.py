"""One connection to Redis, shared by tasks: requests go out and are answered in the order they were made.

A request that is not answered in time closes the link, for its outcome is unknown and so is that of everything sent
after it. Nothing is ever sent twice. Whoever used the link drops what it believed and opens a new one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from redis.asyncio.connection import Connection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from beatd.errors import BeatdError, Unreachable, WritesRefused
from beatd.store.connect import RedisAddress, host_of, look_up, new_connection
from beatd.store.refusals import ConnectionClosed, PermissionMissing, understand
from beatd.store.rights import Rights, keys_in
from beatd.store.scripts import Arg, Call
from beatd.store.sentinel import Answer
from beatd.store.silence import look_closer, worth_a_look

try:
    import hiredis

    _fast_pack: Any = hiredis.pack_command
except ImportError:  # the extra `fast` is not installed
    _fast_pack = None

Command = Sequence[Arg]
Reply = Any  # what RESP2 can say: bytes, int, None, lists of these


class Listener(Protocol):
    """Hears how requests went. None of it may wait or raise."""

    def answered(self, seconds: float) -> None:
        """A request got its answer after so long; one that waits for something to happen is not told of."""

    def refused(self, code: str) -> None:
        """A script was refused as a whole, or got no answer: the code of our error."""

    def judged(self, codes: str) -> None:
        """What a script answered, a digit for each item; 0 is done."""


class Deaf:
    """A Listener that doesn't care."""

    def answered(self, seconds: float) -> None:
        """Nothing."""

    def refused(self, code: str) -> None:
        """Nothing."""

    def judged(self, codes: str) -> None:
        """Nothing."""


class Link:
    """An open connection. Made by ``Link.open``; ends with ``close`` or with the first unanswered request.

    ``connection``: what it runs over, not yet open; by default a new one to the address. ``primary``: where that leads,
    by the word of Sentinels.
    """

    def __init__(
        self,
        address: RedisAddress,
        rights: Rights | None = None,
        listener: Listener | None = None,
        connection: Connection | None = None,
        primary: Answer | None = None,
    ) -> None:
        self.listener: Listener = listener or Deaf()
        self._address = address
        self.primary = primary
        self._over: BeatdError | None = None
        self._rights = rights
        self._connection = new_connection(address) if connection is None else connection
        self._sending = asyncio.Lock()
        self._waiting: deque[tuple[int, asyncio.Future[list[Reply]]]] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._shebang = False
        self._heard: asyncio.Queue[None] = asyncio.Queue()

    @property
    def timeout(self) -> float:
        """Seconds within which an answer must come."""
        return self._address.timeout

    @property
    def place(self) -> str:
        """Where it leads, as a sentence begins."""
        return f"{self._address.place}, primary {self.primary}," if self.primary else self._address.place

    @classmethod
    async def open(
        cls,
        address: RedisAddress,
        rights: Rights | None = None,
        *,
        met: bool = False,
        listener: Listener | None = None,
    ) -> "Link":
        """Connects and authenticates. Raises Unreachable or AccessDenied.

        With ``rights`` an error that tells of a missing right says which of these it is. ``met``: the server was
        reached before, and no time is spent on finding out why it closes connections.
        """
        try:
            found = await look_up(address)
        except TimeoutError as error:
            raise understand(error, address.place) from error
        link = cls(found.address, rights, listener, found.connection, found.primary)
        try:
            async with asyncio.timeout(address.timeout):
                await link._connection.connect()
        except (RedisError, OSError, TimeoutError) as error:
            await link.close()
            raise await link._why_not(error, met=met) from error
        link._reader = asyncio.create_task(link._read(), name="redis-reader")
        try:
            link._shebang = await link._knows_server()
        except BaseException:
            await link.close()
            raise
        return link

    async def close(self) -> None:
        """Closes the connection; unanswered requests end with Unreachable.

        Whoever is cancelled while closing is cancelled: a service that went on would keep a leader from ever stopping.
        """
        try:
            if self._reader is not None:
                self._reader.cancel()
                await asyncio.wait([self._reader])
        finally:
            self._fail(Unreachable("the connection to Redis was closed"))
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._address.timeout):
                    await self._connection.disconnect(nowait=True)

    async def request(
        self, *commands: Command, within: float | None = None, may_fail: Command | None = None
    ) -> list[Reply]:
        """Sends commands in one write and returns their replies; raises the first error among them as ours. An error of
        ``may_fail``, which is sent behind them, is among the replies.

        No answer within that time (seconds; the address's timeout by default) closes the link and raises Unreachable.
        """
        began = self._now()
        replies = await self.ask(*commands, *([may_fail] if may_fail else ()), within=within)
        took = self._now() - began
        for reply, command in zip(replies, commands, strict=False):
            if isinstance(reply, Exception):
                raise await self._refusal(reply, command) from reply
        if within is None:
            self.listener.answered(took)
        return replies

    async def ask(self, *commands: Command, within: float | None = None) -> list[Reply]:
        """As request, with errors of the server among the replies."""
        return await self._exchange(commands, within)

    async def heard(self, seconds: float) -> bool:
        """Whether a published message came in within the time; needs a SUBSCRIBE before. Raises Unreachable when the
        connection is gone, which it also finds out by asking.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._heard.get()
        except TimeoutError:
            await self.request(("PING",))
            return False
        return True

    async def run(self, call: Call) -> Reply:
        """Runs a script by its digest, by its text where the server does not know it yet. Raises our errors."""
        try:
            return await self._run(call)
        except BeatdError as error:
            self.listener.refused(error.code)
            raise

    async def _run(self, call: Call) -> Reply:
        began = self._now()
        command = call.command(sha=True, shebang=self._shebang)
        reply = (await self._exchange([command]))[0]
        if isinstance(reply, NoScriptError):
            reply = (await self._exchange([call.command(sha=False, shebang=self._shebang)]))[0]
        if isinstance(reply, Exception):
            raise await self._refusal(reply, command) from reply
        self.listener.answered(self._now() - began)
        return reply

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _refusal(self, reply: Exception, command: Command) -> BeatdError:
        """An error reply as one of ours; where a right is missing, the server is asked which."""
        error = understand(reply, self.place)
        if self._rights is None or not isinstance(error, PermissionMissing):
            return error
        rights = self._rights.also(keys_in(command))
        (answer,) = await self._exchange([rights.question()])
        return rights.denial(rights.missing(None if isinstance(answer, Exception) else answer), self.place, str(reply))

    async def _why_not(self, error: Exception, *, met: bool) -> BeatdError:
        """Why no connection could be made. A server closes one that lacks TLS, and waits on one that has too much."""
        found = understand(error, self.place)
        if not worth_a_look(error, self._address):
            return found
        host, tls = host_of(self._connection), self._address.parsed.kind == "rediss"
        look = partial(look_closer, host, self.place, found, tls=tls, timeout=self.timeout, met=met)
        return await asyncio.to_thread(look)

    async def _exchange(self, commands: Sequence[Command], within: float | None = None) -> list[Reply]:
        """As request, with error replies among the replies."""
        if self._over is not None:
            raise self._over
        if self._reader is None or self._reader.done():
            raise Unreachable(f"{self.place} closed the connection")
        answered: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._address.timeout if within is None else within):
                async with self._sending:
                    self._waiting.append((len(commands), answered))
                    await self._connection.send_packed_command(pack(commands), check_health=False)
                replies = await answered
        except (RedisError, OSError, TimeoutError) as error:
            unanswered = "the connection to Redis was given up: an earlier request was not answered"
            self._give_up(Unreachable(unanswered))
            raise understand(error, self.place) from error
        return replies

    async def _knows_server(self) -> bool:
        """Whether scripts may start with ``#!lua``: Redis 7 and later, by the version it answers with.

        Raises Unreachable where the server is too busy to answer, and WritesRefused where Sentinels named a server that
        is a replica: just before and just after a failover some of them do.
        """
        if self.primary is not None and await self._is_replica():
            raise WritesRefused(
                f"{self.place} is a replica", hint="a failover is under way; the Sentinels are asked again"
            )
        info = (await self._exchange([("INFO", "server")]))[0]
        if isinstance(info, Exception):
            if isinstance(error := understand(info, self.place), PermissionMissing):
                return False  # the plain scripts run everywhere
            raise error
        version = _field(info, b"redis_version")
        return version.split(b".")[0].isdigit() and int(version.split(b".")[0]) >= 7

    async def _is_replica(self) -> bool:
        """Whether it says so; a user who may not ask finds out by the first write."""
        info = (await self._exchange([("INFO", "replication")]))[0]
        return isinstance(info, bytes) and _field(info, b"role") == b"slave"

    async def _read(self) -> None:
        """Hands every reply to the request that waits for it, until the connection ends."""
        replies: list[Reply] = []
        try:
            while True:
                try:
                    reply = await self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
                except ResponseError as error:
                    reply = error
                if _is_published(reply):
                    self._heard.put_nowait(None)
                    continue
                replies.append(reply)
                if self._waiting and len(replies) == self._waiting[0][0]:
                    _, answered = self._waiting.popleft()
                    if not answered.done():
                        answered.set_result(replies)
                    replies = []
        except (RedisError, OSError) as error:
            self._fail(understand(error, self.place))

    def leave(self, newer: Answer) -> None:
        """Gives the connection up: another server is the primary now, and what is written here will be lost."""
        self._give_up(ConnectionClosed(f"{self.place} was left: {newer} is the primary now"))

    def _give_up(self, error: BeatdError) -> None:
        self._over = self._over or error
        if self._reader is not None:
            self._reader.cancel()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        while self._waiting:
            _, answered = self._waiting.popleft()
            if not answered.done():
                answered.set_exception(error)
                answered.exception()  # whoever waited may be gone already; that is not worth a warning


def _is_published(reply: Reply) -> bool:
    """Whether this is no answer but a message of a channel that was subscribed to."""
    return isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message"


def pack(commands: Sequence[Command]) -> bytes:
    """Commands as they go over the wire."""
    return b"".join(map(_pack_command, commands))


def _pack_command(words: Command) -> bytes:
    if _fast_pack is not None:
        try:
            packed: bytes = _fast_pack(tuple(words))
        except UnicodeEncodeError:  # a name that another client wrote in no encoding of ours
            packed = _fast_pack(tuple(map(_word, words)))
        return packed
    raw = [_word(word) for word in words]
    return b"*%d\r\n" % len(raw) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in raw])


def _word(arg: Arg) -> bytes:
    if isinstance(arg, bytes):
        return arg
    return arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else b"%d" % arg


def _field(info: bytes, name: bytes) -> bytes:
    for line in info.splitlines():
        if line.startswith(name + b":"):
            return bytes(line.split(b":", 1)[1])
    return b""
