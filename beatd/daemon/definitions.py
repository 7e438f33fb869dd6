"""Definitions made ready to fire, kept by revision: a revision's content never changes."""

import json
from collections import OrderedDict
from typing import Final

from beatd.core.entry import Entry, entry_from_definition
from beatd.core.fire import TaskIds
from beatd.core.timetable import UNREADABLE, PlanItem, Stored
from beatd.core.window import Compiled
from beatd.daemon.ports import CompileTemplate
from beatd.errors import EntryInvalid

CACHE_BYTES: Final = 32 * 1024 * 1024
_OVERHEAD: Final = 2_000  # of an entry's objects beside its text and message


class Definitions:
    """Compiles stored definitions, and remembers the last ones up to a bound in bytes."""

    def __init__(self, namespace: str, compile_template: CompileTemplate) -> None:
        self._namespace = namespace
        self._compile_template = compile_template
        self._kept: OrderedDict[tuple[str, str], Compiled] = OrderedDict()
        self._size = 0

    def known(self, name: str, rev: str | None) -> Compiled | None:
        """What was compiled for an entry and its revision, if it is still kept.

        The name counts: a client that writes many entries in one call may give them one nonce.
        """
        if rev is None or (found := self._kept.get((name, rev))) is None:
            return None
        self._kept.move_to_end((name, rev))
        return found

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
            entry = entry_from_definition(stored.name, stored.definition)
            compiled = self._compiled(entry, stored.rev, stored.jitter, len(stored.definition))
        except EntryInvalid:
            raise
        except Exception as error:  # a defect met by one definition would end this instance, and then each standby
            raise EntryInvalid(f"it can't be made ready: {type(error).__name__}: {error}") from error
        self._keep(compiled)
        return compiled

    def _compiled(self, entry: Entry, rev: str, jitter: int, length: int) -> Compiled:
        template = self._compile_template(entry)
        ids = TaskIds(self._namespace, entry.name)
        return Compiled(rev, entry, template, ids, jitter, length + template.size + _OVERHEAD)

    def _keep(self, compiled: Compiled) -> None:
        before = self._kept.pop((compiled.entry.name, compiled.rev), None)
        self._size += compiled.size - (before.size if before is not None else 0)
        self._kept[compiled.entry.name, compiled.rev] = compiled
        while self._size > CACHE_BYTES and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.size


def invalid_item(stored: Stored, error: EntryInvalid, version: str) -> PlanItem:
    """Takes an unreadable definition out of the timetable; it is kept and shown, never deleted."""
    detail = json.dumps({"why": error.message, "by": version}, ensure_ascii=False)
    return PlanItem(stored.name, stored.rev, stored.score, "I", detail)
