"""A file as checked text: UTF-8, of bounded size, without characters that no text file has."""

import glob
import hashlib
import os
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from beatd.config.pipes import bytes_of
from beatd.config.problems import Problem, problem_at
from beatd.core.watching import NOT_READ

LARGEST_FILE: Final = 16 * 1024 * 1024
STDIN: Final = Path("-")
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML counts as the end of a line
NEWLINE: Final = re.compile("\r?\n")  # what JSON and NDJSON do: their texts may hold the others
_ODD: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_BOM_8: Final = b"\xef\xbb\xbf"
_BOMS_16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(eq=False)
class Source:
    """The text of one file and the name under which problems show it."""

    name: str
    path: Path
    text: str = field(repr=False)
    digest: str | None = None
    line_end: "re.Pattern[str]" = _BREAK

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends, as the form of the file counts them."""
        return self.line_end.split(self.text)

    def problem(self, line: int, column: int, code: str, message: str, hint: str | None = None) -> Problem:
        """A problem at a line and column that count from 0, as YAML's marks do."""
        text = self.lines[line] if line < len(self.lines) else ""
        return problem_at(self.name, line + 1, column + 1, code, message, hint, text)


class Unreadable(Exception):  # not an error of the program: carries the problem to the one place that tells
    """A file that gives no text at all. ``digest`` is that of its content, None where there was none to be had."""

    def __init__(self, problem: Problem, digest: str | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.digest = digest


def read_source(path: Path, largest: int = LARGEST_FILE) -> Source:
    """Reads a file of so many bytes at most, or standard input for ``-``. Raises Unreadable."""
    name = "<stdin>" if path == STDIN else str(path)
    raw = _bytes(name, path, largest)
    digest = content_digest(raw)
    try:
        return Source(name, path, _text(name, raw), digest)
    except Unreadable as error:
        error.digest = digest
        raise


def content_digest(raw: bytes) -> str:
    """The hash by which a changed file is told from the one that was read; of at most LARGEST_FILE + 1 bytes."""
    return hashlib.sha256(raw).hexdigest()[:32]


def stat_of(path: Path) -> os.stat_result | None:
    """What the system says of a path, or None where it says nothing."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def is_file(path: Path) -> bool:
    """Whether there is a regular file. Path.is_file raises in a folder that we may not enter."""
    found = stat_of(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def digest_of(path: Path, read: Callable[[], str | None]) -> str | None:
    """The hash of a path's content as ``read`` gives it; NOT_READ for a folder or a pipe, None where nothing is."""
    found = stat_of(path)
    if found is not None and not stat.S_ISREG(found.st_mode):
        return NOT_READ
    return None if found is None else read()


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """The files that an include with a pattern means, in their order."""
    # Path.glob refuses an absolute pattern.
    found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
    return [folder / one for one in found if is_file(folder / one)]


def _bytes(name: str, path: Path, largest: int) -> bytes:
    try:
        raw = sys.stdin.buffer.read(largest + 1) if path == STDIN else bytes_of(path, largest + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise Unreadable(Problem(name, None, None, "E001", f"can't be read: {reason}")) from error
    if len(raw) > largest:
        limit = largest // 1024 // 1024
        hint = "spread the entries over several files: include takes them all"
        raise Unreadable(Problem(name, None, None, "E002", f"has more than {limit} MB", hint), content_digest(raw))
    return raw


def _text(name: str, raw: bytes) -> str:
    if raw.startswith(_BOMS_16):
        hint = "save it as UTF-8"
        raise Unreadable(Problem(name, 1, 1, "E003", "begins with the mark of UTF-16; UTF-8 is accepted", hint))
    raw = raw.removeprefix(_BOM_8)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        found = f"the byte 0x{raw[error.start]:02x} is no UTF-8"
        raise Unreadable(_at_end_of(name, before, "E003", found, "save the file as UTF-8")) from error
    odd = _ODD.search(text)
    if odd:
        found = f"found the character U+{ord(odd[0]):04X}, which no text file has"
        hint = "remove it; in double quotes it can be written as an escape"
        raise Unreadable(_at_end_of(name, text[: odd.start()], "E004", found, hint))
    return text


def _at_end_of(name: str, before: str, code: str, message: str, hint: str) -> Problem:
    lines = _BREAK.split(before)
    return Problem(name, len(lines), len(lines[-1]) + 1, code, message, hint)
