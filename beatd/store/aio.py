"""Connections to one namespace for asyncio: for programs that use the client."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import redis
import redis.asyncio

from beatd.errors import BeatdError
from beatd.store.blocking import BlockingLink, Command, first_error, in_form, understood, word
from beatd.store.connect import DEFAULT_TIMEOUT, RedisAddress, open_async_client, user_of
from beatd.store.keys import Keys
from beatd.store.refusals import PermissionMissing, closed, demoted, understand
from beatd.store.rights import Rights
from beatd.store.silence import look_at, worth_a_look

MOST_CONNECTIONS: Final = 20  # further calls wait for one


class AsyncLink:
    """Sends commands and script calls to one namespace's server, from any task. Raises Unreachable or AccessDenied.

    Connections belong to the event loop and the process in which they are opened; in another one there are new ones.
    """

    def __init__(self, url: str, namespace: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.keys = Keys(namespace)
        self._address = RedisAddress(url, timeout)
        self._rights = Rights(self.keys, user=user_of(url))
        self._home: tuple[asyncio.AbstractEventLoop, int] | None = None  # whose are these two
        self._redis: redis.asyncio.Redis
        self._free: asyncio.Semaphore
        self._met = False  # whether it has ever answered

    @property
    def place(self) -> str:
        """Where it leads, as a sentence begins."""
        return self._address.place

    def blocking(self) -> BlockingLink:
        """Another one to the same place, for a thread that may wait."""
        return BlockingLink(self._address.url, self.keys.namespace, self._address.timeout)

    async def close(self) -> None:
        """Closes all connections; the next command opens one again."""
        if self._home == (asyncio.get_running_loop(), os.getpid()):
            await self._redis.aclose()
        self._home = None

    async def exchange(self, commands: Sequence[Command], *, tolerant: bool, again: bool) -> list[Any]:
        """Sends commands in one write; ``again``: once more where the connection was closed under it, for what may be
        repeated. Errors of the server are raised, the first of them, or given among the replies, as ours.
        """
        self._settle_here()
        async with self._free:
            replies = await self._send(in_form(commands, sha=True), again=again)
            unknown = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
            if unknown:  # scripts that this server has not seen yet: now in full
                in_full = await self._send(in_form([commands[i] for i in unknown], sha=False), again=again)
                for i, reply in zip(unknown, in_full, strict=True):
                    replies[i] = reply
            if tolerant:
                return understood(replies, self.place)
            error = first_error(replies)
            if error is not None:
                raise await self._refusal(error) from error
            return replies

    def _settle_here(self) -> None:
        here = (asyncio.get_running_loop(), os.getpid())
        if self._home != here:
            self._redis, self._free = open_async_client(self._address), asyncio.Semaphore(MOST_CONNECTIONS)
            self._home = here

    async def _send(self, commands: Sequence[Sequence[Any]], *, again: bool) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        try:
            for words in commands:
                pipe.execute_command(*map(word, words))
            replies: list[Any] = await pipe.execute(raise_on_error=False)
            self._met = True
            if demoted(replies):
                await self._redis.connection_pool.disconnect(inuse_connections=False)
        except (redis.RedisError, OSError) as error:
            if again and closed(error):
                return await self._send(commands, again=False)
            raise await self._refusal(error) from error
        return replies

    async def _refusal(self, error: Exception) -> BeatdError:
        found = understand(error, self.place)
        if isinstance(found, PermissionMissing):
            answer = None
            with suppress(redis.RedisError, OSError):
                answer = await self._redis.execute_command(*map(word, self._rights.question()))
            return self._rights.denial(self._rights.missing(answer), self.place, str(error))
        if not worth_a_look(error, self._address):
            return found
        return await asyncio.to_thread(partial(look_at, self._address, self.place, found, met=self._met))
