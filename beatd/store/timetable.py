"""The timetable in Redis, as the leader reads and moves it. Reads are pages; moves are scripts that verify."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from beatd.core.census import Sizes
from beatd.core.entry import OUR_KEYS
from beatd.core.fire import FireItem, Skip
from beatd.core.intent import Draft
from beatd.core.planning import SCORE_END
from beatd.core.term import Term
from beatd.core.timetable import UNREADABLE, Check, FireReply, PlanItem, PlanReply, Stored
from beatd.errors import LeaseLost
from beatd.store.bounds import SKIP_ROWS
from beatd.store.keys import FORMAT, Keys
from beatd.store.link import Link
from beatd.store.outbox import pack_head
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import held_to, score, whole

MOST_ASTRAY: Final = 100
MOST_LOOKS: Final = 5


@dataclass(slots=True)
class HistoryBounds:
    """How much of the histories is kept: bytes, and as many rows as that comes to at their present size.

    The rows given here are for a server that does not tell how much memory a key takes.
    """

    fires_bytes: int = 64 * 10**6
    skips_bytes: int = 16 * 10**6
    fires_rows: int = 100_000
    skips_rows: int = SKIP_ROWS


USUAL: Final = HistoryBounds()


@dataclass(frozen=True, slots=True)
class RedisTimetable:
    """The timetable of one namespace over one link. Every method raises Unreachable without an answer."""

    link: Link
    keys: Keys
    bounds: HistoryBounds = field(default_factory=HistoryBounds)

    async def unplanned(self, offset: int, at_most: int) -> list[tuple[str, str]]:
        """Names to be planned with their exact scores; the newest edits come first by themselves."""
        words = ("ZRANGEBYSCORE", self.keys.key("due"), "-inf", "(0", "WITHSCORES", "LIMIT", offset, at_most)
        return _pairs((await self.link.request(words))[0])

    async def page(self, term: Term, after: int, until: int, offset: int, at_most: int) -> list[tuple[str, int]]:
        """Names with moments in [after, until], in order, from ``offset`` on.

        Raises LeaseLost when the term is over. That is looked at behind the page: where nothing is read since all data
        were lost, nobody may conclude that nothing was owed.
        """
        low = max(after, 0)
        words = ("ZRANGEBYSCORE", self.keys.key("due"), low, until, "WITHSCORES", "LIMIT", offset, at_most)
        found, holder = await self.link.request(words, ("HMGET", self.keys.key("lease"), "epoch", "owner"))
        if holder != [str(term.epoch).encode(), term.owner.encode()]:
            raise LeaseLost("the lease is not held by this term any more: all data were lost, or another one leads")
        return [(name, int(float(text))) for name, text in _pairs(found)]

    async def newest(self, after: int, until: int, at_most: int) -> list[tuple[str, int]]:
        """Names with moments in (after, until], the latest moments first."""
        words = ("ZRANGE", self.keys.key("due"), until, f"({max(after, -1)}", "BYSCORE", "REV")
        pairs = _pairs((await self.link.request((*words, "LIMIT", 0, at_most, "WITHSCORES")))[0])
        return [(name, int(float(text))) for name, text in pairs]

    async def revisions(self, names: Sequence[str]) -> list[str | None]:
        """The revision of each, None where there is none."""
        replies = await self.link.request(("HMGET", self.keys.key("rev"), *names))
        return [None if rev is None else _text(rev) for rev in replies[0]]

    async def look(self, names: Sequence[str]) -> list[Stored]:
        """All that the leader needs to know of those that are in the timetable and have a revision.

        Other clients may edit between two of the reads. The revision is read before all else and after it: what has
        changed meanwhile is read again, for a definition kept under another's revision would be sent one day.
        """
        found, left = [], list(names)
        for _ in range(MOST_LOOKS):
            scores, *columns = await self.link.request(("ZMSCORE", self.keys.key("due"), *left), *self._columns(left))
            rows, left = _stored(left, scores, columns)
            found += rows
            if not left:
                break
        return found

    async def blocked(self, offset: int, at_most: int) -> list[Stored]:
        """The same of those that wait outside the timetable because their queue refused them, from an offset on."""
        words = ("ZRANGE", self.keys.key("blocked"), offset, offset + at_most - 1, "WITHSCORES")
        flat = (await self.link.request(words))[0]
        names = [_text(name) for name in flat[::2]]
        return _stored(names, flat[1::2], await self.link.request(*self._columns(names)))[0] if names else []

    async def usable(self, queue_keys: Sequence[str]) -> list[bool]:
        """Whether each queue would take a message: a list, or nothing yet, and not named like a key of ours."""
        kinds = await self.link.request(*[("TYPE", key) for key in queue_keys])
        return [
            kind in (b"list", b"none") and not key.startswith(OUR_KEYS)
            for key, kind in zip(queue_keys, kinds, strict=True)
        ]

    async def scores(self, names: Sequence[str]) -> list[str | None]:
        """The exact scores of names in the timetable, whether they are entries or not."""
        replies = (await self.link.request(("ZMSCORE", self.keys.key("due"), *names)))[0]
        return [None if raw is None else raw.decode() for raw in replies]

    def _columns(self, names: Sequence[str]) -> list[Sequence[Arg]]:
        return [("HMGET", self.keys.key(kind), *names) for kind in ("rev", "def", "last", "jit", "left", "hold", "rev")]

    async def plan(self, term: Term, items: Sequence[PlanItem]) -> PlanReply:
        """Sets first moments. Raises LeaseLost when the term is over."""
        codes, now = await self.link.run(plan_call(self.keys, term, items, self.bounds))
        self.link.listener.judged(digits := codes.decode())
        return PlanReply([int(c) for c in digits], int(now))

    async def fire(self, term: Term, items: Sequence[FireItem]) -> FireReply:
        """Pushes messages and moves entries on. Raises LeaseLost when the term is over."""
        codes, now, seq = await self.link.run(fire_call(self.keys, term, items, self.bounds))
        self.link.listener.judged(digits := codes.decode())
        return FireReply([int(c) for c in digits], int(now), int(seq))

    async def settle(
        self, term: Term, items: Sequence[FireItem], drafts: Sequence[Sequence[Draft]], usable: Callable[[str], bool]
    ) -> FireReply:
        """As fire, with intents in place of pushes: the message with the number i of the call, from 1 and refused ones
        counted, has the id `seq-i`. ``drafts``: of each item, one a message. ``usable``: whether a queue, by its key,
        takes messages. Raises LeaseLost when the term is over, OutboxFull where nothing at all was done.
        """
        codes, now, seq = await self.link.run(settle_call(self.keys, term, items, drafts, usable, self.bounds))
        self.link.listener.judged(digits := codes.decode())
        return FireReply([int(c) for c in digits], int(now), int(seq))

    async def check(self, bound: int, now: int) -> Check:
        """Numbers that the leader compares once a second with what it believes; ``now`` is the clock as it knows it.

        All in one write: what is answered behind it came later.
        """
        due, blocked = self.keys.key("due"), self.keys.key("blocked")
        hashes = [("HLEN", self.keys.key(kind)) for kind in ("rev", "def", "out", "file", "hold")]
        staged, backlog, negative, oldest, astray, seq, time, asked, *counts, kept = await self.link.request(
            ("ZCOUNT", due, 0, bound),
            ("ZCOUNT", due, 0, now),
            ("ZCOUNT", due, "-inf", "(0"),
            ("ZRANGEBYSCORE", due, 0, "+inf", "WITHSCORES", "LIMIT", 0, 1),
            ("ZRANGEBYSCORE", due, SCORE_END, "+inf", "LIMIT", 0, MOST_ASTRAY),
            ("HGET", self.keys.key("lease"), "seq"),
            ("TIME",),
            ("TYPE", self.keys.key("asked")),  # it can't fail: another kind of key there must not stop the leader
            *hashes,
            ("ZCARD", due),
            ("ZCARD", blocked),
            may_fail=("HLEN", self.keys.key("ob")),
        )
        revisions, definitions, out, from_files, held, in_due, in_blocked = counts
        sizes = Sizes(revisions, definitions, in_due, out, in_blocked, from_files, held)
        intents = 0 if isinstance(kept, Exception) else int(kept)
        moment, clock = score(oldest[1]) if oldest else None, int(time[0]) * 1000 + int(time[1]) // 1000
        return Check(
            staged,
            negative,
            moment,
            None if seq is None else whole(seq) or 0,
            clock,
            [_text(name) for name in astray],
            sizes,
            backlog,
            asked != b"none",
            intents,
        )

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


def plan_call(keys: Keys, term: Term, items: Sequence[PlanItem], bounds: HistoryBounds = USUAL) -> Call:
    """The call that plans some entries."""
    args: list[Arg] = [term.epoch, term.owner, FORMAT, bounds.skips_rows, len(items)]
    args += [item.name for item in items]
    args += [item.rev for item in items]
    args += [item.score for item in items]
    args += [item.verdict for item in items]
    args += [item.detail for item in items]
    args += [pack_skips(item.skips) for item in items]
    return call("plan", keys, args)


def fire_call(keys: Keys, term: Term, items: Sequence[FireItem], bounds: HistoryBounds = USUAL) -> Call:
    """The call that fires some entries: at most 100, 1,000 messages, 256 kB."""
    queues: dict[str, int] = {}
    return call("fire", keys, _batch(term, items, queues, bounds), queues)


def settle_call(
    keys: Keys,
    term: Term,
    items: Sequence[FireItem],
    drafts: Sequence[Sequence[Draft]],
    usable: Callable[[str], bool],
    bounds: HistoryBounds = USUAL,
) -> Call:
    """The call that fires some entries for another broker; bounded as fire_call."""
    queues: dict[str, int] = {}
    args = _batch(term, items, queues, bounds)
    messages = [message for item in items for message in item.messages]
    every = [draft for some in drafts for draft in some]
    args += [pack_head(draft, len(message)) for draft, message in zip(every, messages, strict=True)]
    args.append("".join("1" if usable(queue) else "0" for queue in queues))
    return call("settle", keys, args)


def _batch(term: Term, items: Sequence[FireItem], queues: dict[str, int], bounds: HistoryBounds) -> list[Arg]:
    """What fire and settle have in common; fills ``queues`` with their numbers."""
    usual: dict[tuple[str, int], str] = {}
    messages = [message for item in items for message in item.messages]
    args: list[Arg] = [term.epoch, term.owner, FORMAT, bounds.fires_rows, bounds.skips_rows]
    args += [len(items), len(messages)]
    args += [item.name for item in items]
    args += [item.rev for item in items]
    args += [item.expected for item in items]
    args += ["F" if item.next_moment is None else item.next_moment for item in items]
    args += [item.task_id for item in items]
    args += [_terms(item, queues, usual) for item in items]
    args += messages
    return args


def pack_skips(skips: Sequence[Skip]) -> str:
    """Skips as the history keeps them: ``reason:count:first:last`` joined by ``;``."""
    return ";".join(f"{skip.reason}:{skip.count}:{skip.first}:{skip.last}" for skip in skips)


def _terms(item: FireItem, queues: dict[str, int], usual: dict[tuple[str, int], str]) -> str:
    after = -1 if item.good_until is None else max(0, item.good_until - item.expected)
    if not item.plain or item.left is not None or item.skips:
        return _write_terms(item, queues, after)
    # One message on time: the same text for most of a batch, and this runs for every fire.
    text = usual.get((item.queue_key, after))
    if text is None:
        text = usual[item.queue_key, after] = _write_terms(item, queues, after)
    return text


def _write_terms(item: FireItem, queues: dict[str, int], after: int) -> str:
    queue = queues.setdefault(item.queue_key, len(queues) + 1) if item.messages else 0
    until = "" if after < 0 else after
    left = "" if item.left is None else item.left
    slots = "" if item.plain else ",".join(map(str, item.slots))
    return f"{queue}|{len(item.messages)}|{until}|{left}|{slots}|{pack_skips(item.skips)}"


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    return [(_text(flat[i]), flat[i + 1].decode()) for i in range(0, len(flat), 2)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _stored(
    names: Sequence[str], scores: Sequence[bytes | None], columns: Sequence[Any]
) -> tuple[list[Stored], list[str]]:
    """Those that are entries with a score, and the names that were edited between the reads."""
    rows, torn = [], []
    for name, s, rev, d, la, j, le, held, rev_after in zip(names, scores, *columns, strict=True):
        if rev != rev_after:
            torn.append(name)
        elif s is not None and rev is not None:
            last, jitter = _last_slot(la), whole(j) or 0
            rows.append(Stored(name, s.decode(), _text(rev), d, last, jitter, _left(le), held_to(held)))
    return rows, torn


def _last_slot(raw: bytes | None) -> int:
    return whole((raw or b"").split(b"|", 1)[0]) or 0


def _left(raw: bytes | None) -> int | None:
    if raw is None:
        return None
    left = whole(raw)
    return UNREADABLE if left is None else left
