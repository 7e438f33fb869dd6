"""Verbs over the change log: the newest changes, or all of them in their order and then those that come."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from beatd.client.steps import Steps, ask
from beatd.core.change_log import Change, Newest, Replay, Told, change_of
from beatd.core.history import ENDING
from beatd.errors import BeatdError
from beatd.store.history import Extent, trimmed
from beatd.store.keys import Keys
from beatd.store.refusals import StoreSpoilt

USUAL: Final = 100
FEWEST: Final = 50  # rows of a page, each of which may hold a definition of 128 kB
MOST: Final = 5_000
PAGE_BYTES: Final = 500_000
_Rows = Sequence[tuple[int, Change | None]]  # with the instants of their ids, UTC ms


def changes(
    keys: Keys, name: str | None = None, count: int = USUAL, since: int = 0, until: int | None = None
) -> Steps[list[Told]]:
    """The newest ``count`` changes, of one entry or of all, made in [since, until] (UTC ms); the oldest first."""

    def wanted(change: Change) -> bool:
        return name in (None, change.name) and since <= change.at and (until is None or change.at <= until)

    found, end, rows_of_page = Newest(wanted, count), "+", FEWEST
    while not found.full:
        words = ("XREVRANGE", _key(keys), end, "-", "COUNT", rows_of_page)
        page = yield from _read(keys, words)
        if not page:
            break
        for at, change in _changes(page):
            if at < since:
                found.enough()
            if change is not None:
                found.add(change)
        end, rows_of_page = f"({page[-1][0].decode()}", _next_count(page)
    return found.oldest_first()


def ended_since(keys: Keys, names: Collection[str], since: int) -> Steps[list[Change]]:
    """What ended pauses of some entries from an instant (UTC ms) on; [] where there is no log of ours to ask."""
    found: list[Change] = []
    end, rows_of_page = "+", FEWEST
    while True:
        try:
            page = yield from _read(keys, ("XREVRANGE", _key(keys), end, since, "COUNT", rows_of_page))
        except StoreSpoilt:
            return []
        if not page:
            return found
        changes_there = (change for _, change in _changes(page) if change is not None)
        found += [change for change in changes_there if change.op in ENDING and change.name in names]
        end, rows_of_page = f"({page[-1][0].decode()}", _next_count(page)


class Trail:
    """All changes in their order, from the oldest row that is kept."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._replay = Replay()
        self._after = "0"
        self._count = FEWEST

    def more(self, wait_s: float = 0.0) -> Steps[list[Told]]:
        """The next of them; [] where there are none by now, or within so many seconds."""
        block = ("BLOCK", max(1, int(wait_s * 1_000))) if wait_s else ()
        while True:
            words = ("XREAD", "COUNT", self._count, *block, "STREAMS", _key(self._keys), self._after)
            reply = yield from _read(self._keys, words)
            if not reply:
                return []
            page = reply[0][1]
            self._after, self._count = page[-1][0].decode(), _next_count(page)
            told = [self._replay.add(change) for _, change in _changes(page) if change is not None]
            if told:
                return told


def extent(keys: Keys) -> Steps[Extent]:
    """What is kept of the log."""
    first, info = yield from ask(
        ("XREAD", "COUNT", 1, "STREAMS", _key(keys), "0"), ("XINFO", "STREAM", _key(keys)), tolerant=True
    )
    if isinstance(first, BeatdError):
        raise first
    oldest = int(first[0][1][0][0].partition(b"-")[0]) if first else None
    return Extent(oldest, trimmed(info) if oldest is not None else False)


def _read(keys: Keys, words: Sequence[Any]) -> Steps[Any]:
    """The reply to one command. Raises StoreSpoilt with the name of the key where somebody else has written it."""
    try:
        [reply] = yield from ask(words)
    except StoreSpoilt as error:
        [holds] = yield from ask(("TYPE", _key(keys)))
        raise StoreSpoilt(
            f"{_key(keys)} holds a {holds.decode()}, beatd keeps a stream there",
            hint="rename or delete that key; entries fire all the same, and changes are written down again",
        ) from error
    return reply


def _changes(page: Sequence[Any]) -> _Rows:
    ats = [int(raw_id.partition(b"-")[0]) for raw_id, _ in page]
    rows = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in page]
    return [(at, change_of(at, row)) for at, row in zip(ats, rows, strict=True)]


def _next_count(page: Sequence[Any]) -> int:
    """Rows for a page of about as many bytes as any other, by the size of those of the last one."""
    size = sum(len(value) for _, flat in page for value in flat) // len(page) + 50
    return max(1, min(MOST, 4 * max(FEWEST, len(page)), PAGE_BYTES // size))


def _key(keys: Keys) -> str:
    return keys.key("log")
