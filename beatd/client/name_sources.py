"""Where the names of a list come from, page by page: sorted sets by rank, and hashes that are read whole and sorted."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from beatd.client.steps import Steps, ask
from beatd.store.spoilt import score

SCANNED: Final = 1_000  # of a hash that is read whole: a millisecond of the server's time


class NameSource(Protocol):
    """Names in an order of its own. Where others move meanwhile one may come twice, and none is left out."""

    def skip(self, count: int) -> Steps[int]:
        """Leaves out the next ones, at most so many; how many it were."""

    def names(self, most: int) -> Steps[list[str]]:
        """The next ones; none at the end."""


class Ranked:
    """Names of a sorted set, ascending from one rank on, to the end or to the first score that is not below a bound."""

    def __init__(self, key: str, rank: int, size: int, below: int | None = None) -> None:
        """size: how many there are, to skip them unread."""
        self._key, self._rank, self._size, self._below = key, rank, size, below
        self._last: tuple[bytes, bytes] | None = None  # name and score

    def skip(self, count: int) -> Steps[int]:
        yield from ()
        skipped = max(0, min(count, self._size))
        self._rank += skipped
        return skipped

    def names(self, most: int) -> Steps[list[str]]:
        flat = yield from self._page(most)
        self._rank += len(flat) // 2
        if flat:
            self._last = flat[-2], flat[-1]
        found = zip(flat[::2], flat[1::2], strict=True)
        return [text_of(name) for name, raw in found if self._below is None or (score(raw) or 0) < self._below]

    def _page(self, most: int) -> Steps[Sequence[bytes]]:
        """The next names with their scores. Read again from the last one on: where that has another rank now, others
        have moved, or it has itself, and it goes on from the first name with its score.
        """
        if self._last is None:
            return (yield from self._range(0, most))
        flat = yield from self._range(1, most)
        if tuple(flat[:2]) == self._last:
            return flat[2:]
        [self._rank] = yield from ask(("ZCOUNT", self._key, "-inf", b"(" + self._last[1]))
        return (yield from self._range(0, most))

    def _range(self, before: int, most: int) -> Steps[Sequence[bytes]]:
        start = max(0, self._rank - before)
        [flat] = yield from ask(("ZRANGE", self._key, start, self._rank + most - 1, "WITHSCORES"))
        return list(flat)


class Known:
    """Names that are all read before the first is given, as soon as one is asked for."""

    def __init__(self, read: Callable[[], Steps[list[str]]]) -> None:
        self._read = read
        self._found: list[str] | None = None
        self._given = 0

    def skip(self, count: int) -> Steps[int]:
        before = self._given
        self._given = min(before + count, len((yield from self._all())))
        return self._given - before

    def names(self, most: int) -> Steps[list[str]]:
        found = yield from self._all()
        page = found[self._given : self._given + most]
        self._given += len(page)
        return page

    def _all(self) -> Steps[list[str]]:
        if self._found is None:
            self._found = yield from self._read()
        return self._found


def hash_names(*keys: str) -> Steps[list[str]]:
    """The names in some hashes, each once, sorted."""
    found: set[bytes] = set()
    for key in keys:
        cursor = b"0"
        while True:
            [(cursor, flat)] = yield from ask(("HSCAN", key, cursor, "COUNT", SCANNED))
            found.update(flat[::2])
            if cursor == b"0":
                break
    return sorted(map(text_of, found))


def text_of(name: bytes) -> str:
    """A name; one in no encoding of ours by surrogates, that go back as they came."""
    return name.decode("utf-8", "surrogateescape")
