"""The file watch: files that change are read again, by themselves or on SIGHUP, on leaders and standbys alike.

Nothing is taken that was seen once only: what was read must still be there half a second after it was first met. An
unusable file changes nothing but ``error``: the last good one goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

from beatd.core.watching import Digests, Reading, Watched, second_look_at
from beatd.daemon.own_files import LoadedFiles, OwnFiles
from beatd.daemon.ports import Clock, EventSink
from beatd.daemon.together import wait_for_event
from beatd.errors import BeatdError

POLL_S: Final = 0.5
POLL_SHARE: Final = 0.05  # of the time, at most, goes into looking: a pattern may reach over a large tree
RETRY_S: Final = (1.0, 300.0)  # a reading that came to no end is tried again
MOST_PROBLEMS: Final = 20
LOG: Final = logging.getLogger("beatd")


class FilesOnDisk(Protocol):
    """The files of this instance."""

    def found(self) -> bool:
        """Whether there is any file to read."""

    async def look(self, watched: Watched) -> Digests:
        """As a reading would find them now, without reading them. Raises ConfigInvalid when that came to no end."""

    async def read(self) -> Reading:
        """Reads them anew. Raises ConfigInvalid when that came to no end."""


class FileWatch:
    """Keeps OwnFiles up to date. ``settings`` are those that this daemon runs with, by their names in the file.

    ``reloading``: a block around each reading that somebody asked for.
    """

    def __init__(
        self,
        disk: FilesOnDisk,
        own: OwnFiles,
        clock: Clock,
        events: EventSink,
        *,
        watched: Watched,
        settings: Mapping[str, Any],
        leads: Callable[[], bool],
        announce: Callable[[], None],
        allow_shrink: bool,
        reloading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._disk = disk
        self._own = own
        self._clock = clock
        self._events = events
        self._watched = watched
        self._settings = settings
        self._leads = leads
        self._announce = announce
        self._allow_shrink = allow_shrink
        self._reloading = reloading
        self._asked = asyncio.Event()
        self._rest = POLL_S
        self._put_off: Digests | None = None  # what gave no reading that counts, to be tried again at _retry_at
        self._retry_at = 0.0
        self._retry_s = 0.0
        self._blind = False  # the last look came to no end: what was told of that is to be taken back
        self._restart = ""  # settings that were told to need a restart
        self._refused = ""  # what was told last of unusable files

    def ask(self) -> None:
        """Somebody says that the files are ready (SIGHUP), and that they may take away what they like."""
        self._asked.set()

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            if await wait_for_event(self._asked, self._rest):
                await self._obey()
            else:
                await self._look()

    async def _obey(self) -> None:
        self._refused = ""  # told again to whoever asks
        with self._reloading():
            if not self._disk.found():
                LOG.info("no schedules.yaml was given or found: what is stored goes on")
            elif (reading := await self._read()) is not None:
                self._take(reading, asked=True)

    async def _look(self) -> None:
        seen_at = self._clock.monotonic()
        try:
            seen = await self._disk.look(self._watched)
        except BeatdError as error:
            self._blind = True
            self._refuse([error.message], error.hint)
            return
        self._rest = max(POLL_S, (self._clock.monotonic() - seen_at) / POLL_SHARE)
        if seen == self._watched.digests and not self._blind:
            self._put_off = None
        elif seen != self._put_off or self._clock.monotonic() >= self._retry_at:
            await self._look_twice(seen, seen_at)

    async def _look_twice(self, seen: Digests, seen_at: float) -> None:
        reading = await self._read()
        if reading is None:
            self._try_again_later(seen)
            return
        at = second_look_at(seen, seen_at, reading.watched.digests, self._clock.monotonic())
        if await wait_for_event(self._asked, at - self._clock.monotonic()):
            await self._obey()
        elif await self._still(reading.watched):
            self._take(reading, asked=False)
        else:
            self._try_again_later(seen)

    async def _still(self, watched: Watched) -> bool:
        """Whether the files are as they were read."""
        try:
            return await self._disk.look(watched) == watched.digests
        except BeatdError:  # told by the next look
            return False

    def _try_again_later(self, seen: Digests) -> None:
        """The same once more is tried ever more rarely, something else at once."""
        self._retry_s = min(RETRY_S[1], self._retry_s * 2) if seen == self._put_off else RETRY_S[0]
        self._put_off, self._retry_at = seen, self._clock.monotonic() + self._retry_s

    async def _read(self) -> Reading | None:
        try:
            return await self._disk.read()
        except BeatdError as error:
            self._refuse([error.message], error.hint)
            return None

    def _take(self, reading: Reading, *, asked: bool) -> None:
        self._watched, self._put_off, self._blind = reading.watched, None, False
        if reading.errors:
            self._refuse(reading.errors, reading.hint)
            return
        before, mended = self._own.current, not self._own.config_ok
        restart = ", ".join(name for name, value in reading.settings.items() if value != self._settings[name])
        news = mended or restart != self._restart or before is None or before.entries.hash != reading.entries.hash
        self._own.error, self._restart, self._refused = None, restart, ""
        if not news:
            LOG.debug("the files mean what they meant: nothing is changed")
        if news or asked:
            self._register(reading, restart, before, news=news, asked=asked)

    def _register(self, reading: Reading, restart: str, before: LoadedFiles | None, *, news: bool, asked: bool) -> None:
        same = before is not None and before.entries.hash == reading.entries.hash
        told: dict[str, Any] = {
            "entries": len(reading.entries),
            "warnings": reading.warnings or None,
            "needs_restart": restart or None,
        }
        at = before.loaded_at if before is not None and same and not asked else self._clock.monotonic()
        may_shrink = asked or self._allow_shrink or (before is not None and same and before.may_shrink)
        leads = self._leads()
        self._own.take(LoadedFiles(reading.entries, at, may_shrink, told if news and leads else None))
        if news and not leads:
            self._events.emit("config_reloaded", **told)
        self._announce()

    def _refuse(self, errors: Sequence[str], hint: str | None) -> None:
        """Tells every problem once, as long as it is the same; the last good files go on."""
        shown = list(errors[:MOST_PROBLEMS])
        if len(errors) > MOST_PROBLEMS:
            shown.append(f"and {len(errors) - MOST_PROBLEMS} more: beatd check lists them all")
        before, self._refused = self._refused, "; ".join(shown)
        self._own.error = self._refused
        if self._refused != before:
            self._events.emit("config_refused", problems=len(errors), error=self._refused, hint=hint)
            self._announce()
