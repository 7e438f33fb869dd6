"""Entries as programs give them, many at once, as definitions ready to be stored."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from beatd.client.fields import plain_fields
from beatd.core.entry import checked_definition, entry_from_spec
from beatd.errors import BeatdError, EntryInvalid
from beatd.formats.celery import compile_template

MOST_NAMED: Final = 10
Entries = Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]]
"""Fields by name; or one mapping for each entry, with its `name` among the fields."""


def definitions_of(wanted: Entries, owner: str) -> dict[str, str]:
    """Definitions by name. Raises EntryInvalid naming each entry that can't be used."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    errors: list[EntryInvalid] = []
    for name, fields in _named(wanted):
        if name in seen:
            errors.append(EntryInvalid(f"{name!r} is there twice"))
            continue
        seen.add(name)
        try:
            found[name] = _definition(name, fields, owner)
        except EntryInvalid as error:
            errors.append(error)
    if errors:
        raise _all_of(errors)
    return found


def _all_of(errors: Sequence[EntryInvalid]) -> EntryInvalid:
    """Several as one."""
    if len(errors) == 1:
        return errors[0]
    told = [error.message for error in errors[:MOST_NAMED]]
    more = [f"and {len(errors) - MOST_NAMED} more"] if len(errors) > MOST_NAMED else []
    hints = dict.fromkeys(error.hint for error in errors[:MOST_NAMED] if error.hint)
    return EntryInvalid(f"{len(errors)} can't be used: {'; '.join([*told, *more])}", hint="; ".join(hints) or None)


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
        compile_template(entry.task, entry.queue, entry.sent_options, origin="").own(name, entry.args, entry.kwargs)
        return checked_definition(entry)
    except BeatdError as error:
        raise EntryInvalid(f"{name!r}: {error.message}", hint=error.hint) from error
