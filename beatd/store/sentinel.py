"""Asking Sentinels where the primary is. Blocks: not for the event loop.

All of them are asked at once, for one may be dead and another frozen, and what the newest configuration says counts: a
Sentinel that was cut off names a primary of the past.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import redis.exceptions as redis_errors
from redis.connection import Connection

from beatd.errors import AccessDenied, BeatdError, Unreachable
from beatd.store.redis_url import SENTINEL_PORT
from beatd.store.refusals import understand

MOST_AT_ONCE: Final = 8  # questions to one Sentinel that have no end yet, such as one for its host name
PATIENCE: Final = 0.25  # of the timeout: so long others are waited for once one has answered

Host = tuple[str, int]


class Answer(NamedTuple):
    """What a Sentinel says: where the primary is, and the number of the configuration it says it by."""

    epoch: int
    host: str
    port: int

    def __str__(self) -> str:
        return shown((self.host, self.port))


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The Sentinels of one primary. ``connect`` gives an open connection to one of them, or raises."""

    hosts: Sequence[Host]
    master: str
    timeout: float
    connect: Callable[[Host], Connection]
    _asked: Mapping[Host, threading.Semaphore] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        asked = {host: threading.BoundedSemaphore(MOST_AT_ONCE) for host in self.hosts}
        object.__setattr__(self, "_asked", asked)

    def primary(self, place: str) -> Answer:
        """Where it is, within the timeout. ``place`` begins the sentence of an error: Unreachable when no Sentinel
        answers, AccessDenied when those that do don't know it or refuse to say.
        """
        failures: dict[Host, BeatdError] = {}
        answers = []
        for host, told in self._told():
            if isinstance(told, Answer):
                answers.append(told)
            else:
                failures[host] = told
        if answers:
            return max(answers, key=lambda answer: answer.epoch)
        refused = next((error for error in failures.values() if isinstance(error, AccessDenied)), None)
        if refused is not None:
            raise AccessDenied(f"{place}: {refused.message}", hint=refused.hint)
        raise Unreachable(
            f"{place}: no Sentinel answers: {'; '.join(_shortly(host, failures.get(host)) for host in self.hosts)}",
            hint=f"are they running? are the ports right? a Sentinel listens on {SENTINEL_PORT} unless told otherwise",
        )

    def look(self) -> Mapping[Host, Answer | BeatdError]:
        """What each says, for people: all of them are waited for."""
        found: dict[Host, Answer | BeatdError] = {
            host: Unreachable(_shortly(host, None)) for host in self.hosts
        }  # of those that don't answer in time
        found.update(self._told(patience=1.0))
        return found

    def _told(self, patience: float = PATIENCE) -> Iterator[tuple[Host, Answer | BeatdError]]:
        """What they say as they say it: until most have named a primary, and no longer than the timeout."""
        replies: queue.SimpleQueue[tuple[Host, Answer | BeatdError]] = queue.SimpleQueue()
        waited_for = sum(self._ask(host, replies) for host in self.hosts)
        over, answered = time.monotonic() + self.timeout, 0
        while waited_for and (left := over - time.monotonic()) > 0:
            try:
                host, told = replies.get(timeout=left)
            except queue.Empty:
                return
            waited_for -= 1
            yield host, told
            if isinstance(told, Answer):
                answered += 1
                over = min(over, time.monotonic() + patience * self.timeout)
                if patience < 1 and 2 * answered > len(self.hosts):
                    return

    def _ask(self, host: Host, replies: "queue.SimpleQueue[tuple[Host, Answer | BeatdError]]") -> bool:
        """Asks in a thread that nobody waits for; False where too many such threads wait already."""
        if not self._asked[host].acquire(blocking=False):
            return False

        def ask() -> None:
            try:
                replies.put((host, self._answer_of(host)))
            finally:
                self._asked[host].release()

        threading.Thread(target=ask, name="sentinel", daemon=True).start()
        return True

    def _answer_of(self, host: Host) -> Answer | BeatdError:
        place = f"Sentinel at {shown(host)}"
        try:
            connection = self.connect(host)
            try:
                return self._question(connection, place)
            finally:
                with suppress(redis_errors.RedisError, OSError):
                    connection.disconnect()
        except BeatdError as error:
            return error
        except (redis_errors.RedisError, OSError) as error:
            return _refusal(error, place)

    def _question(self, connection: Connection, place: str) -> Answer | BeatdError:
        try:
            told = _fields(_asked(connection, "SENTINEL", "MASTER", self.master))
        except redis_errors.ResponseError as error:
            if "No such master" not in str(error):
                raise
            known = [_fields(each).get("name", "?") for each in _asked(connection, "SENTINEL", "MASTERS")]
            names = ", ".join(map(repr, known)) or "none"
            hint = f"the name after the last host of the URL is the one of `sentinel monitor`; it knows {names}"
            return AccessDenied(f"{place} knows no primary named {self.master!r}", hint=hint)
        return Answer(int(told["config-epoch"]), told["ip"], int(told["port"]))


def shown(host: Host) -> str:
    """A host and port as in a URL."""
    return f"[{host[0]}]:{host[1]}" if ":" in host[0] else f"{host[0]}:{host[1]}"


def _asked(connection: Connection, *words: str) -> Any:
    connection.send_command(*words)
    return connection.read_response(disable_decoding=True)


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    texts = [each.decode(errors="replace") for each in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _refusal(error: Exception, place: str) -> BeatdError:
    """As understand, in the words of a Sentinel."""
    found = understand(error, place)
    if "unknown command" in str(error).lower():
        return AccessDenied(f"{place} is no Sentinel", hint="name Sentinels, or write redis://host:port/0 for a Redis")
    if isinstance(found, AccessDenied):
        hints = {
            "wants a password": "add it to the URL: ?sentinel_password=..., or sentinel_password_file=/path",
            "refuses the user": "check sentinel_username and sentinel_password in the URL; a Sentinel has its own",
            "refuses a right": "on each Sentinel: ACL SETUSER <user> +auth +client +ping +sentinel|master",
        }
        hint = next((hint for says, hint in hints.items() if says in found.message), found.hint)
        return AccessDenied(found.message, hint=hint)
    return found


def _shortly(host: Host, error: BeatdError | None) -> str:
    if error is None:
        return f"{shown(host)} gave no answer in time"
    return error.message.removeprefix("Sentinel at ")
