"""The files of this instance: what was last read well, when that was registered, and whether they are good now."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beatd.core.entry_set import EntrySet
from beatd.core.registration import Applied, Registered
from beatd.daemon.ports import Clock, EventSink


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """Entries as read from files at an instant (monotonic seconds).

    ``may_shrink``: somebody said that they may take away more than half. ``reload``: fields of an event that tells of
    them once they are applied, None when nobody waits for that.
    """

    entries: EntrySet
    loaded_at: float
    may_shrink: bool = False
    reload: Mapping[str, Any] | None = None


class OwnFiles:
    """Shared by the watch, which reads, the leader, which applies, and the elector, which announces."""

    def __init__(self, files: LoadedFiles | None, instance: str, clock: Clock, events: EventSink) -> None:
        self.current = files
        self.instance = instance
        self.changed = asyncio.Event()  # there is something else to apply
        self.error: str | None = None  # why the files as they are now can't be used
        self.held: tuple[str, ...] = ()  # names in them that others hold, as the leader of the last term found
        self._clock = clock
        self._events = events
        self._registered: tuple[float, int, int] | None = None  # loaded at, the clock's steps until then, UTC ms
        self._applied = ""  # the hash of ours, once it was seen to be applied
        self._told_of = ("", "")  # hashes of ours and of the stored ones, of which was told that they differ

    @property
    def config_ok(self) -> bool:
        """Whether the files as they are now could be used."""
        return self.error is None

    def take(self, files: LoadedFiles) -> None:
        """New entries to be applied."""
        self.current = files
        self.changed.set()

    def registered(self) -> Registered | None:
        """Our own registration; None without files. The server's clock must have been seen."""
        files = self.current
        return None if files is None else Registered(self.instance, files.entries.hash, self.registered_at(files))

    def registered_at(self, files: LoadedFiles) -> int:
        """When files of ours were loaded, UTC ms by Redis; the same until its clock is set."""
        loaded_at, steps = files.loaded_at, self._clock.stepped
        if self._registered is None or self._registered[:2] != (loaded_at, steps):
            at = self._clock.now_ms() - round((self._clock.monotonic() - loaded_at) * 1000)
            if self._registered is not None and self._registered[0] == loaded_at:
                at = min(at, self._registered[2])  # set forward: it stays before what is registered from now on
            self._registered = loaded_at, steps, at
        return self._registered[2]

    def saw(self, applied: Applied, *, leads: bool) -> None:
        """Takes note of whose files are stored; tells when they were ours and are another's now, and on a standby when
        they never were.
        """
        if self.current is None or not applied.hash:
            return
        own = self.current.entries.hash
        if applied.hash == own:
            self._applied = own
        elif self._applied == own:
            self._applied, self._told_of = "", (own, applied.hash)
            self._events.emit("file_replaced", by=applied.by)
        elif not leads and self._told_of != (own, applied.hash):
            self._told_of = own, applied.hash
            later = applied.at < self.registered_at(self.current)
            then = "the ones here take their place once this instance leads" if later else "they stay"
            self._events.emit(
                "files_differ",
                by=applied.by,
                error=f"{applied.by} has stored the entries of other files; {then}",
                hint="give all instances the same files; two projects on one Redis need a namespace each",
            )
