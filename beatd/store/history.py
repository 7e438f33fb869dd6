"""Reading the two histories: merged by time, in pages of bounded bytes, from either end or as they grow."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from beatd.core.history import Line, lines_of
from beatd.core.history import lateness_ms as lateness_of
from beatd.errors import BeatdError, Unreachable
from beatd.store.blocking import BlockingLink
from beatd.store.refusals import StoreSpoilt
from beatd.store.spoilt import whole

Kind = Literal["hist", "skip"]
KINDS: Final[tuple[Kind, ...]] = ("skip", "hist")  # of one millisecond: what was skipped lies before what was fired
WHAT: Final[dict[Kind, Literal["fired", "skipped"]]] = {"hist": "fired", "skip": "skipped"}
PAGE_BYTES: Final = 500_000
FEWEST: Final = 50  # rows of a page
MOST: Final = 5_000
BESIDE: Final = 10  # times as many lines are looked at as are wanted, where some are not of the timetable
JITTERS: Final = 500  # names asked about at once

RowId = tuple[int, int]
NOTHING: Final[RowId] = (0, 0)
_Row = tuple[RowId, Kind, list[Line]]
_LAST_SEQ: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Extent:
    """What of one history is kept. oldest: when its first row was written (UTC ms), None where there is no row.

    trimmed: whether older rows are gone; None where the server does not tell (before Redis 7, or for want of a right).
    """

    oldest: int | None
    trimmed: bool | None


class History:
    """The histories of a namespace, or one of them. Every method raises Unreachable without an answer."""

    def __init__(self, link: BlockingLink, kinds: Sequence[Kind] = KINDS, name: str | None = None) -> None:
        """name: lines of other entries are passed over, cheaply."""
        self._link = link
        self._kinds = [kind for kind in KINDS if kind in kinds]
        self._name = None if name is None else name.encode("utf-8", "surrogateescape") + b"\x1f"

    def tips(self) -> dict[Kind, RowId]:
        """The last row of each, to read up to it and to follow from it."""
        commands = [("XREVRANGE", self._key(kind), "+", "-", "COUNT", 1) for kind in self._kinds]
        replies = self._request(*commands)
        return {kind: _row_id(rows[0][0]) if rows else NOTHING for kind, rows in zip(self._kinds, replies, strict=True)}

    def extents(self) -> dict[Kind, Extent]:
        """What is kept of each."""
        found = {}
        for kind in self._kinds:
            first, info = self._link.ask(
                ("XREAD", "COUNT", 1, "STREAMS", self._key(kind), "0"), ("XINFO", "STREAM", self._key(kind))
            )
            if isinstance(first, BeatdError):
                raise self._named(first)
            oldest = None if not first else _row_id(first[0][1][0][0])[0]
            found[kind] = Extent(oldest, trimmed(info) if oldest is not None else False)
        return found

    def backwards(self, since: int, up_to: dict[Kind, RowId]) -> Iterator[Line]:
        """Lines of rows that were written at or after an instant (UTC ms) and up to those rows, newest first."""
        rows = [self._rows_back(kind, since, up_to[kind]) for kind in reversed(self._kinds)]
        for _, _, lines in heapq.merge(*rows, key=_when, reverse=True):
            yield from reversed(lines)

    def forwards(self, since: int, up_to: dict[Kind, RowId]) -> Iterator[Line]:
        """The same lines, oldest first."""
        rows = [self._rows_on(kind, since, up_to[kind]) for kind in self._kinds]
        for _, _, lines in heapq.merge(*rows, key=_when):
            yield from lines

    def wait(self, after: dict[Kind, RowId], seconds: float) -> list[Line]:
        """Lines of rows after those, as soon as there are any, else after that time; moves ``after`` on."""
        ids = [_id_text(after[kind]) for kind in self._kinds]
        words = ("XREAD", "COUNT", FEWEST, "BLOCK", max(1, int(seconds * 1_000)))
        reply = self._request((*words, "STREAMS", *map(self._key, self._kinds), *ids))[0]
        rows: list[_Row] = []
        for key, found in reply or ():
            kind = next(kind for kind in self._kinds if self._key(kind).encode() == key)
            rows += self._unpacked(kind, found)
            after[kind] = _row_id(found[-1][0])
        return [line for _, _, lines in sorted(rows, key=_when) for line in lines]

    def jitters(self, names: Iterable[str]) -> dict[str, int]:
        """The jitter of those of some entries that have one, ms."""
        wanted, found = list(dict.fromkeys(names)), {}
        for start in range(0, len(wanted), JITTERS):
            part = wanted[start : start + JITTERS]
            values = self._link.request(("HMGET", self._link.keys.key("jit"), *part))[0]
            found.update({name: ms for name, raw in zip(part, values, strict=True) if (ms := whole(raw))})
        return found

    def lateness(self, most: int) -> tuple[list[int], int | None]:
        """How late the last fires of the timetable were, ascending, and when the oldest of them was fired (UTC ms)."""
        lines = islice(self.backwards(0, self.tips()), BESIDE * most)  # a backfill may have filled the last ones
        fires = list(islice((line for line in lines if line.name is not None and line.cause is None), most))
        jitters = self.jitters(line.name for line in fires if line.name is not None)
        late = [lateness_of(line, jitters.get(line.name or "", 0)) for line in fires]
        return sorted(ms for ms in late if ms is not None), fires[-1].at if fires else None

    def _rows_back(self, kind: Kind, since: int, last: RowId) -> Iterator[_Row]:
        def read(end: str, count: int) -> Sequence[Any]:
            return self._request(("XREVRANGE", self._key(kind), end, since, "COUNT", count))[0] or ()

        for page in _pages(read, _id_text(last), lambda row_id: f"({row_id}"):
            yield from self._unpacked(kind, page)

    def _rows_on(self, kind: Kind, since: int, last: RowId) -> Iterator[_Row]:
        def read(after: str, count: int) -> Sequence[Any]:
            reply = self._request(("XREAD", "COUNT", count, "STREAMS", self._key(kind), after))[0]
            return reply[0][1] if reply else ()

        start = f"{since - 1}-{_LAST_SEQ}" if since > 0 else "0"
        for page in _pages(read, start, str):
            for row in self._unpacked(kind, page):
                if row[0] > last:
                    return
                yield row

    def _unpacked(self, kind: Kind, rows: Sequence[Any]) -> Iterator[_Row]:
        for raw_id, flat in rows:
            if self._name is not None and not any(self._name in value for value in flat[1::2]):
                continue
            row_id = _row_id(raw_id)
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            yield row_id, kind, lines_of(WHAT[kind], row_id[0], fields)

    def _key(self, kind: Kind) -> str:
        return self._link.keys.key(kind)

    def _request(self, *commands: Sequence[Any]) -> list[Any]:
        try:
            return self._link.request(*commands)
        except StoreSpoilt as error:
            raise self._named(error) from error

    def _named(self, error: BeatdError) -> BeatdError:
        """The error, with the key that holds something else than beatd keeps there."""
        if isinstance(error, Unreachable):
            return error
        kinds = self._link.ask(*[("TYPE", self._key(kind)) for kind in self._kinds])
        for kind, holds in zip(self._kinds, kinds, strict=True):
            if isinstance(holds, bytes) and holds not in (b"stream", b"none"):
                text = f"{self._key(kind)} holds a {holds.decode()}, beatd keeps a stream there"
                return StoreSpoilt(text, hint="rename or delete that key; entries fire all the same")
        return error


def _pages(
    read: Callable[[str, int], Sequence[Any]], place: str, beyond: Callable[[str], str]
) -> Iterator[Sequence[Any]]:
    """Pages of about as many bytes, whatever a row takes: one of a batch has a hundred times the size of another."""
    count = FEWEST
    while rows := read(place, count):
        yield rows
        if len(rows) < count:
            return
        size = sum(len(value) for _, flat in rows for value in flat) // len(rows) + 50
        count = max(FEWEST, min(MOST, 4 * count, PAGE_BYTES // size))
        place = beyond(rows[-1][0].decode())


def trimmed(info: Any) -> bool | None:
    """Whether older rows are gone, by the reply to XINFO STREAM; None where that does not tell."""
    if isinstance(info, BeatdError):
        return None
    fields = dict(zip(info[::2], info[1::2], strict=True))
    added = fields.get(b"entries-added")
    return None if added is None else bool(added > fields.get(b"length", added))


def _when(row: _Row) -> RowId:
    return row[0]


def _row_id(raw: bytes) -> RowId:
    ms, _, seq = raw.partition(b"-")
    return int(ms), int(seq)


def _id_text(row_id: RowId) -> str:
    return f"{row_id[0]}-{row_id[1]}"
