"""What commands over stored entries share: the way to them, who edits, and how one is told about."""

import socket
from typing import TYPE_CHECKING, Any

from beatd.cli.main import Common
from beatd.cli.show import instant
from beatd.client.blocking import Client
from beatd.errors import BeatdError
from beatd.store.entries import Row, audit, user_name

if TYPE_CHECKING:  # imported when needed
    from beatd.core.entry import Entry


def open_client(common: Common) -> Client:
    """The store that the options, the files and the variables name."""
    return Client(*common.place())


def who_edits(client: str, note: str | None = None) -> str:
    """Who makes an edit from this command line, and why, for the audit."""
    return audit(client, user_name(), socket.gethostname(), note or "")


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


def why_invalid(row: Row) -> str | None:
    """Why an entry is invalid, as the leader that found it said."""
    invalid = row.out.get("invalid")
    return str(invalid["why"]) if isinstance(invalid, dict) and "why" in invalid else None
