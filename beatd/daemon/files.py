"""File entries: the leader brings what is stored in line with its own files, as one difference, in steps."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from beatd.core.difference import Difference, difference, shrinks_too_much
from beatd.core.edit import ABSENT, ANY, PutItem, put_item, runs_left
from beatd.core.entry import Entry, entry_from_definition
from beatd.core.entry_set import EntrySet
from beatd.core.registration import Applied, Registered, Registry, Standing, Verdict, judged, living
from beatd.core.term import LeaseTiming, Term
from beatd.daemon.own_files import LoadedFiles, OwnFiles
from beatd.daemon.ports import EventSink
from beatd.daemon.together import wait_for_event
from beatd.errors import EntryInvalid, Refused

PAGE: Final = 500
STEP: Final = 20  # entries made ready between two chances for the others
RECHECK_S: Final = 2.0  # is what was applied still there? A FLUSHALL may have come between entries and their note
MOST_NAMED: Final = 10  # of the entries that went, in a line of the log
REFUSED_S: Final = 60.0


class FilePort(Protocol):
    """What is stored of file entries, for the leader of one term.

    Every call raises Unreachable without an answer; those that write raise LeaseLost, and Refused on a conflict.
    """

    async def registry(self) -> Registry:
        """Who has which files, and whose are applied."""

    async def count(self) -> int:
        """How many entries files own."""

    async def stored(self) -> Mapping[str, str]:
        """Name -> hash of the definition of all file entries."""

    async def existing(self, names: Sequence[str]) -> Mapping[str, tuple[bytes | None, int | None]]:
        """Definition and runs left of those names that exist."""

    async def put(self, items: Sequence[PutItem]) -> None:
        """Writes entries, in steps."""

    async def remove(self, names: Sequence[str]) -> None:
        """Removes entries, in steps."""

    async def note_look(self, mark: str) -> None:
        """Leaves a mark, before what is stored is read."""

    async def note_begun(self) -> None:
        """Writes down that nobody's files are applied in full; before the first change."""

    async def note_applied(self, applied: Applied, mark: str) -> bool:
        """Writes down whose files are applied; last, so that a crash repeats the difference. False where the dataset
        has gone back to a state before the mark: then nothing is written.
        """

    async def note_registered(self, applied: Applied) -> None:
        """Writes down that the applied files were registered anew."""

    async def close(self) -> None:
        """Closes the connection."""


class FileEntries:
    """Applies this instance's own files while it leads."""

    def __init__(
        self,
        open_port: Callable[[Term], Awaitable[FilePort]],
        own: OwnFiles,
        events: EventSink,
        *,
        timing: LeaseTiming,
        new_id: Callable[[], str],
    ) -> None:
        self._open_port = open_port
        self._own = own
        self._events = events
        self._ttl_ms = round(timing.ttl * 1000)
        self._new_id = new_id
        self._held: frozenset[str] = frozenset()  # names of the files that the API holds
        self._told: set[str] = set()
        self._told_of: LoadedFiles | None = None
        self._told_reload: LoadedFiles | None = None
        self.settled = own.current is None  # whether the files were looked at, and applied unless that was refused

    def names(self) -> frozenset[str]:
        """The names of all entries of the files."""
        files = self._own.current
        return frozenset() if files is None else frozenset(files.entries.definitions)

    async def keep_applied(self, term: Term) -> None:
        """Applies the files when they change, and again whenever entries of theirs are gone.

        Raises Unreachable without an answer, LeaseLost when another one leads.
        """
        self.settled = self._own.current is None
        while self._own.current is None:
            await self._own.changed.wait()
            self._own.changed.clear()
        port, wait = await self._open_port(term), 0.0
        try:
            while True:
                agrees = await self._keep(port, self._own.current)
                self.settled = True
                wait = RECHECK_S if agrees else min(REFUSED_S, (wait or RECHECK_S / 2) * 2)
                if await wait_for_event(self._own.changed, wait):
                    wait = 0.0
        finally:
            await port.close()

    async def _keep(self, port: FilePort, files: LoadedFiles) -> bool:
        """Whether nothing is left to be done before somebody changes something."""
        if files is not self._told_of:
            self._told.clear()
            self._told_of = files
        registry = await port.registry()
        self._own.saw(registry.applied, leads=True)
        verdict = self._judged(files, registry)
        if verdict.standing is Standing.OLDER:
            self._own.held = ()
            self._tell_of_newer(verdict.latest, registry.applied)
            return True
        if verdict.standing is Standing.APPLIED and not await self._lacks(port, files.entries):
            if verdict.at > registry.applied.at or registry.applied.at > registry.now:
                await port.note_registered(Applied(files.entries.hash, verdict.at, registry.applied.by))
            self._tell_of_reload(files, {"put": 0, "removed": 0})
            return True
        return await self._apply(port, files, verdict)

    def _judged(self, files: LoadedFiles, registry: Registry) -> Verdict:
        own = Registered(self._own.instance, files.entries.hash, self._own.registered_at(files))
        others = living(registry.records, own.instance, registry.now, self._ttl_ms)
        return judged(own, others, registry.applied, registry.now)

    async def _apply(self, port: FilePort, files: LoadedFiles, verdict: Verdict) -> bool:
        """Whether what is stored agrees with the files now."""
        done = {"put": 0, "removed": 0, "renamed": 0}
        removed: list[str] = []
        while True:
            try:
                await port.note_look(mark := self._new_id())
                changes = await self._difference(port, files)
                if not changes.empty:
                    await port.note_begun()
                await port.put([item async for item in self._puts(port, files.entries, changes)])
                await port.remove(changes.removes)
            except Refused as error:
                self._tell(error.message, error=error.message, hint=error.hint)
                return False
            for what, names in (("put", changes.puts), ("removed", changes.removes), ("renamed", changes.renames)):
                done[what] += len(names)
            removed += changes.removes
            # Once more, until nothing differs and no write of ours lies between the mark and the note: had the dataset
            # gone back amid the writes, the note would stand there without some of them.
            applied = Applied(files.entries.hash, verdict.at, self._own.instance)
            if changes.empty and await port.note_applied(applied, mark):
                self._tell_of_reload(files, done, removed)
                return True

    async def _lacks(self, port: FilePort, entries: EntrySet) -> bool:
        """Whether entries of the files are missing, but for names that the API still holds."""
        held = await port.existing(sorted(self._held)) if self._held else {}
        return len(held) < len(self._held) or await port.count() < len(entries) - len(self._held)

    async def _difference(self, port: FilePort, files: LoadedFiles) -> Difference:
        wanted, stored = files.entries.hashes, await port.stored()
        new = [name for name in wanted if name not in stored]
        held = await port.existing(new)
        changes = difference(wanted, stored, frozenset(held))
        self._held = frozenset(changes.conflicts)
        self._own.held = tuple(changes.conflicts)
        for name in changes.conflicts:
            self._tell(
                f"held {name}",
                entry=name,
                error=f"owner_conflict: {name!r} was set by hand or applied, and the file's is not in effect",
                hint=way_out(name, held[name][0]),
            )
        if shrinks_too_much(len(stored), len(changes.removes)) and not files.may_shrink:
            raise Refused(
                f"the file takes away {len(changes.removes)} of {len(stored)} entries; nothing was changed",
                hint="if that is meant, send SIGHUP, or start with --allow-shrink",
            )
        return changes

    async def _puts(self, port: FilePort, entries: EntrySet, changes: Difference) -> AsyncIterator[PutItem]:
        for start in range(0, len(changes.puts), PAGE):
            part = changes.puts[start : start + PAGE]
            before = await port.existing(part)
            for number, name in enumerate(part):
                if number % STEP == 0:
                    await asyncio.sleep(0)
                yield self._put(name, entries, before.get(name), changes.renames.get(name, ""))

    def _put(
        self, name: str, entries: EntrySet, before: tuple[bytes | None, int | None] | None, replaces: str
    ) -> PutItem:
        entry = entry_from_definition(name, entries.definitions[name])
        old, left = before or (None, None)
        counted = None if entry.policy.max_runs is None else _readable(name, old)
        return put_item(
            entry,
            self._new_id(),
            expected=ABSENT if before is None else ANY,
            left=runs_left(counted, entry, left),
            file_hash=entries.hashes[name],
            replaces=replaces,
        )

    def _tell_of_reload(self, files: LoadedFiles, done: Mapping[str, int], removed: Sequence[str] = ()) -> None:
        """A reload is told once, when it is in effect; other changes when there are any."""
        news = files.reload is not None and files is not self._told_reload
        if news or any(done.values()):
            self._told_reload = files
            shown = {what: number for what, number in done.items() if number or what != "renamed"}
            names = ", ".join([*removed[:MOST_NAMED], *(["..."] if len(removed) > MOST_NAMED else [])])
            self._events.emit("config_reloaded", **shown, gone=names or None, **((news and files.reload) or {}))

    def _tell_of_newer(self, latest: Registered, applied: Applied) -> None:
        whose = "are the stored ones" if latest.hash == applied.hash else "count as soon as it leads"
        self._tell(
            f"newer {latest.instance} {latest.hash}",
            error=f"the files of {latest.instance} were registered later, and {whose}; what is stored goes on",
            hint="give all instances the same files; SIGHUP, or a restart, registers those of this one anew",
        )

    def _tell(self, news: str, **fields: object) -> None:
        """The same refusal is told once, however often it is met."""
        if news not in self._told:
            self._told.add(news)
            self._events.emit("config_refused", **fields)


def way_out(name: str, definition: bytes | None) -> str:
    """How a file gets the name of an entry that is another's: an applied one would come back with the next apply."""
    try:
        owner = "" if definition is None else entry_from_definition(name, definition).owner
    except EntryInvalid:
        owner = ""
    label = owner.removeprefix("apply:")
    if label == owner:
        return f"beatd rm {shlex.quote(name)} gives the name to the file; or take it out of the file"
    again = f"beatd apply --owner {shlex.quote(label)} --prune"
    return f"take it out of what is applied and repeat {again}; or take it out of the file"


def _readable(name: str, definition: bytes | None) -> Entry | None:
    try:
        return None if definition is None else entry_from_definition(name, definition)
    except EntryInvalid:
        return None
