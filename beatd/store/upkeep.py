"""What the leader looks after beside the timetable: names that lie astray, what was removed long ago, histories.

Over a connection of its own, in pages: none of it may make a fire late.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.census import LeftOut, Pausing, rows_within
from beatd.core.requests import Tidying
from beatd.core.term import Term
from beatd.errors import AccessDenied
from beatd.store.entries import remove_call, saying
from beatd.store.keys import FORMAT, Keys
from beatd.store.link import Command, Link
from beatd.store.refusals import StoreSpoilt
from beatd.store.requests import pairs_of, tidy_call
from beatd.store.scripts import Arg, call
from beatd.store.spoilt import held_to, instant, object_of, whole
from beatd.store.spoilt_key import spoilt_hash, spoilt_stream
from beatd.store.timetable import HistoryBounds

PAGE: Final = 500
REQUEST_PAGE: Final = 100  # each is read as JSON
SKIP_PAGE: Final = 100  # rows, each of up to 100 entries
MOST_SKIP_PAGES: Final = 20
NAME_SEPARATOR: Final = b"\x1f"  # US and RS of scripts/common.lua
ROW_SEPARATOR: Final = b"\x1e"
FILE_ENTRIES_MS: Final = 7 * 86_400_000  # a removed entry is remembered so long
OTHERS_MS: Final = 3_600_000
RAN_ONCE: Final = "it ran for the last time a week ago"


@dataclass(frozen=True, slots=True)
class RedisUpkeep:
    """The housekeeping of one namespace. Every method raises Unreachable without an answer."""

    link: Link
    keys: Keys
    who: str
    bounds: HistoryBounds

    async def names(self, kind: str, cursor: str) -> tuple[str, list[str]]:
        """One page of the names in a hash or sorted set, in no order, and the next cursor; '0' begins and ends."""
        scan = "ZSCAN" if kind in {"due", "blocked"} else "HSCAN"
        cursor_after, flat = await self._page(scan, kind, cursor)
        return cursor_after, [_text(name) for name in flat[::2]]

    async def left_out(self, cursor: str) -> tuple[str, list[LeftOut]]:
        """One page of the entries outside the timetable.

        What ended inside a pause with an end has ended only when that is over: it may be lifted before.
        """
        cursor_after, flat = await self._page("HSCAN", "out", cursor)
        rows = {}
        for name, text in zip(flat[::2], flat[1::2], strict=True):
            reasons = object_of(text)
            finished = reasons.get("finished")
            at = instant(finished.get("at")) if isinstance(finished, dict) else None
            rows[name] = LeftOut(_text(name), reasons.keys(), at)
        over = [name for name, row in rows.items() if row.finished_at is not None]
        if over:
            holds = (await self.link.request(("HMGET", self.keys.key("hold"), *over)))[0]
            for name, hold in zip(over, holds, strict=True):
                rows[name] = rows[name]._replace(finished_at=max(rows[name].finished_at or 0, held_to(hold)))
        return cursor_after, list(rows.values())

    async def pausing(self, cursor: str) -> tuple[str, list[Pausing]]:
        """One page of the pauses with an end, those that are over among them."""
        cursor_after, flat = await self._page("HSCAN", "hold", cursor)
        until = {name: instant(object_of(text).get("until")) for name, text in zip(flat[::2], flat[1::2], strict=True)}
        names = [name for name, end in until.items() if end is not None]
        if not names:
            return cursor_after, []
        outs, blocked = await self.link.request(
            ("HMGET", self.keys.key("out"), *names), ("ZMSCORE", self.keys.key("blocked"), *names)
        )
        return cursor_after, [
            Pausing(until[name] or 0, None if out is None else object_of(out).keys(), score is not None)
            for name, out, score in zip(names, outs, blocked, strict=True)
        ]

    async def edit_skips(self, after: str | None) -> tuple[str, Mapping[str, int]]:
        """How many ranges edits have skipped, by reason, since a row of the history; and the last row that was read.

        Rows of a leader carry its epoch, and it has counted them. At most so many rows are read that a storm of those
        costs little; the next call goes on. None: nothing is read, the last row is given.
        """
        key, found = self.keys.key("skip"), Counter[str]()
        try:
            if after is None:
                rows = (await self.link.request(("XREVRANGE", key, "+", "-", "COUNT", 1)))[0]
                return (rows[0][0].decode() if rows else "0-0"), found
            for _ in range(MOST_SKIP_PAGES):
                reply = (await self.link.request(("XREAD", "COUNT", SKIP_PAGE, "STREAMS", key, after)))[0]
                rows = reply[0][1] if reply else []
                for row_id, fields in rows:
                    after = row_id.decode()
                    found.update(_reasons(fields))
                if len(rows) < SKIP_PAGE:
                    break
        except StoreSpoilt as error:
            raise await spoilt_stream(self.link, self.keys, "skip") or error from error
        return after, found

    async def definitions(self, names: Sequence[str]) -> list[tuple[str | None, bytes | None, bool]]:
        """Revision, definition, and whether a file owns it, of each name."""
        columns = await self.link.request(*[("HMGET", self.keys.key(kind), *names) for kind in ("rev", "def", "file")])
        return [
            (None if rev is None else _text(rev), text, f is not None) for rev, text, f in zip(*columns, strict=True)
        ]

    async def repair(self, term: Term, names: Sequence[str]) -> list[int]:
        """Looks at entries in all places and mends what can't be; a code each. Raises LeaseLost."""
        args: list[Arg] = [term.epoch, term.owner, FORMAT, len(names), *names]
        codes, _ = await self.link.run(call("repair", self.keys, args))
        return [int(code) for code in codes.decode()]

    async def trim(self, term: Term, names: Sequence[str]) -> int:
        """Forgets of these removed entries those whose time is over; how many. Raises LeaseLost."""
        args: list[Arg] = [term.epoch, term.owner, FORMAT, FILE_ENTRIES_MS, OTHERS_MS, len(names), *names]
        codes, _ = await self.link.run(call("trim", self.keys, args))
        return int(codes.decode().count("1"))

    async def remove(self, names: Sequence[str], revs: Sequence[str]) -> bool:
        """Removes entries that are still at these revisions; False when one is not, and then nothing is removed."""
        codes, _ = await self.link.run(remove_call(self.keys, names, saying(self.who, note=RAN_ONCE), revs))
        return b"2" not in codes

    async def requests(self, cursor: str) -> tuple[str, list[tuple[str, bytes]]]:
        """One page of all requests that are kept, as stored; '0' begins and ends."""
        words: Command = ("HSCAN", self.keys.key("req"), cursor, "COUNT", REQUEST_PAGE)
        try:
            after, flat = (await self.link.request(words))[0]
        except StoreSpoilt as error:
            raise await spoilt_hash(self.link, self.keys, "req", "asked") or error from error
        return after.decode(), pairs_of(flat)

    async def listed(self, names: Sequence[str]) -> list[bytes | None]:
        """The open requests of each entry, as stored."""
        found: list[bytes | None] = (await self.link.request(("HMGET", self.keys.key("asked"), *names)))[0]
        return found

    async def tidy(self, term: Term, found: Sequence[Tidying]) -> list[int]:
        """Forgets, lists and takes off requests; a code each. Raises LeaseLost."""
        codes, _ = await self.link.run(tidy_call(self.keys, term, found))
        return [int(code) for code in codes.decode()]

    async def forget_instances(self, before: int) -> int:
        """Takes instances off the list that were last seen before an instant (UTC ms), and what can't be read."""
        flat = (await self.link.request(("HGETALL", self.keys.key("inst"))))[0]
        old = [name for name, text in zip(flat[::2], flat[1::2], strict=True) if _seen(text) < before]
        if old:
            await self.link.request(("HDEL", self.keys.key("inst"), *old))
        return len(old)

    async def bound_histories(self) -> None:
        """Measures the histories, so that the next rows keep them within their bytes."""
        fires, skips = self.keys.key("hist"), self.keys.key("skip")
        try:
            fire_rows, fire_bytes, skip_rows, skip_bytes = await self.link.request(
                ("XLEN", fires), ("MEMORY", "USAGE", fires), ("XLEN", skips), ("MEMORY", "USAGE", skips)
            )
        except AccessDenied:  # a user without the right to ask: a fixed number of rows has to do
            return
        except StoreSpoilt as error:
            raise await spoilt_stream(self.link, self.keys, "hist", "skip") or error from error
        self.bounds.fires_rows = rows_within(fire_rows, fire_bytes or 0, self.bounds.fires_bytes)
        self.bounds.skips_rows = rows_within(skip_rows, skip_bytes or 0, self.bounds.skips_bytes)

    async def zone_data(self) -> str | None:
        """The version of the zone data that the timetable was planned with."""
        value = (await self.link.request(("HGET", self.keys.key("meta"), "tzdata")))[0]
        return None if value is None else _text(value)

    async def note_zone_data(self, version: str) -> None:
        """Writes that version down."""
        await self.link.request(("HSET", self.keys.key("meta"), "tzdata", version))

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()

    async def _page(self, scan: str, kind: str, cursor: str) -> tuple[str, list[bytes]]:
        words: Command = (scan, self.keys.key(kind), cursor, "COUNT", PAGE)
        after, flat = (await self.link.request(words))[0]
        return after.decode(), flat


def _reasons(fields: list[bytes]) -> Iterator[str]:
    """The reason of each range in a row of an edit."""
    row = dict(zip(fields[::2], fields[1::2], strict=True))
    if b"epoch" in row:
        return
    for skips in row.get(b"skips", b"").split(ROW_SEPARATOR):
        for text in skips.partition(NAME_SEPARATOR)[2].split(b";"):
            yield text.partition(b":")[0].decode(errors="replace")


def _seen(record: bytes) -> int:
    return whole(str(object_of(record).get("seen")).encode()) or 0


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
