"""One connection to Redis, shared by tasks: requests go out and are answered in the order they were made.

A request that is not answered in time closes the link, for its outcome is unknown and so is that of everything sent
after it. Nothing is ever sent twice. Whoever used the link drops what it believed and opens a new one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from beatd.errors import Unreachable
from beatd.store.connect import RedisAddress, new_connection
from beatd.store.refusals import understand
from beatd.store.scripts import Arg, Call

try:
    import hiredis

    _fast_pack: Any = hiredis.pack_command
except ImportError:  # the extra `fast` is not installed
    _fast_pack = None

Command = Sequence[Arg]
Reply = Any  # what RESP2 can say: bytes, int, None, lists of these


class Link:
    """An open connection. Made by ``Link.open``; ends with ``close`` or with the first unanswered request."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._connection = new_connection(address)
        self._sending = asyncio.Lock()
        self._waiting: deque[tuple[int, asyncio.Future[list[Reply]]]] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._shebang = False
        self._heard: asyncio.Queue[None] = asyncio.Queue()

    @property
    def timeout(self) -> float:
        """Seconds within which an answer must come."""
        return self._address.timeout

    @classmethod
    async def open(cls, address: RedisAddress) -> "Link":
        """Connects and authenticates. Raises Unreachable or AccessDenied."""
        link = cls(address)
        try:
            async with asyncio.timeout(address.timeout):
                await link._connection.connect()
        except (RedisError, OSError, TimeoutError) as error:
            await link.close()
            raise understand(error) from error
        link._reader = asyncio.create_task(link._read(), name="redis-reader")
        try:
            link._shebang = await link._knows_shebang()
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

    async def request(self, *commands: Command, within: float | None = None) -> list[Reply]:
        """Sends commands in one write and returns their replies; raises the first error among them as ours.

        No answer within that time (seconds; the address's timeout by default) closes the link and raises Unreachable.
        """
        replies = await self._exchange(commands, within)
        for reply in replies:
            if isinstance(reply, Exception):
                raise understand(reply) from reply
        return replies

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
        reply = (await self._exchange([call.command(sha=True, shebang=self._shebang)]))[0]
        if isinstance(reply, NoScriptError):
            reply = (await self._exchange([call.command(sha=False, shebang=self._shebang)]))[0]
        if isinstance(reply, Exception):
            raise understand(reply) from reply
        return reply

    async def _exchange(self, commands: Sequence[Command], within: float | None = None) -> list[Reply]:
        """As request, with error replies among the replies."""
        if self._reader is None or self._reader.done():
            raise Unreachable("the connection to Redis is closed")
        answered: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._address.timeout if within is None else within):
                async with self._sending:
                    self._waiting.append((len(commands), answered))
                    await self._connection.send_packed_command(pack(commands), check_health=False)
                replies = await answered
        except TimeoutError as error:
            self._give_up()
            raise Unreachable("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            self._give_up()
            raise understand(error) from error
        return replies

    async def _knows_shebang(self) -> bool:
        """Whether scripts may start with ``#!lua``: Redis 7 and later, by the version it answers with."""
        info = (await self._exchange([("INFO", "server")]))[0]
        if isinstance(info, Exception):  # INFO may be denied; the plain scripts run everywhere
            return False
        version = _field(info, b"redis_version")
        return version.split(b".")[0].isdigit() and int(version.split(b".")[0]) >= 7

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
            self._fail(understand(error))

    def _give_up(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        self._fail(Unreachable("the connection to Redis was given up: an earlier request was not answered"))

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
