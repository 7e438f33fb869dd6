"""The secrets this process was given, and its command line as other users of the host see it."""

import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from beatd.core.masking import Secrets

KNOWN: Final = Secrets()
VARIABLES: Final = ("BEATD_REDIS_URL", "BEATD_BROKER_URL")
FLAGS: Final = ("--redis", "--broker")
_ARG_START: Final = 45  # of the fields behind the name in /proc/self/stat, whose name may hold blanks


def learn_secrets(words: Sequence[str], env: Mapping[str, str]) -> None:
    """Takes what flags and variables say, before anything can be printed."""
    for name in VARIABLES:
        _learn(env.get(name) or "")
    for word in _given(words):
        _learn(word)


def _learn(word: str) -> None:
    """One URL, or several of one broker."""
    for url in filter(None, word.split(";")):
        KNOWN.learn(url.strip())


def _given(words: Sequence[str]) -> list[str]:
    behind = [after for before, after in itertools.pairwise(words) if before in FLAGS]
    return behind + [word.partition("=")[2] for word in words if word.partition("=")[0] in FLAGS]


def hide_command_line() -> None:
    """Takes secrets out of the command line that every user of the host may read (`ps`, /proc/PID/cmdline).

    Linux only: the words lie in this process's own memory. Where that fails, all goes on.
    """
    if not _clean(sys.argv):
        with suppress(OSError, ValueError, IndexError):
            _overwrite()


def command_line_is_clean() -> bool:
    """Whether others see nothing secret there now."""
    if _clean(sys.argv):
        return True
    with suppress(OSError):
        return _clean(os.fsdecode(Path("/proc/self/cmdline").read_bytes()).split("\0"))
    return False


def _clean(words: Sequence[str]) -> bool:
    return all(KNOWN.hide(word) == word for word in words)


def _overwrite() -> None:
    """Masked words in place of the true ones. What is left over is filled with zeros, so no length is told either."""
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123  # no path of a file, but a question
        fields = file.read().rpartition(b")")[2].split()
    start, end = (int(number) for number in fields[_ARG_START : _ARG_START + 2])
    with open("/proc/self/mem", "r+b", buffering=0) as memory:  # noqa: PTH123  # as above
        memory.seek(start)
        words = memory.read(end - start).split(b"\0")
        shown = b"\0".join(os.fsencode(KNOWN.hide(os.fsdecode(word))) for word in words)
        memory.seek(start)
        memory.write(shown[: end - start].ljust(end - start, b"\0"))
