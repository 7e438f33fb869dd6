"""What commands over stored entries share: the way to them, who edits, and how one is told about."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from beatd.cli.main import Common
from beatd.cli.show import instant
from beatd.client.blocking import Client
from beatd.client.entries import names as name_page
from beatd.errors import BeatdError, NotFound, Refused
from beatd.store.entries import MOST_ITEMS, Row, audit, user_name

if TYPE_CHECKING:  # imported when needed
    from beatd.core.entry import Entry


MOST_NAMES: Final = 10_000  # looked at for the nearest one to an unknown name


def open_client(common: Common) -> Client:
    """The store that the options, the files and the variables name."""
    return Client(*common.place())


def who_edits(client: str, note: str | None = None) -> str:
    """Who makes an edit from this command line, and why, for the audit."""
    return audit(client, user_name(), socket.gethostname(), note or "")


@contextmanager
def left_alone(names: Sequence[str]) -> Iterator[None]:
    """An edit of several entries, all or nothing: where one of them refuses it, the error says so of the others."""
    try:
        yield
    except (NotFound, Refused) as error:
        if 1 < len(names) <= MOST_ITEMS:
            error.message += f"; nothing was written: the other {_others(len(names) - 1)} left as before"
        raise


def _others(number: int) -> str:
    return "one is" if number == 1 else f"{number:,} are"


def entry_of(row: Row) -> "Entry | None":
    """The entry of a row, None where its definition can't be read."""
    from beatd.core.entry import entry_from_definition

    try:
        return entry_from_definition(row.name, row.definition)
    except BeatdError:
        return None


def pause_of(row: Row, now: int) -> dict[str, Any] | None:
    """Who paused it and why, with instants as text; None where it is not paused."""
    found = row.pause_at(now)
    return found and {key: value if isinstance(value, str) else instant(value) for key, value in found.items()}


def unknown(client: Client, name: str, what: str | None = None) -> NotFound:
    """That there is no entry of a name, with the one that was perhaps meant. what: of which it has none either."""
    near = nearest(client, name)
    nor = f", and no {what} of it" if what else ""
    return NotFound(
        f"there is no entry {name!r}{nor}", hint=f"did you mean {near!r}?" if near else "beatd ls shows the names"
    )


def nearest(client: Client, name: str) -> str | None:
    """A name that was perhaps meant, among the first 10,000."""
    import difflib

    names: list[str] = []
    cursor = b"0"
    while len(names) < MOST_NAMES:
        cursor, page = client.run(name_page(client.keys, cursor))
        names += page
        if cursor == b"0":
            break
    return next(iter(difflib.get_close_matches(name, names, 1)), None)
