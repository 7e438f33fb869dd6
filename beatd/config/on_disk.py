"""The files of a daemon: looked at in a thread, read in a process of their own. Neither holds the loop."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from beatd.config.find import find_files
from beatd.config.look import Looker
from beatd.config.pipes import is_pipe
from beatd.config.problems import errors_of
from beatd.config.sandbox import read_apart
from beatd.config.settings import SETTINGS, plain_value, secrets_of_setting
from beatd.config.source import STDIN
from beatd.core.watching import Digests, Reading, Watched
from beatd.errors import ConfigInvalid

LONGEST_LOOK_S: Final = 30.0


class ConfigOnDisk:
    """Fits daemon/watch.FilesOnDisk. ``paths`` are those found at the start; without any they are looked for again.

    ``learn`` hears of every setting that may hold a secret, before anything is told of the files. ``look_s``: how many
    seconds a look may take; a file system that is gone gives no answer for ever.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        flags: Mapping[str, str | None],
        env: Mapping[str, str],
        learn: Callable[[str | None], None] = lambda secret: None,
        *,
        looker: Looker | None = None,
        look_s: float = LONGEST_LOOK_S,
    ) -> None:
        self._learn = learn
        self._paths = list(paths)
        self._flags = dict(flags)
        self._env = dict(env)
        self._looker = looker or Looker()
        self._look_s = look_s
        self._looking: asyncio.Future[Digests] | None = None  # a look that is under way, perhaps for ever

    def found(self) -> bool:
        """Whether there is any file to read."""
        self._paths = self._paths or find_files([], self._env)
        return bool(self._paths)

    async def look(self, watched: Watched) -> Digests:
        """As a reading would find the files now. Raises ConfigInvalid when that comes to no end; there is never more
        than one look under way.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._looker.look, watched))
        done, _ = await asyncio.wait([self._looking], timeout=self._look_s)
        if not done:
            raise ConfigInvalid(
                f"the files can't be looked at: no answer in {self._look_s:g} s", hint="is their file system there?"
            )
        return self._looking.result()

    async def read(self) -> Reading:
        """Reads the files anew. Raises ConfigInvalid when that came to no end."""
        if STDIN in self._paths:
            raise ConfigInvalid("the configuration came from standard input, which can't be read again")
        if (pipe := await self._first_pipe()) is not None:
            raise ConfigInvalid(f"{pipe} is a pipe, which can't be read again", hint="put a file in its place")
        read = await read_apart(self._paths, self._flags, self._env)
        for setting in SETTINGS:
            for secret in secrets_of_setting(setting, read.settings.get(setting.name)):
                self._learn(secret)
        errors = errors_of(read.problems)
        told = [f"{problem.place}: {problem.code} {problem.message}" for problem in errors]
        hint = errors[0].hint if errors else None
        warnings = len(read.problems) - len(errors)
        return Reading(read.watched, told, warnings, kept_settings(read.settings), read.entries, hint)

    async def _first_pipe(self) -> Path | None:
        try:
            async with asyncio.timeout(self._look_s):
                return await asyncio.to_thread(lambda: next(filter(is_pipe, self._paths), None))
        except TimeoutError:  # the reading has bounds of its own
            return None


def kept_settings(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those settings that a file can give, by their names there, in JSON's types: all that a start keeps for good."""
    found = {
        setting.key: plain_value(setting, values[setting.name])
        for setting in SETTINGS
        if setting.key and setting.name in values
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain
