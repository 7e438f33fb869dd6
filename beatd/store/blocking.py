"""A blocking connection to one namespace: for commands, and for programs that use the client."""

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import redis

from beatd.errors import BeatdError
from beatd.store.connect import RedisAddress, open_client, user_of
from beatd.store.keys import Keys
from beatd.store.refusals import PermissionMissing, understand
from beatd.store.rights import Rights
from beatd.store.scripts import Arg, Call
from beatd.store.silence import look_closer, worth_a_look

Command = Sequence[Arg] | Call  # a call is sent in its short form first


class BlockingLink:
    """Sends commands and script calls to one namespace's server. Every method raises Unreachable or AccessDenied."""

    def __init__(self, url: str, namespace: str) -> None:
        self.keys = Keys(namespace)
        self._address = RedisAddress(url)
        self._rights = Rights(self.keys, user=user_of(url))
        self._redis = open_client(self._address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections; the next command opens one again."""
        self._redis.close()

    @property
    def place(self) -> str:
        """Where it leads, as a sentence begins."""
        return f"Redis at {self._address}"

    @property
    def timeout(self) -> float:
        """Seconds within which an answer must come."""
        return self._address.timeout

    @property
    def rights(self) -> Rights:
        """What its user needs."""
        return self._rights

    def request(self, *commands: Command) -> list[Any]:
        """Sends commands in one write and returns their replies; raises the first error among them as ours."""
        replies = self._exchange(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._refusal(reply) from reply
        return replies

    def ask(self, *commands: Command) -> list[Any]:
        """As request, with errors of the server among the replies, as ours."""
        replies = self._exchange(commands)
        return [understand(reply, self.place) if isinstance(reply, Exception) else reply for reply in replies]

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        replies = self._send([_words(command, sha=True) for command in commands])
        again = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
        if again:  # a script that this server has not seen yet: now in full
            for i, reply in zip(again, self._send([_words(commands[i], sha=False) for i in again]), strict=True):
                replies[i] = reply
        return replies

    def _send(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        try:
            for words in commands:
                pipe.execute_command(*map(_word, words))
            replies: list[Any] = pipe.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            raise self._refusal(error) from error
        return replies

    def _refusal(self, error: Exception) -> BeatdError:
        """The error as one of ours; where a right is missing or nobody answers, with what was found out about it."""
        place = self.place
        found = understand(error, place)
        if isinstance(found, PermissionMissing):
            answer = None
            with suppress(redis.RedisError, OSError):
                answer = self._redis.execute_command(*map(_word, self._rights.question()))
            return self._rights.denial(self._rights.missing(answer), place, str(error))
        return look_closer(self._address, place, found) if worth_a_look(error, self._address) else found


def _words(command: Command, *, sha: bool) -> Sequence[Arg]:
    return command.command(sha=sha, shebang=False) if isinstance(command, Call) else command


def _word(word: Arg) -> bytes | int:
    """Names that are not UTF-8 are read by surrogates, and go back as they came."""
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word
