"""An edit of one entry by some of its fields: the others stay as they are stored."""

from collections.abc import Mapping
from typing import Any, Final

from beatd.core.entry import Entry, check_keys, entry_from_stored
from beatd.core.schedules import SCHEDULE_KEYS
from beatd.core.schedules.schedule import COMMON_KEYS, KINDS
from beatd.errors import EntryInvalid

API: Final = "api"


def patched(name: str, stored: Mapping[str, Any] | None, given: Mapping[str, Any]) -> Entry:
    """The entry that an edit makes of a decoded definition, or of nothing. Raises EntryInvalid.

    given: fields in the spelling of a file. None gives a field its default back, and takes a stored one
    that nobody knows away. ``options`` are merged one level deep,
    as ``defaults.options`` of a file are. Of another schedule's keys those go that the new kind does not understand.
    """
    check_keys({key: value for key, value in given.items() if value is not None or key not in (stored or {})})
    if stored is None and given.get("task") is None and given.get("signature") is None:
        raise EntryInvalid(
            f"there is no entry {name!r} yet; a new one needs a task and a schedule",
            hint="on the command line: --task app.tasks.work --cron '*/5 * * * *'",
        )
    spec = {"owner": API} if stored is None else _without_old_schedule(stored, given)
    spec = _without_old_call(spec, given)
    given, options = _options(spec.get("options", {}), given)
    for key, value in given.items():
        if value is None:
            spec.pop(key, None)
        else:
            spec[key] = value
    spec.pop("options", None)
    return entry_from_stored(name, {**spec, **({"options": options} if options else {})})


def _without_old_schedule(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    kind = next((kind for kind in KINDS if given.get(kind) is not None), None)
    if kind is None:
        return dict(stored)
    kept = COMMON_KEYS | KINDS[kind].options
    return {key: value for key, value in stored.items() if key not in SCHEDULE_KEYS or key in kept}


def _without_old_call(spec: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A new signature takes the place of task, args and kwargs, and a new task that of a signature."""
    gone: tuple[str, ...] = ()
    if given.get("signature") is not None:
        gone = ("task", "args", "kwargs")
    elif given.get("task") is not None:
        gone = ("signature",)
    return {key: value for key, value in spec.items() if key not in gone}


def _options(stored: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The given fields with the queue that is named among the options, and the options as they will be."""
    fields, more = dict(given), given.get("options", {})
    if more is None:
        return fields, {}
    if not isinstance(more, Mapping) or not isinstance(stored, Mapping):
        return fields, more  # what is wrong is told by whoever reads the entry
    options = {**stored, **more}
    if "queue" in options and "queue" not in fields:
        fields["queue"] = options.pop("queue")
    return fields, {key: value for key, value in options.items() if value is not None}
