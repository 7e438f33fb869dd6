"""Whose definition it is: an edit by anybody else is refused, and says where to make it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from beatd.client.state import owner_of
from beatd.client.steps import Steps, ask
from beatd.errors import BeatdError, OtherOwner
from beatd.store.entries import Row
from beatd.store.keys import Keys

MOST_PLACES: Final = 3


def check_owner(keys: Keys, row: Row | None) -> Steps[None]:
    """Raises OtherOwner unless a definition belongs to the API, or to nobody yet."""
    if row is None or (owner := owner_of(row)) == "api":
        return
    if owner != "file":
        raise OtherOwner(
            f"{row.name!r} belongs to {owner}: it is changed by those who apply that",
            name=row.name,
            owner=owner,
            hint="change it in what is applied there, and apply that again",
        )
    raise of_file(row.name, (yield from places(keys)))


def of_file(name: str, places: Sequence[str]) -> OtherOwner:
    """The refusal to edit an entry of a file; places: where that is, as far as it is known."""
    where = f": {', '.join(places)}" if places else " (schedules.yaml)"
    hint = "edit the file: the daemon applies it within seconds"
    message = f"{name!r} belongs to a file{where}; its definition is changed there"
    return OtherOwner(message, name=name, owner="file", hint=hint)


def places(keys: Keys) -> Steps[list[str]]:
    """The files that are stored, as the instances say that have them: `/etc/beatd/schedules.yaml on web-1`."""
    applied, flat = yield from ask(("HGET", keys.key("meta"), "file"), ("HGETALL", keys.key("inst")), tolerant=True)
    if isinstance(applied, BeatdError | None) or isinstance(flat, BeatdError):
        return []
    records = [_object(text) for text in flat[1::2]]
    having = [record for record in records if record.get("file") == applied.decode(errors="replace")]
    found = [f"{path} on {record.get('host')}" for record in having for path in _texts(record.get("files"))]
    return sorted(set(found))[:MOST_PLACES]


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
