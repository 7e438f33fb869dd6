"""File entries: the leader brings what is stored in line with its own files, as one difference, in steps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from beatd.core.difference import Difference, definition_hash, difference, shrinks_too_much
from beatd.core.edit import ABSENT, ANY, PutItem, put_item, runs_left
from beatd.core.entry import Entry, entry_from_definition
from beatd.daemon.ports import EventSink
from beatd.errors import EntryInvalid, Refused

PAGE: Final = 500
RECHECK_S: Final = 2.0  # is what was applied still there? A FLUSHALL may have come between entries and their note
REFUSED_S: Final = 60.0


class FilePort(Protocol):
    """What is stored of file entries. Every call raises Unreachable without an answer, Refused on a conflict."""

    async def applied(self) -> str | None:
        """The hash of the files that were applied last."""

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

    async def note_applied(self, files_hash: str, by: str) -> None:
        """Writes down which files are applied; last, so that a crash repeats the difference."""

    async def close(self) -> None:
        """Closes the connection."""


class FileEntries:
    """The entries of this daemon's own files, or None when it was started without one."""

    def __init__(
        self,
        open_port: Callable[[], Awaitable[FilePort]],
        files: "LoadedFiles | None",
        events: EventSink,
        *,
        instance: str,
        new_id: Callable[[], str],
        allow_shrink: bool,
    ) -> None:
        self._open_port = open_port
        self._files = files
        self._events = events
        self._instance = instance
        self._new_id = new_id
        self._allow_shrink = allow_shrink
        self._names = frozenset(entry.name for entry in files.entries) if files is not None else frozenset()
        self._held: frozenset[str] = frozenset()  # names of the files that the API holds
        self._told: set[str] = set()

    def holds(self, name: str) -> bool:
        """Whether the files have an entry of that name."""
        return name in self._names

    async def keep_applied(self) -> None:
        """Applies the files, and again whenever entries of theirs are gone. Raises Unreachable without an answer."""
        if self._files is None:
            await asyncio.Event().wait()
            return
        port = await self._open_port()
        try:
            while True:
                agrees = await self._apply(port, self._files)
                await asyncio.sleep(RECHECK_S if agrees else REFUSED_S)
        finally:
            await port.close()

    async def _apply(self, port: FilePort, files: "LoadedFiles") -> bool:
        """Whether what is stored agrees with the files now."""
        if await port.applied() == files.hash and not await self._lacks(port, files.entries):
            return True
        while True:
            try:
                changes = await self._difference(port, files.entries)
                await port.put([item async for item in self._puts(port, changes.puts)])
                await port.remove(changes.removes)
            except Refused as error:
                self._tell(error.message, error=error.message, hint=error.hint)
                return False
            await port.note_applied(files.hash, self._instance)
            if changes.empty:
                return True
            self._events.emit("config_reloaded", put=len(changes.puts), removed=len(changes.removes))
            # Once more, until nothing differs: had the dataset gone back before the note was written, the note would
            # stand there without the edits.

    async def _lacks(self, port: FilePort, entries: Sequence[Entry]) -> bool:
        """Whether entries of the files are missing, but for names that the API still holds."""
        held = await port.existing(sorted(self._held)) if self._held else {}
        return len(held) < len(self._held) or await port.count() < len(entries) - len(self._held)

    def _tell(self, news: str, **fields: object) -> None:
        """The same refusal is told once, however often it is met."""
        if news not in self._told:
            self._told.add(news)
            self._events.emit("config_refused", **fields)

    async def _difference(self, port: FilePort, entries: Sequence[Entry]) -> Difference:
        stored = await port.stored()
        new = [entry.name for entry in entries if entry.name not in stored]
        changes = difference(entries, stored, frozenset(await port.existing(new)))
        self._held = frozenset(changes.conflicts)
        for name in changes.conflicts:
            self._tell(f"held {name}", entry=name, error="owner_conflict: the name is held by the API")
        if shrinks_too_much(len(stored), len(changes.removes)) and not self._allow_shrink:
            raise Refused(
                f"the file takes away {len(changes.removes)} of {len(stored)} entries; nothing was changed",
                hint="if that is meant, start with --allow-shrink",
            )
        return changes

    async def _puts(self, port: FilePort, entries: Sequence[Entry]) -> AsyncIterator[PutItem]:
        for start in range(0, len(entries), PAGE):
            part = entries[start : start + PAGE]
            before = await port.existing([entry.name for entry in part])
            for entry in part:
                old, left = before.get(entry.name, (None, None))
                yield put_item(
                    entry,
                    self._new_id(),
                    expected=ANY if entry.name in before else ABSENT,
                    left=runs_left(_readable(entry.name, old), entry, left),
                    file_hash=definition_hash(entry),
                )
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """The entries of all files of this daemon, and the hash of what was read."""

    entries: Sequence[Entry]
    hash: str


def _readable(name: str, definition: bytes | None) -> Entry | None:
    try:
        return None if definition is None else entry_from_definition(name, definition)
    except EntryInvalid:
        return None
