"""A blocking client of the store, for commands."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import redis

from beatd.core.edit import PutItem
from beatd.errors import BeatdError, NotFound
from beatd.store.connect import RedisAddress, open_client, user_of
from beatd.store.entries import (
    Pause,
    Row,
    check_pause,
    check_put,
    check_remove,
    names_command,
    pause_call,
    put_call,
    put_steps,
    remove_call,
    reset_call,
    resume_call,
    row_commands,
    rows_of,
)
from beatd.store.keys import Keys
from beatd.store.refusals import PermissionMissing, understand
from beatd.store.rights import Rights
from beatd.store.scripts import Arg, Call
from beatd.store.silence import look_closer, worth_a_look
from beatd.store.spoilt import whole

PAGE: Final = 500


class Client:
    """Reads and edits the entries of one namespace. Every method raises Unreachable or AccessDenied."""

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

    def request(self, *commands: Sequence[Arg]) -> list[Any]:
        """Sends commands in one write and returns their replies; raises the first error among them as ours."""
        return self._many(commands)

    def ask(self, *commands: Sequence[Arg]) -> list[Any]:
        """As request, with errors of the server among the replies, as ours."""
        replies = self._exchange(commands, raises=False)
        return [understand(reply, self.place) if isinstance(reply, Exception) else reply for reply in replies]

    def now_ms(self) -> int:
        """The clock of Redis, UTC ms."""
        seconds, micros = self._one("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def rows(self) -> Iterator[Row]:
        """All entries, page by page, in no order."""
        cursor = b"0"
        while True:
            cursor, flat = self._one(*names_command(self.keys, cursor, PAGE))
            names = [raw.decode("utf-8", "surrogateescape") for raw in flat[::2]]
            if names:
                yield from rows_of(names, self._many(row_commands(self.keys, names)))
            if cursor == b"0":
                return

    def find(self, name: str) -> Row | None:
        """One entry, or None."""
        rows = rows_of([name], self._many(row_commands(self.keys, [name])))
        return rows[0] if rows else None

    def get(self, name: str) -> Row:
        """One entry. Raises NotFound."""
        row = self.find(name)
        if row is None:
            raise NotFound(f"there is no entry {name!r}", hint="beatd ls shows the names")
        return row

    def runs_left(self, name: str) -> int | None:
        """How many runs `max_runs` still allows; None where they are not counted."""
        left = self._one("HGET", self.keys.key("left"), name)
        return whole(left)

    def put(self, items: Sequence[PutItem], who: str) -> None:
        """Writes entries, all or nothing within a step. Raises Refused."""
        for step in put_steps(items):
            codes, _ = self._run(put_call(self.keys, step, who))
            check_put(step, codes)

    def remove(self, names: Sequence[str], who: str) -> None:
        """Removes entries. Raises Refused or NotFound."""
        codes, _ = self._run(remove_call(self.keys, names, who))
        check_remove(names, codes)

    def pause(self, names: Sequence[str], nonce: str, who: str, pause: Pause) -> None:
        """Pauses entries under a fresh nonce, all or nothing. Raises Refused or NotFound."""
        codes, _ = self._run(pause_call(self.keys, names, nonce, who, pause))
        check_pause(names, codes)

    def resume(self, names: Sequence[str], nonce: str, who: str, *, catchup: bool) -> list[str]:
        """Lifts pauses under a fresh nonce, all or nothing; the names of those that were paused. Raises NotFound."""
        codes, _ = self._run(resume_call(self.keys, names, nonce, who, catchup=catchup))
        check_pause(names, codes)
        return [name for name, code in zip(names, codes.decode(), strict=True) if code == "0"]

    def reset(self, runs: Mapping[str, int], nonce: str, who: str) -> None:
        """Gives entries their runs anew under a fresh nonce, all or nothing. Raises Refused or NotFound."""
        codes, _ = self._run(reset_call(self.keys, runs, nonce, who))
        check_pause(list(runs), codes)

    def _run(self, call: Call) -> Any:
        try:
            return self._redis.execute_command(*map(_word, call.command(sha=True, shebang=False)))
        except redis.exceptions.NoScriptError:
            return self._one(*call.command(sha=False, shebang=False))
        except (redis.RedisError, OSError) as error:
            raise self._refusal(error) from error

    def _one(self, *words: Arg) -> Any:
        return self._many([words])[0]

    def _many(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        return self._exchange(commands, raises=True)

    def _exchange(self, commands: Sequence[Sequence[Arg]], *, raises: bool) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        try:
            for words in commands:
                pipe.execute_command(*map(_word, words))
            replies: list[Any] = pipe.execute(raise_on_error=raises)
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


def _word(word: Arg) -> bytes | int:
    """Names that are not UTF-8 are read by surrogates, and go back as they came."""
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word
