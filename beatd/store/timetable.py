"""The timetable in Redis, as the leader reads and moves it. Reads are pages; moves are scripts that verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.fire import FireItem, Skip
from beatd.core.term import Term
from beatd.core.timetable import UNREADABLE, Check, FireReply, PlanItem, PlanReply, Stored
from beatd.store.keys import FORMAT, Keys
from beatd.store.link import Link
from beatd.store.scripts import Arg, Call, call

HISTORY_ROWS: Final = 100_000
SKIP_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class RedisTimetable:
    """The timetable of one namespace over one link. Every method raises Unreachable without an answer."""

    link: Link
    keys: Keys

    async def unplanned(self, offset: int, at_most: int) -> list[tuple[str, str]]:
        """Names to be planned with their exact scores; the newest edits come first by themselves."""
        words = ("ZRANGEBYSCORE", self.keys.key("due"), "-inf", "(0", "WITHSCORES", "LIMIT", offset, at_most)
        return _pairs((await self.link.request(words))[0])

    async def page(self, after: int, until: int, offset: int, at_most: int) -> list[tuple[str, int]]:
        """Names with moments in [after, until], in order, from ``offset`` on."""
        low = max(after, 0)
        words = ("ZRANGEBYSCORE", self.keys.key("due"), low, until, "WITHSCORES", "LIMIT", offset, at_most)
        pairs = _pairs((await self.link.request(words))[0])
        return [(name, int(float(score))) for name, score in pairs]

    async def revisions(self, names: Sequence[str]) -> list[str | None]:
        """The revision of each, None where there is none."""
        replies = await self.link.request(("HMGET", self.keys.key("rev"), *names))
        return [None if rev is None else _text(rev) for rev in replies[0]]

    async def look(self, names: Sequence[str]) -> list[Stored]:
        """All that the leader needs to know of those that are in the timetable and have a revision.

        The revision is read before the definition: a definition may then be newer than its revision, which the
        scripts refuse, but never older.
        """
        key = self.keys.key
        score, rev, definition, last, jitter, left = await self.link.request(
            ("ZMSCORE", key("due"), *names),
            *[("HMGET", key(kind), *names) for kind in ("rev", "def", "last", "jit", "left")],
        )
        columns = zip(names, score, rev, definition, last, jitter, left, strict=True)
        return [
            Stored(name, s.decode(), _text(r), d, _last_slot(la), whole(j) or 0, _runs_left(le))
            for name, s, r, d, la, j, le in columns
            if s is not None and r is not None
        ]

    async def plan(self, term: Term, items: Sequence[PlanItem]) -> PlanReply:
        """Sets first moments. Raises LeaseLost when the term is over."""
        codes, now = await self.link.run(plan_call(self.keys, term, items))
        return PlanReply([int(c) for c in codes.decode()], int(now))

    async def fire(self, term: Term, items: Sequence[FireItem]) -> FireReply:
        """Pushes messages and moves entries on. Raises LeaseLost when the term is over."""
        codes, now, seq = await self.link.run(fire_call(self.keys, term, items))
        return FireReply([int(c) for c in codes.decode()], int(now), int(seq))

    async def check(self, bound: int) -> Check:
        """Numbers that the leader compares once a second with what it believes."""
        due = self.keys.key("due")
        staged, negative, oldest, seq, now = await self.link.request(
            ("ZCOUNT", due, 0, bound),
            ("ZCOUNT", due, "-inf", "(0"),
            ("ZRANGEBYSCORE", due, 0, "(+inf", "WITHSCORES", "LIMIT", 0, 1),
            ("HGET", self.keys.key("lease"), "seq"),
            ("TIME",),
        )
        moment = int(float(oldest[1])) if oldest else None
        return Check(staged, negative, moment, whole(seq) or 0, int(now[0]) * 1000 + int(now[1]) // 1000)

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


def plan_call(keys: Keys, term: Term, items: Sequence[PlanItem]) -> Call:
    """The call that plans some entries."""
    args: list[Arg] = [term.epoch, term.owner, FORMAT, SKIP_ROWS, len(items)]
    args += [item.name for item in items]
    args += [item.rev for item in items]
    args += [item.score for item in items]
    args += [item.verdict for item in items]
    args += [item.detail for item in items]
    args += [pack_skips(item.skips) for item in items]
    return call("plan", keys, args)


def fire_call(keys: Keys, term: Term, items: Sequence[FireItem]) -> Call:
    """The call that fires some entries: at most 100, 1,000 messages, 256 kB."""
    queues: dict[str, int] = {}
    messages = [message for item in items for message in item.messages]
    terms = [_terms(item, queues) for item in items]
    args: list[Arg] = [term.epoch, term.owner, FORMAT, HISTORY_ROWS, SKIP_ROWS, len(items), len(messages)]
    args += [item.name for item in items]
    args += [item.rev for item in items]
    args += [item.expected for item in items]
    args += ["F" if item.next_moment is None else item.next_moment for item in items]
    args += [item.task_id for item in items]
    args += terms
    args += messages
    return call("fire", keys, args, queues)


def whole(raw: bytes | None) -> int | None:
    """A stored whole number as the scripts read it: digits only, at most 15; None for anything else."""
    return int(raw) if raw is not None and len(raw) <= 15 and raw.isdigit() else None


def pack_skips(skips: Sequence[Skip]) -> str:
    """Skips as the history keeps them: ``reason:count:first:last`` joined by ``;``."""
    return ";".join(f"{skip.reason}:{skip.count}:{skip.first}:{skip.last}" for skip in skips)


def _terms(item: FireItem, queues: dict[str, int]) -> str:
    queue = queues.setdefault(item.queue_key, len(queues) + 1) if item.messages else 0
    after = "" if item.good_until is None else max(0, item.good_until - item.expected)
    left = "" if item.left is None else item.left
    slots = "" if item.plain else ",".join(map(str, item.slots))
    return f"{queue}|{len(item.messages)}|{after}|{left}|{slots}|{pack_skips(item.skips)}"


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    return [(_text(flat[i]), flat[i + 1].decode()) for i in range(0, len(flat), 2)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _last_slot(raw: bytes | None) -> int:
    return whole((raw or b"").split(b"|", 1)[0]) or 0


def _runs_left(raw: bytes | None) -> int | None:
    left = whole(raw)
    return UNREADABLE if raw is not None and left is None else left
