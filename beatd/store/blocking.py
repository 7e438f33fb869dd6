"""A blocking connection to one namespace: for commands, and for programs that use the client."""

import os
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import redis

from beatd.errors import BeatdError
from beatd.store.connect import DEFAULT_TIMEOUT, RedisAddress, open_client, user_of
from beatd.store.keys import Keys
from beatd.store.refusals import PermissionMissing, closed, demoted, understand
from beatd.store.rights import Rights
from beatd.store.scripts import Arg, Call
from beatd.store.sentinel import Sentinels
from beatd.store.silence import look_at, worth_a_look

Command = Sequence[Arg] | Call  # a call is sent in its short form first


class BlockingLink:
    """Sends commands and script calls to one namespace's server. Every method raises Unreachable or AccessDenied."""

    def __init__(self, url: str, namespace: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.keys = Keys(namespace)
        self._address = RedisAddress(url, timeout)
        self._rights = Rights(self.keys, user=user_of(url))
        self._redis, self._home = open_client(self._address), os.getpid()
        self._met = False  # whether it has ever answered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections; the next command opens one again."""
        self._here().close()

    @property
    def place(self) -> str:
        """Where it leads, as a sentence begins."""
        return self._address.place

    @property
    def timeout(self) -> float:
        """Seconds within which an answer must come."""
        return self._address.timeout

    @property
    def sentinels(self) -> Sentinels | None:
        """Who knows where the primary is, if the URL names such."""
        return self._address.sentinels

    @property
    def rights(self) -> Rights:
        """What its user needs."""
        return self._rights

    def request(self, *commands: Command) -> list[Any]:
        """Sends commands in one write and returns their replies; raises the first error among them as ours."""
        return self.exchange(commands)

    def ask(self, *commands: Command) -> list[Any]:
        """As request, with errors of the server among the replies, as ours."""
        return self.exchange(commands, tolerant=True)

    def exchange(self, commands: Sequence[Command], *, tolerant: bool = False, again: bool = False) -> list[Any]:
        """Sends commands in one write; ``again``: once more where the connection was closed under it, for what may be
        repeated. Errors of the server are raised, the first of them, or given among the replies, as ours.
        """
        replies = self._send(in_form(commands, sha=True), again=again)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
        if unknown:  # scripts that this server has not seen yet: now in full
            in_full = self._send(in_form([commands[i] for i in unknown], sha=False), again=again)
            for i, reply in zip(unknown, in_full, strict=True):
                replies[i] = reply
        if tolerant:
            return understood(replies, self.place)
        error = first_error(replies)
        if error is not None:
            raise self._refusal(error) from error
        return replies

    def _send(self, commands: Sequence[Sequence[Arg]], *, again: bool) -> list[Any]:
        pipe = self._here().pipeline(transaction=False)
        try:
            for words in commands:
                pipe.execute_command(*map(word, words))
            replies: list[Any] = pipe.execute(raise_on_error=False)
            self._met = True
            if demoted(replies):
                self._redis.connection_pool.disconnect(inuse_connections=False)
        except (redis.RedisError, OSError) as error:
            if again and closed(error):
                return self._send(commands, again=False)
            raise self._refusal(error) from error
        return replies

    def _here(self) -> redis.Redis:
        """The connections of this process. Where another thread was in a call during a fork, the lock of those that the
        child inherits stays taken for ever: they are left as they are, not even closed.
        """
        if self._home != os.getpid():
            self._redis.auto_close_connection_pool = False
            self._redis, self._home = open_client(self._address), os.getpid()
        return self._redis

    def _refusal(self, error: Exception) -> BeatdError:
        """The error as one of ours; where a right is missing or nobody answers, with what was found out about it."""
        place = self.place
        found = understand(error, place)
        if isinstance(found, PermissionMissing):
            answer = None
            with suppress(redis.RedisError, OSError):
                answer = self._here().execute_command(*map(word, self._rights.question()))
            return self._rights.denial(self._rights.missing(answer), place, str(error))
        return look_at(self._address, place, found, met=self._met) if worth_a_look(error, self._address) else found


def in_form(commands: Sequence[Command], *, sha: bool) -> list[Sequence[Arg]]:
    """Commands as words; with ``sha`` calls of scripts in their short form."""
    return [each.command(sha=sha, shebang=False) if isinstance(each, Call) else each for each in commands]


def first_error(replies: Sequence[Any]) -> Exception | None:
    """The first error among replies."""
    return next((reply for reply in replies if isinstance(reply, Exception)), None)


def understood(replies: Sequence[Any], place: str) -> list[Any]:
    """Replies with the errors among them as ours."""
    return [understand(reply, place) if isinstance(reply, Exception) else reply for reply in replies]


def word(arg: Arg) -> bytes | int:
    """Names that are not UTF-8 are read by surrogates, and go back as they came."""
    return arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg
