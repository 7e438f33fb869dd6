"""The store as the daemon's services see it: connections that fit `daemon/ports.py`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from beatd.core.edit import PutItem
from beatd.core.registration import Applied, Registry
from beatd.core.term import Term
from beatd.core.timetable import Changes
from beatd.store.entries import MOST_ITEMS, applied_call, check_put, put_call, put_steps, remove_call
from beatd.store.keys import Keys
from beatd.store.lease import CHANNEL, RedisLease, applied_command, applied_of
from beatd.store.link import Link
from beatd.store.outbox import RedisOutbox
from beatd.store.refusals import StoreSpoilt
from beatd.store.requests import RedisRequests
from beatd.store.spoilt import object_of, whole
from beatd.store.spoilt_key import spoilt_stream
from beatd.store.timetable import HistoryBounds, RedisTimetable
from beatd.store.upkeep import RedisUpkeep

FILE_PAGE: Final = 1_000
LOG_PAGE: Final = 100  # rows, each of which may hold a definition of 128 kB


@dataclass(frozen=True, slots=True)
class RedisChanges:
    """The change log, read as it grows."""

    link: Link
    keys: Keys

    async def position(self) -> str:
        """The id of the last row; '0-0' when there is none."""
        rows = (await self.link.request(("XREVRANGE", self.keys.key("log"), "+", "-", "COUNT", 1)))[0]
        return rows[0][0].decode() if rows else "0-0"

    async def wait(self, after: str, seconds: float) -> Changes:
        """What rows after `after` tell; nothing when none came within the time."""
        milliseconds = max(1, int(seconds * 1000))
        words = ("XREAD", "COUNT", LOG_PAGE, "BLOCK", milliseconds, "STREAMS", self.keys.key("log"), after)
        try:
            reply = (await self.link.request(words, within=seconds + self.link.timeout))[0]
        except StoreSpoilt as error:
            raise await spoilt_stream(self.link, self.keys, "log") or error from error
        rows = reply[0][1] if reply else []
        told = [(_field(fields, b"op"), _field(fields, b"name")) for _, fields in rows]
        names = [name for op, name in told if name and op != "request"]
        return Changes(rows[-1][0].decode() if rows else after, names, any(op == "request" for op, _ in told))

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


@dataclass(frozen=True, slots=True)
class RedisRelease:
    """The channel on which a leader says that it leaves."""

    link: Link

    async def wait(self, seconds: float) -> bool:
        """Whether anything was said within the time."""
        return await self.link.heard(seconds)

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


@dataclass(frozen=True, slots=True)
class RedisFileEntries:
    """What is stored of the entries that files own, for the leader of a term: writing raises LeaseLost."""

    link: Link
    keys: Keys
    who: str
    term: Term

    async def registry(self) -> Registry:
        """Who has which files, and whose are applied."""
        key = self.keys.key
        commands = (applied_command(self.keys), ("HGETALL", key("inst")), ("TIME",))
        applied, records, (seconds, micros) = await self.link.request(*commands)
        names = map(_text, records[::2])
        now = int(seconds) * 1000 + int(micros) // 1000
        return Registry(applied_of(applied), dict(zip(names, map(object_of, records[1::2]), strict=True)), now)

    async def count(self) -> int:
        """How many entries files own."""
        return int((await self.link.request(("HLEN", self.keys.key("file"))))[0])

    async def stored(self) -> Mapping[str, str]:
        """Name -> hash of the definition of all file entries, read in pages."""
        found: dict[str, str] = {}
        cursor: bytes | int = 0
        while True:
            cursor, flat = (await self.link.request(("HSCAN", self.keys.key("file"), cursor, "COUNT", FILE_PAGE)))[0]
            names, hashes = map(_text, flat[::2]), map(_text, flat[1::2])
            found.update(zip(names, hashes, strict=True))
            if cursor == b"0":
                return found

    async def existing(self, names: Sequence[str]) -> Mapping[str, tuple[bytes | None, int | None]]:
        """Definition and runs left of those names that exist."""
        found = {}
        for start in range(0, len(names), MOST_ITEMS):
            part = names[start : start + MOST_ITEMS]
            columns = [("HMGET", self.keys.key(kind), *part) for kind in ("rev", "def", "left")]
            for name, rev, definition, left in zip(part, *await self.link.request(*columns), strict=True):
                if rev is not None:
                    found[name] = (definition, whole(left))
        return found

    async def put(self, items: Sequence[PutItem]) -> None:
        """Writes entries, in steps. Raises Refused on a conflict."""
        for step in put_steps(items):
            codes, _ = await self.link.run(put_call(self.keys, step, self.who, self.term))
            check_put(step, codes)

    async def remove(self, names: Sequence[str]) -> None:
        """Removes entries, in steps; those already gone don't matter."""
        for start in range(0, len(names), MOST_ITEMS):
            part = names[start : start + MOST_ITEMS]
            await self.link.run(remove_call(self.keys, part, self.who, term=self.term))

    async def note_look(self, mark: str) -> None:
        """Leaves a mark before what is stored is read."""
        await self.link.run(applied_call(self.keys, self.term, "look", mark))

    async def note_begun(self) -> None:
        """Writes down that nobody's files are applied in full."""
        await self.link.run(applied_call(self.keys, self.term, "begin"))

    async def note_applied(self, applied: Applied, mark: str) -> bool:
        """Writes down whose files are applied; False where the dataset has gone back behind the mark."""
        return bool((await self.link.run(applied_call(self.keys, self.term, "done", mark, applied)))[0])

    async def note_registered(self, applied: Applied) -> None:
        """Writes down that the applied files were registered anew, if they are still the applied ones."""
        await self.link.run(applied_call(self.keys, self.term, "same", "", applied))

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


@dataclass(frozen=True, slots=True)
class RedisStores:
    """Opens connections to one namespace. Every call raises Unreachable or AccessDenied."""

    open_link: Callable[[], Awaitable[Link]]
    keys: Keys
    who: str
    bounds: HistoryBounds = field(default_factory=HistoryBounds)
    files_who: str = ""  # who brings entries of files, where that can be said in more words
    meet: Callable[[Link], Awaitable[None]] | None = None  # looks at the server before anything else is done with it

    async def open_lease(self, *, in_haste: bool = False) -> RedisLease:
        """The elector's own connection. Raises what speaks against the server, too; in haste nobody looks."""
        link = await self.open_link()
        if self.meet is not None and not in_haste:
            try:
                await self.meet(link)
            except BaseException:
                await link.close()
                raise
        return RedisLease(link, self.keys)

    async def open_timetable(self) -> RedisTimetable:
        """The connection of planner and ticker."""
        return RedisTimetable(await self.open_link(), self.keys, self.bounds)

    async def open_upkeep(self) -> RedisUpkeep:
        """The connection for what has time."""
        return RedisUpkeep(await self.open_link(), self.keys, self.who, self.bounds)

    async def open_requests(self) -> RedisRequests:
        """The connection over which requests are served."""
        return RedisRequests(await self.open_link(), self.keys, self.bounds)

    async def open_outbox(self) -> RedisOutbox:
        """The connection over which the outbox is read and emptied."""
        return RedisOutbox(await self.open_link(), self.keys)

    async def open_changes(self) -> RedisChanges:
        """The connection that follows the change log."""
        return RedisChanges(await self.open_link(), self.keys)

    async def open_release(self) -> RedisRelease:
        """The connection that hears when a lease is released."""
        link = await self.open_link()
        try:
            await link.request(("SUBSCRIBE", self.keys.key(CHANNEL)))
        except BaseException:
            await link.close()
            raise
        return RedisRelease(link)

    async def open_files(self, term: Term) -> RedisFileEntries:
        """The connection over which the leader of a term applies file entries."""
        return RedisFileEntries(await self.open_link(), self.keys, self.files_who or self.who, term)


def _field(fields: list[Any], name: bytes) -> str:
    for key, value in zip(fields[::2], fields[1::2], strict=True):
        if key == name:
            return _text(value)
    return ""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
