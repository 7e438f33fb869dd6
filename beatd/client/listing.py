"""A list of entries in order, page by page: the first page costs the same at any number of entries."""

from collections.abc import Sequence
from typing import Final

from beatd.client import entries
from beatd.client.name_sources import Known, NameSource, Ranked, hash_names
from beatd.client.steps import Steps, T, ask
from beatd.core.last_run import last_run
from beatd.core.listing import Place, Sort, Wanted
from beatd.store.entries import Row
from beatd.store.keys import Keys
from beatd.store.spoilt import object_of, whole

PAGE: Final = 500


class Listing:
    """Entries that pass some filters, in order. ``begin`` first, then ``chunk`` until it gives none.

    By `next`: as the timetable has them, then those that wait to be planned, those whose queue refused them, and the
    others by name. No more is read than is given, unless filters pass most of them over. By `name`, and by `last` (the
    latest first, those that never ran at the end), all names must be read before the first one is known.

    Where the leader fires and others edit meanwhile: what nobody edits comes exactly once.
    """

    def __init__(
        self, keys: Keys, wanted: Wanted, sort: Sort = "next", *, skip: int = 0, most: int | None = None
    ) -> None:
        """skip: so many are left out at the beginning. most: how many will be asked for, None: all."""
        self.now = 0  # by the clock of Redis, UTC ms
        self.total = 0  # all entries, whatever the filters
        self.astray = 0  # of them so many are in no place: a leader puts them back
        self.wanted = wanted
        self._keys, self._sort = keys, sort
        self._skip = skip
        self._at_once = PAGE if most is None or not wanted.admits_all else max(1, min(PAGE, most))
        self._sources: list[NameSource] = []
        self._given: set[str] = set()

    def begin(self) -> Steps[None]:
        """Looks how much there is."""
        key = self._keys.key
        sizes = (("ZCARD", key("due")), ("ZCOUNT", key("due"), "-inf", "(0"), ("ZCARD", key("blocked")))
        (seconds, micros), *found = yield from ask(("TIME",), ("HLEN", key("rev")), ("HLEN", key("out")), *sizes)
        self.now = int(seconds) * 1000 + int(micros) // 1000
        self.total, out, due, unplanned, blocked = map(int, found)
        self.astray = max(0, self.total - out - due - blocked)
        self._sources = self._all_sources(due - unplanned, unplanned, blocked)
        for source in self._sources if self.wanted.admits_all else ():
            if not self._skip:  # to skip nothing a hash need not be read
                break
            self._skip -= yield from source.skip(self._skip)

    def chunk(self) -> Steps[list[Row]]:
        """The next of them, none at the end."""
        while names := (yield from self._fresh()):
            rows = self._behind_skipped((yield from self._admitted(names)))
            if rows:
                return rows
        return []

    def names(self) -> Steps[list[str]]:
        """As chunk, names alone; where no filter needs more, nothing else is read."""
        if self.wanted.states or self.wanted.by_definition or self.wanted.names is not None:
            return [row.name for row in (yield from self.chunk())]
        while names := (yield from self._fresh()):
            found = self._behind_skipped([name for name in names if self.wanted.admits_name(name)])
            if found:
                return found
        return []

    def _fresh(self) -> Steps[list[str]]:
        """The next names that were not given yet, whether they are asked for or not; none at the end."""
        while self._sources:
            names = yield from self._sources[0].names(self._at_once)
            fresh = [name for name in dict.fromkeys(names) if name not in self._given]
            self._given.update(fresh)
            if fresh:
                return fresh
            if not names:
                self._sources.pop(0)
        return []

    def _behind_skipped(self, found: list[T]) -> list[T]:
        passed = min(self._skip, len(found))
        self._skip -= passed
        return found[passed:]

    def _all_sources(self, planned: int, unplanned: int, blocked: int) -> list[NameSource]:
        if self.wanted.names is not None:
            return [Known(self._named)]
        if self._sort != "next":
            return [Known(self._sorted)]
        key = self._keys.key
        places: dict[Place, NameSource] = {
            "due": Ranked(key("due"), unplanned, planned),
            "unplanned": Ranked(key("due"), 0, unplanned, below=0),
            "held": Known(lambda: hash_names(key("hold"))),
            "blocked": Ranked(key("blocked"), 0, blocked),
            "out": Known(lambda: hash_names(key("out"))),
        }
        return [places[place] for place in self.wanted.places]

    def _named(self) -> Steps[list[str]]:
        """The names that were asked for, in order; each is there, or is found missing when its row is read."""
        names = self.wanted.names or []
        if self._sort == "last":
            return (yield from self._latest_first(names))
        if self._sort == "name":
            return sorted(names)
        moments: dict[str, int] = {}
        for start in range(0, len(names), PAGE):
            for row in (yield from entries.rows(self._keys, names[start : start + PAGE])):
                moments[row.name] = _order(row)
        return sorted(moments, key=lambda name: (moments[name], name))

    def _sorted(self) -> Steps[list[str]]:
        places = self.wanted.places
        kinds = ["rev"] if "due" in places or "blocked" in places else ["hold", "out"]
        names = yield from hash_names(*map(self._keys.key, kinds))
        names = [name for name in names if self.wanted.admits_name(name)]
        return names if self._sort == "name" else (yield from self._latest_first(names))

    def _latest_first(self, names: Sequence[str]) -> Steps[list[str]]:
        slots: dict[str, int] = {}
        for start in range(0, len(names), PAGE):
            page = names[start : start + PAGE]
            [found] = yield from ask(("HMGET", self._keys.key("last"), *page))
            slots |= {name: whole((raw or b"").partition(b"|")[0]) or 0 for name, raw in zip(page, found, strict=True)}
        return sorted(slots, key=lambda name: (-slots[name], name))

    def _admitted(self, names: Sequence[str]) -> Steps[list[Row]]:
        names = [name for name in names if self.wanted.admits_name(name)]
        if names and self.wanted.by_definition:
            key = self._keys.key
            found, files = yield from ask(("HMGET", key("def"), *names), ("HMGET", key("file"), *names))
            specs = map(object_of, found)
            columns = zip(names, specs, files, strict=True)
            names = [
                name
                for name, spec, file in columns
                if self.wanted.admits_definition(spec, owner_of(spec, owned_by_file=file is not None))
            ]
        return [row for row in (yield from entries.rows(self._keys, names)) if self._in_state(row)]

    def _in_state(self, row: Row) -> bool:
        if not self.wanted.states:
            return True
        late = None if row.moment is None or row.moment < 0 else self.now - row.moment
        ran = last_run(row.last).slot is not None
        return self.wanted.admits_state(row.state_at(self.now), ran=ran, late_ms=late)


def owner_of(spec: dict[str, object], *, owned_by_file: bool) -> str:
    """Who owns a decoded definition: `file`, `apply:<label>`, `api`."""
    owner = spec.get("owner")
    return "file" if owned_by_file else owner if isinstance(owner, str) else "api"


def _order(row: Row) -> int:
    """As the places follow each other, and within the timetable by moment."""
    if row.out:
        return 1 << 62
    if row.blocked or row.moment is None:
        return 1 << 61
    return row.moment if row.moment >= 0 else 1 << 60
