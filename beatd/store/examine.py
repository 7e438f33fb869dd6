"""Gathering what `beatd doctor` judges of Redis. Each question has the deadline of its connection."""

import time
import uuid
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final

from beatd.core.census import Sizes
from beatd.core.doctor.queues import QueueFacts, Tried, slot_of
from beatd.core.doctor.sentinel import SentinelFacts
from beatd.core.doctor.server import ServerHealth
from beatd.errors import BeatdError
from beatd.store.blocking import BlockingLink
from beatd.store.refusals import PermissionMissing
from beatd.store.rights import Missing, Rights
from beatd.store.scripts import Arg
from beatd.store.sentinel import shown
from beatd.store.survey import facts_of, fields_of, ms_of

PINGS: Final = 7
SAMPLE: Final = 2_000  # definitions read to learn which queues there are
PAGE: Final = 500
MOST_QUEUES: Final = 20
LOOKS: Final = 3
AGAIN_S: Final = 0.2
SCRATCH: Final = "doctor"
MESSAGE: Final = "beatd doctor was here"

# One step, so that nothing stays whatever happens to the client.
_TRY: Final = "redis.call('LPUSH', KEYS[1], ARGV[1]) return redis.call('RPOP', KEYS[1])"
_SAVES: Final = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")


def examine_server(link: BlockingLink, queue_keys: Sequence[str]) -> ServerHealth:
    """What server it is, how it does, and what its user may do. Raises Unreachable or AccessDenied."""
    pings = [_timed(link, ("PING",))[1] for _ in range(PINGS)]
    clock, took = _timed(link, ("TIME",))
    ahead = ms_of(clock) - (time.time_ns() // 1_000_000 - int(took / 2))
    rights = link.rights.also(queue_keys)
    missing, unasked = _missing(link, rights)
    info, saves = link.ask(("INFO",), ("CONFIG", "GET", "save"))
    fields = fields_of(info)
    return ServerHealth(
        facts=facts_of(fields, saves, ahead, missing),
        ping_ms=median(pings),
        role=fields.get("role"),
        used=_whole(fields.get("used_memory")),
        most=_whole(fields.get("maxmemory")),
        unsaved=tuple(name for name in _SAVES if fields.get(name, "ok") != "ok"),
        denied=missing.needed or unasked,
        acl_line=rights.acl_line(),
    )


def examine_sentinels(link: BlockingLink) -> SentinelFacts | None:
    """What the Sentinels say that lead here, and how many replicas there are; None where no Sentinel leads."""
    if link.sentinels is None:
        return None
    told = link.sentinels.look()
    info, least = link.ask(("INFO", "replication"), ("CONFIG", "GET", "min-replicas-to-write"))
    return SentinelFacts(
        {
            shown(host): each.message if isinstance(each, BeatdError) else (each.epoch, str(each))
            for host, each in told.items()
        },
        _whole(fields_of(info).get("connected_slaves")),
        _whole(least[1].decode()) if isinstance(least, list) and len(least) == 2 else None,
    )


def examine_sizes(link: BlockingLink) -> Sizes:
    """How many names each place holds. Looked at again where they don't agree: an edit may lie between two answers."""
    sizes = _sizes(link)
    for _ in range(LOOKS - 1):
        if sizes.disagreement == (0, 0):
            break
        time.sleep(AGAIN_S)
        sizes = _sizes(link)
    return sizes


def stored_zone_data(link: BlockingLink) -> str:
    """The version that the timetable was planned with, '' where nobody has written it down."""
    found = link.request(("HGET", link.keys.key("meta"), "tzdata"))[0]
    return "" if found is None else str(found.decode(errors="replace"))


def some_definitions(link: BlockingLink) -> Iterator[bytes]:
    """Stored definitions, not more of them than a look may take, in no order."""
    cursor, seen = b"0", 0
    while seen < SAMPLE:
        cursor, flat = link.request(("HSCAN", link.keys.key("def"), cursor, "COUNT", PAGE))[0]
        yield from flat[1::2]
        seen += len(flat) // 2
        if cursor == b"0":
            break


class QueueLooks:
    """Looks at queues twice, some time apart."""

    def __init__(self, link: BlockingLink, queue_keys: Sequence[str]) -> None:
        self._link = link
        self._names = list(dict.fromkeys(queue_keys))[:MOST_QUEUES]
        self._before = self._look()

    def again(self) -> list[QueueFacts]:
        """What both looks say."""
        found = []
        for name, (kind, before, head), (_, after, same) in zip(self._names, self._before, self._look(), strict=True):
            stuck = slot_of(head) if head is not None and head == same else None
            found.append(QueueFacts(name, kind, before, after, stuck))
        return found

    def _look(self) -> list[tuple[str, int | None, bytes | None]]:
        """Type, length, and the message that would be taken next."""
        words = [(("TYPE", name), ("LLEN", name), ("LINDEX", name, -1)) for name in self._names]
        replies = iter(self._link.ask(*[command for three in words for command in three]))
        return [
            (_or_none(kind, b"unknown").decode(), _or_none(length), _or_none(head))
            for kind, length, head in zip(replies, replies, replies, strict=True)
        ]


def try_queue(link: BlockingLink) -> Tried:
    """Puts a message on a queue of nobody's and takes it back, in one step that leaves nothing behind.

    Takes from the empty queue first: whoever may not take would leave the message there. That is a step of its own, for
    after a write a script is let past a memory limit. Raises Unreachable without an answer.
    """
    scratch = f"{link.keys.key(SCRATCH)}:{uuid.uuid4().hex}"
    (taken,) = link.ask(("RPOP", scratch))
    if isinstance(taken, PermissionMissing):
        return Tried(denied=True)
    sent = time.perf_counter()
    (back,) = link.ask(("EVAL", _TRY, 1, scratch, MESSAGE))
    took = (time.perf_counter() - sent) * 1_000
    if isinstance(back, BeatdError):
        return Tried(took, f"nothing can be put on a queue: {back.message}", back.hint or "see the log of the server")
    if back != MESSAGE.encode():
        return Tried(took, "a message put on a queue did not come back", "is something between beatd and Redis?")
    return Tried(took)


def _timed(link: BlockingLink, words: Sequence[Arg]) -> tuple[Any, float]:
    """The answer, and how long it took, ms."""
    sent = time.perf_counter()
    (answer,) = link.request(words)
    return answer, (time.perf_counter() - sent) * 1_000


def _missing(link: BlockingLink, rights: Rights) -> tuple[Missing, tuple[str, ...]]:
    """The rights that are missing, and what stands for them where even the question is denied."""
    (answer,) = link.ask(rights.question())
    if isinstance(answer, PermissionMissing):
        return Missing(), ("eval",)
    return rights.missing(None if isinstance(answer, BeatdError) else answer), ()


def _sizes(link: BlockingLink) -> Sizes:
    key = link.keys.key
    hashes = [("HLEN", key(kind)) for kind in ("rev", "def", "out", "file")]
    rev, definitions, out, files, due, blocked = link.request(*hashes, ("ZCARD", key("due")), ("ZCARD", key("blocked")))
    return Sizes(rev, definitions, due, out, blocked, files)


def _or_none(reply: Any, otherwise: Any = None) -> Any:
    return otherwise if isinstance(reply, BeatdError) or reply is None else reply


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
