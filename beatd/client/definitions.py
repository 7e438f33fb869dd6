"""Entries as programs give them, many at once, as definitions ready to be stored."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beatd.client.fields import plain_fields
from beatd.core.entry import checked_definition, entry_from_spec
from beatd.errors import BeatdError, EntryInvalid
from beatd.formats.celery import compile_template

Entries = Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]]
"""Fields by name; or one mapping for each entry, with its `name` among the fields."""


def definitions_of(wanted: Entries, owner: str) -> dict[str, str]:
    """Definitions by name. Raises EntryInvalid naming the entry."""
    found: dict[str, str] = {}
    for name, fields in _named(wanted):
        if name in found:
            raise EntryInvalid(f"{name!r} is there twice")
        found[name] = _definition(name, fields, owner)
    return found


def _named(wanted: Entries) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(wanted, Mapping):
        yield from wanted.items()
        return
    for each in wanted:
        if not isinstance(each, Mapping) or not isinstance(each.get("name"), str):
            raise EntryInvalid("each entry is a mapping with `name`, `task` and a schedule")
        yield each["name"], {key: value for key, value in each.items() if key != "name"}


def _definition(name: str, fields: Mapping[str, Any], owner: str) -> str:
    try:
        if not isinstance(fields, Mapping):
            raise EntryInvalid(f"found {type(fields).__name__}; a mapping with `task` and a schedule is accepted")
        if "owner" in fields:
            raise EntryInvalid("owner: who applies is the owner", hint="take it out of the fields")
        given = {key: value for key, value in plain_fields(fields).items() if value is not None}
        entry = entry_from_spec(name, {**given, "owner": owner})
        compile_template(entry.task, entry.queue, entry.options, origin="").own(name, entry.args, entry.kwargs)
        return checked_definition(entry)
    except BeatdError as error:
        raise EntryInvalid(f"{name!r}: {error.message}", hint=error.hint) from error
