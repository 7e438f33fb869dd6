"""Requests in Redis: asking for them, and how the leader reads and serves them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from beatd.core.requests import Part, Wanted
from beatd.core.term import Term
from beatd.errors import NotFound, Refused
from beatd.store.keys import FORMAT, Keys
from beatd.store.scripts import Arg, Call, call

LOG_ROWS: Final = 100_000
MOST_OPEN: Final = 100  # of one entry, as request.lua has it


class Asking(NamedTuple):
    """One request to be made. before: the stored value of an ended one that goes on, with its cursor; b"" for none."""

    id: str
    wanted: Wanted
    cursor: int
    before: bytes = b""


class Serving(NamedTuple):
    """One part as the leader sends it: of which request, made of which revision ('' where no message is sent)."""

    id: str
    name: str
    rev: str
    expected: int
    part: Part
    cause: str
    task_id: str = ""
    queue: str = ""
    messages: Sequence[bytes] = ()


class Tidying(NamedTuple):
    """One finding: the value that was read (b"" none), and what to do: F forget, L list as open, O take off the list."""

    id: str
    name: str
    value: bytes
    what: str


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
                f"{name!r} has {MOST_OPEN} open requests already, or 100000 are kept of all entries",
                hint="does anybody lead (beatd status)? A pause of the entry withdraws its requests",
            )
        if code == "5":
            raise Refused(f"the request for {name!r} is malformed or too large")
    return [code == "0" for code in codes.decode()]


def serve_call(keys: Keys, term: Term, serving: Serving, hist_rows: int) -> Call:
    """One part: at most 100 messages, 256 kB."""
    s, part = serving, serving.part
    args: list[Arg] = [term.epoch, term.owner, FORMAT, hist_rows, s.id, s.name, s.rev, s.expected, part.cursor]
    args += [part.outcome, part.why, s.cause, s.task_id, ",".join(map(str, part.slots)), *s.messages]
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
