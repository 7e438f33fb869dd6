"""Requests in Redis: asking for them, and how the leader reads and serves them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from beatd.core.intent import Intent
from beatd.core.requests import Found, Serving, Standing, Tidying, Wanted, open_ids, settled_to
from beatd.core.term import Term
from beatd.errors import NotFound, Refused
from beatd.store.keys import FORMAT, Keys
from beatd.store.link import Link
from beatd.store.outbox import pack_head
from beatd.store.refusals import StoreSpoilt
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import object_of, score, whole
from beatd.store.spoilt_key import spoilt_hash
from beatd.store.timetable import MOST_LOOKS, HistoryBounds

LOG_ROWS: Final = 100_000
PAGE: Final = 100
MOST_OPEN: Final = 100  # of one entry, as request.lua has it


class Asking(NamedTuple):
    """One request to be made. before: the stored value of an ended one that goes on, with its cursor; b"" for none."""

    id: str
    wanted: Wanted
    cursor: int
    before: bytes = b""


def request_call(keys: Keys, askings: Sequence[Asking], who: str) -> Call:
    """One call for at most 500 requests, all or nothing. who: JSON for the audit."""
    args: list[Arg] = [FORMAT, who, LOG_ROWS, len(askings)]
    args += [asking.id for asking in askings]
    args += [asking.wanted.name for asking in askings]
    args += [asking.cursor for asking in askings]
    args += [asking.before for asking in askings]
    args += [asking.wanted.to_text() for asking in askings]
    return call("request", keys, args)


def check_request(askings: Sequence[Asking], codes: bytes) -> list[bool]:
    """Whether each was made by this call; one that was there already was not. Raises NotFound or Refused."""
    for asking, code in zip(askings, codes.decode(), strict=True):
        name = asking.wanted.name
        if code == "2":
            raise NotFound(f"there is no entry {name!r}", hint="beatd ls shows the names")
        if code == "3":
            raise Refused(
                f"{name!r} has {MOST_OPEN} open requests already, or 100000 (64 MB of texts) are kept of all entries",
                hint="a pause of the entry withdraws its open ones; a leader forgets ended triggers after ten minutes",
            )
        if code == "5":
            raise Refused(f"the request for {name!r} is malformed or too large")
    return [code == "0" for code in codes.decode()]


def serve_call(keys: Keys, term: Term, serving: Serving, hist_rows: int) -> Call:
    """One part: at most 100 messages, 256 kB; with drafts for another broker."""
    s, part = serving, serving.part
    args: list[Arg] = [term.epoch, term.owner, FORMAT, hist_rows, s.id, s.name, s.rev, s.expected, part.cursor]
    args += [part.outcome, part.why, s.cause, s.task_id, ",".join(map(str, part.slots)), *s.messages]
    if s.drafts:
        heads = [pack_head(draft, len(message)) for draft, message in zip(s.drafts, s.messages, strict=True)]
        return call("serve", keys, [*args, *heads])
    return call("serve", keys, args, [s.queue] if s.messages else [])


def tidy_call(keys: Keys, term: Term, found: Sequence[Tidying]) -> Call:
    """Forgets, lists and takes off at most 500 requests."""
    args: list[Arg] = [term.epoch, term.owner, FORMAT, len(found)]
    args += [row.id for row in found]
    args += [row.name for row in found]
    args += [row.value for row in found]
    args += [row.what for row in found]
    return call("tidy", keys, args)


def open_command(keys: Keys, cursor: Arg, count: int) -> list[Arg]:
    """One page of the entries with open requests."""
    return ["HSCAN", keys.key("asked"), cursor, "COUNT", count]


def pairs_of(flat: Sequence[Any]) -> list[tuple[str, bytes]]:
    """Name and value of each row of a page."""
    return [(flat[i].decode("utf-8", "surrogateescape"), flat[i + 1]) for i in range(0, len(flat), 2)]


@dataclass(frozen=True, slots=True)
class RedisRequests:
    """Requests as the leader serves them. Every method raises Unreachable without an answer."""

    link: Link
    keys: Keys
    bounds: HistoryBounds

    async def page(self, cursor: str) -> tuple[str, list[Found]]:
        """Open requests of some entries, and the next cursor; '0' begins and ends."""
        try:
            return await self._page(cursor)
        except StoreSpoilt as error:
            raise await spoilt_hash(self.link, self.keys, "asked", "req") or error from error

    async def _page(self, cursor: str) -> tuple[str, list[Found]]:
        after, flat = (await self.link.request(open_command(self.keys, cursor, PAGE)))[0]
        named = [(name, request_id) for name, value in pairs_of(flat) for request_id in open_ids(value)]
        found: list[Found] = []
        for start in range(0, len(named), PAGE):
            part = named[start : start + PAGE]
            ids = [request_id for _, request_id in part]
            values = (await self.link.request(("HMGET", self.keys.key("req"), *ids)))[0]
            found += [Found(*pair, value or b"") for pair, value in zip(part, values, strict=True)]
        return after.decode(), found

    async def look(self, names: Sequence[str]) -> dict[str, Standing | None]:
        """How some entries stand; None where there is no such entry. Those edited all the while are left out.

        The revision is read before all else and after it: a definition kept under another's revision would be sent.
        """
        found: dict[str, Standing | None] = {}
        left = list(dict.fromkeys(names))
        for _ in range(MOST_LOOKS if left else 0):
            sets = [("ZMSCORE", self.keys.key(kind), *left) for kind in ("due", "blocked")]
            hashes = [("HMGET", self.keys.key(kind), *left) for kind in ("out", "hold", "jit", "def", "rev")]
            rev = ("HMGET", self.keys.key("rev"), *left)
            *columns, clock = await self.link.request(rev, *sets, *hashes, ("TIME",))
            now = int(clock[0]) * 1000 + int(clock[1]) // 1000
            rows = list(zip(left, *columns, strict=True))
            left = [row[0] for row in rows if row[1] != row[-1]]
            found |= {row[0]: _standing(row, now) for row in rows if row[1] == row[-1]}
            if not left:
                break
        return found

    async def serve(self, term: Term, serving: Serving) -> int:
        """Pushes a part; its code. Raises LeaseLost when the term is over."""
        code, *_ = await self.link.run(serve_call(self.keys, term, serving, self.bounds.fires_rows))
        return int(code)

    async def settle(self, term: Term, serving: Serving) -> tuple[int, list[Intent]]:
        """Keeps a part for another broker; its code, and the intents where that is 0. Raises LeaseLost, OutboxFull."""
        code, _, seq, place = await self.link.run(serve_call(self.keys, term, serving, self.bounds.fires_rows))
        if int(code):
            return int(code), []
        rows = zip(serving.drafts, serving.messages, strict=True)
        ids = (f"{int(seq)}-{number}" for number in itertools.count(int(place)))
        return 0, [Intent(next(ids), draft, message) for draft, message in rows]

    async def tidy(self, term: Term, found: Sequence[Tidying]) -> list[int]:
        """Forgets, lists and takes off; a code each. Raises LeaseLost when the term is over."""
        codes, _ = await self.link.run(tidy_call(self.keys, term, found))
        return [int(code) for code in codes.decode()]

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


def _standing(row: tuple[Any, ...], now: int) -> Standing | None:
    _, rev, due, blocked, out, hold, jit, definition, _ = row
    if rev is None:
        return None
    jitter, reasons = whole(jit) or 0, None if out is None else object_of(out)
    moment = score(due if due is not None else blocked)
    settled = settled_to(moment, reasons, object_of(hold), jitter, now)
    return Standing(rev.decode("utf-8", "surrogateescape"), definition, jitter, settled)
