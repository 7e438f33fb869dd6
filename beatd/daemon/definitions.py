"""Definitions made ready to fire, kept by revision: a revision's content never changes.

Thousands of entries often differ in nothing but name and arguments. So what a definition says beside these is read,
checked and compiled once, found again by its very content, and shared.
"""

import json
import marshal
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from beatd.core.entry import (
    LARGEST_DEFINITION,
    OWN_KEYS,
    Entry,
    check_name,
    entry_from_stored,
    own_from_spec,
    spec_from_definition,
)
from beatd.core.fire import TaskIds, Template
from beatd.core.instant import instant_text
from beatd.core.requests import Standing, Wanted, with_cause
from beatd.core.schedules import SCHEDULE_KEYS, Schedule
from beatd.core.timetable import UNREADABLE, PlanItem, Stored
from beatd.core.window import Compiled, Shape
from beatd.daemon.kept import Kept
from beatd.daemon.ports import CompileTemplate
from beatd.errors import EntryInvalid, ScheduleInvalid

COMPILED_BYTES: Final = 8 * 1024 * 1024
SHAPES_BYTES: Final = 4 * 1024 * 1024

# Bytes of the objects beside their texts, as a test measures them.
_ENTRY: Final = 320  # with its places in window and cache
_SCHEDULE: Final = 600
_RENAMED: Final = 70  # a schedule that differs by the entry's name, without its rule
_SHAPE: Final = 1_000
_CANVAS: Final = 4  # for each byte of a definition with a signature: what is made of one is objects
_MARSHAL: Final = 2  # the version without references and interned texts: equal values give equal bytes
_DECODE: Final = json.JSONDecoder().decode


class _Ready(NamedTuple):
    """What a definition says beside the entry's own, made ready for one entry."""

    schedule: Schedule
    shape: Shape
    size: int


class Beside(NamedTuple):
    """What a request's messages are made of, beside the timetable."""

    schedule: Schedule
    template: Template
    own: str
    ids: TaskIds
    at_most_once: bool

    def dead_at(self, slot: int, now: int) -> str:
        """Why the message of a slot is not worth sending any more; '' where it is."""
        template = self.template
        expires_on = template.expires_on
        if template.expires_ms is not None:
            expires_on = slot + template.expires_ms
        if expires_on is None or now <= expires_on:
            return ""
        return f"expired: its message was worth sending until {instant_text(expires_on)} (options.expires)"


class Definitions:
    """Compiles stored definitions, and remembers the last ones up to a bound in bytes."""

    def __init__(self, namespace: str, compile_template: CompileTemplate) -> None:
        self._ids = TaskIds(namespace)
        self._compile_template = compile_template
        self._kept: Kept[str, Compiled] = Kept(COMPILED_BYTES, lambda compiled: compiled.size)
        self._ready: Kept[bytes, _Ready] = Kept(SHAPES_BYTES, lambda ready: ready.size)
        self._shapes: Kept[bytes, Shape] = Kept(SHAPES_BYTES, lambda shape: shape.size)

    def known(self, name: str, rev: str | None) -> Compiled | None:
        """What was compiled for an entry and its revision, if it is still kept."""
        found = self._kept.get(name)
        return found if found is not None and found.rev == rev else None

    def compile(self, stored: Stored) -> Compiled:
        """Makes a definition ready. Raises EntryInvalid with the reason, whatever another client has stored."""
        if stored.left == UNREADABLE:
            raise EntryInvalid("the stored number of runs left is none", hint="write the entry again (beatd set)")
        found = self.known(stored.name, stored.rev)
        if found is not None and found.jitter == stored.jitter:  # another client may have changed it: no slot would fit
            return found
        if stored.definition is None:
            raise EntryInvalid("there is no definition under this name", hint="write the entry again (beatd set)")
        try:
            compiled = self._like_another(stored, stored.definition) or self._by_itself(stored, stored.definition)
        except EntryInvalid:
            raise
        except Exception as error:  # a defect met by one definition would end this instance, and then each standby
            raise EntryInvalid(f"it can't be made ready: {type(error).__name__}: {error}") from error
        self._kept.put(stored.name, compiled)
        return compiled

    def for_request(self, name: str, standing: Standing, wanted: Wanted) -> Beside:
        """What a request's messages are made of. Raises EntryInvalid with the reason.

        They carry their cause as a header. Of a past slot ``expires`` would end each message before it is sent: a
        duration counts for slots on time, and does not count here.
        """
        if standing.definition is None:
            raise EntryInvalid("there is no definition under this name", hint="write the entry again (beatd set)")
        try:
            entry = entry_from_stored(name, spec_from_definition(standing.definition))
            options = with_cause(entry.sent_options, wanted.kind)
            template = self._compile_template(entry.task, entry.queue, options)
            if wanted.kind == "backfill" and template.expires_ms is not None:
                kept = {**options, "expires": None}  # of a signature, too
                template = self._compile_template(entry.task, entry.queue, kept)
            args = entry.args if wanted.args is None else wanted.args
            own = template.own(name, args, entry.kwargs if wanted.kwargs is None else wanted.kwargs)
        except EntryInvalid:
            raise
        except Exception as error:  # as in compile
            raise EntryInvalid(f"it can't be made ready: {type(error).__name__}: {error}") from error
        once = entry.policy.guarantee == "at_most_once"
        return Beside(entry.schedule, template, own, self._ids, once)

    def _like_another(self, stored: Stored, definition: bytes) -> Compiled | None:
        """As another entry's, but for its own. None where there is no such other one, and where something is wrong:
        then it is read by itself, so that what is wrong is told in one way only.
        """
        if len(definition) > LARGEST_DEFINITION:
            return None
        try:
            spec = _DECODE(definition.decode())
            given = {key: spec.pop(key) for key in OWN_KEYS if key in spec}
            ready = self._ready.get(marshal.dumps(spec, _MARSHAL))
            if ready is None:
                return None
            check_name(stored.name)
            own = own_from_spec(given)
            schedule = ready.schedule.renamed(stored.name)
            text = ready.shape.template.own(stored.name, own.args, own.kwargs)
        except (ValueError, TypeError, AttributeError, RecursionError, EntryInvalid, ScheduleInvalid):
            return None
        more = 0 if schedule is ready.schedule else _RENAMED + schedule.rule.named_bytes
        return _compiled(stored, schedule, ready.shape, text, more)

    def _by_itself(self, stored: Stored, definition: bytes) -> Compiled:
        spec = spec_from_definition(definition)
        entry = entry_from_stored(stored.name, spec)
        shared = {key: value for key, value in spec.items() if key not in OWN_KEYS}
        shape, new = self._shape(entry, shared)
        text = shape.template.own(stored.name, entry.args, entry.kwargs)
        key = marshal.dumps(shared, _MARSHAL)
        self._ready.put(key, _Ready(entry.schedule, shape, _SCHEDULE + len(key)))
        # Who brings something new bears its size.
        return _compiled(stored, entry.schedule, shape, text, _SCHEDULE + (shape.size if new else 0))

    def _shape(self, entry: Entry, shared: Mapping[str, Any]) -> tuple[Shape, bool]:
        """What entries share that have different schedules, too; whether it had to be made."""
        key = marshal.dumps({name: value for name, value in shared.items() if name not in SCHEDULE_KEYS}, _MARSHAL)
        found = self._shapes.get(key)
        if found is not None:
            return found, False
        template = self._compile_template(entry.task, entry.queue, entry.sent_options)
        size = _SHAPE + len(key) + template.longest(template.own("", (), {}))
        if entry.signature is not None:
            size += _CANVAS * len(key)
        shape = Shape(entry.policy, template, self._ids, size)
        self._shapes.put(key, shape)
        return shape, True


def _compiled(stored: Stored, schedule: Schedule, shape: Shape, own: str, more: int) -> Compiled:
    size = _ENTRY + sys.getsizeof(stored.name) + sys.getsizeof(stored.rev) + sys.getsizeof(own) + more
    return Compiled(stored.name, stored.rev, schedule, shape, own, stored.jitter, size)


def invalid_item(stored: Stored, error: EntryInvalid, version: str, now: int) -> PlanItem:
    """Takes an unreadable definition out of the timetable; it is kept and shown, never deleted."""
    detail = json.dumps({"why": error.message, "by": version, "at": str(now)}, ensure_ascii=False)
    return PlanItem(stored.name, stored.rev, stored.score, "I", detail)
