"""All there is to know of one entry: how it stands, its last fires and skips, what it is asked for beside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from beatd.client.editing import Base, look_at
from beatd.client.entries import not_found
from beatd.client.ownership import places
from beatd.client.state import owner_of
from beatd.client.steps import Steps, ask
from beatd.core.history import Line, lines_of
from beatd.core.last_run import last_run
from beatd.core.requests import Request, open_ids, read_request
from beatd.errors import BeatdError
from beatd.store.entries import Row
from beatd.store.keys import Keys

PAGE: Final = 100
MOST_PAGES: Final = 10  # some megabytes of each history; `beatd history` reads all of it
MOST_BYTES: Final = 2_000_000
MOST_REQUESTS: Final = 20
STAMPS_MS: Final = 100  # by which a row's id may differ from the instant in it


@dataclass(frozen=True, slots=True)
class Details:
    """One entry. lines: its last fires and skips, oldest first; complete: whether none before them is kept.

    requests: those that are open. files: where its definition stands, for one of a file, as far as it is known.
    leader: who holds the lease, or held it last.
    """

    row: Row
    base: Base
    lines: Sequence[Line]
    complete: bool
    requests: Sequence[Request]
    files: Sequence[str]
    leader: str


def details(keys: Keys, name: str, most: int) -> Steps[Details]:
    """One entry with at most so many lines of its history. Raises NotFound."""
    base = yield from look_at(keys, name)
    if base.row is None:
        raise not_found(name)
    asked, host = yield from ask(("HGET", keys.key("asked"), name), ("HGET", keys.key("lease"), "host"), tolerant=True)
    lines, complete = yield from recent(keys, base.row, most)
    return Details(
        row=base.row,
        base=base,
        lines=lines,
        complete=complete,
        requests=(yield from _requests(keys, [] if isinstance(asked, BeatdError) else open_ids(asked))),
        files=(yield from places(keys)) if owner_of(base.row) == "file" else (),
        leader="" if isinstance(host, BeatdError | None) else host.decode(errors="replace"),
    )


def recent(keys: Keys, row: Row, most: int) -> Steps[tuple[list[Line], bool]]:
    """The last lines of an entry, oldest first, and whether there are no more. Reads a bounded part of the histories:
    of fires, backwards from the entry's own last one, which is told even where its row is gone.
    """
    ran = last_run(row.last)
    skips, all_skips = yield from _lines(keys, "skipped", row.name, "+", most)
    fires: list[Line] = []
    all_fires = True
    if ran.slot is not None:
        end = "+" if ran.at is None else str(ran.at + STAMPS_MS)
        fires, all_fires = yield from _lines(keys, "fired", row.name, end, most)
        if ran.at is not None and all(line.slot != ran.slot for line in fires):
            fires.append(Line("fired", ran.at, row.name, ran.slot, ran.slot))
    found = sorted([*skips, *fires], key=lambda line: (line.at, line.slot or 0))
    return found[-most:], all_skips and all_fires and len(found) <= most


def _lines(
    keys: Keys, what: Literal["fired", "skipped"], name: str, end: str, most: int
) -> Steps[tuple[list[Line], bool]]:
    """At least so many lines of one history, newest rows first, if they are in the part that is read; and whether that
    is all of it.
    """
    key, mark = keys.key("hist" if what == "fired" else "skip"), name.encode("utf-8", "surrogateescape") + b"\x1f"
    found: list[Line] = []
    read = 0
    for _ in range(MOST_PAGES):
        [rows] = yield from ask(("XREVRANGE", key, end, "-", "COUNT", PAGE), tolerant=True)
        if isinstance(rows, BeatdError):  # of a key that is no stream; `beatd history` tells more
            break
        for raw_id, flat in rows:
            read += sum(map(len, flat))
            if any(mark in value for value in flat[1::2]):
                found += _of(name, lines_of(what, int(raw_id.partition(b"-")[0]), _fields(flat)))
        if len(rows) < PAGE:
            return found, True
        if len(found) >= most or read > MOST_BYTES:
            break
        end = f"({rows[-1][0].decode()}"
    return found, False


def _of(name: str, lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.name is not None and line.name == _shown(name)]


def _shown(name: str) -> str:
    """A name as the histories are read, where what is in no encoding of ours has marks in it."""
    return name.encode("utf-8", "surrogateescape").decode(errors="replace")


def _fields(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _requests(keys: Keys, ids: Sequence[str]) -> Steps[list[Request]]:
    if not ids:
        return []
    [values] = yield from ask(("HMGET", keys.key("req"), *ids[:MOST_REQUESTS]))
    found = [read_request(request_id, value) for request_id, value in zip(ids, values, strict=False)]
    return [request for request in found if request is not None]
