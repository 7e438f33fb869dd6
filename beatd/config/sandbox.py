"""Files read in a process of their own, within bounds: whatever is in them, the daemon's loop goes on.

Reading 20,000 entries takes seconds, and a hostile file could take all memory. The process is a new interpreter, not a
fork: a fork would keep what this process holds open, such as the lock on the private server's folder.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from beatd.config.problems import Problem
from beatd.core.entry_set import EntrySet
from beatd.core.watching import Watched
from beatd.errors import ConfigInvalid

CHILD: Final = "beatd.config.sandboxed"
LONGEST_LINE: Final = 1024 * 1024  # a definition has at most 128 kB, in JSON at most six times that
LINES_A_STEP: Final = 50  # less than a millisecond
MOST_LINES: Final = 2_000_000
KILLED_S: Final = 5.0
TELL: Final = 500  # characters of what a dying child said


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may use: seconds on the clock, seconds of CPU, bytes of address space."""

    wall_s: float = 60.0
    cpu_s: int = 30
    memory: int = 2 * 1024**3


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Read:
    """What was read; without settings and entries where there are errors. ``watched``: all that was looked at."""

    files: Sequence[str]
    settings: Mapping[str, Any] = field(repr=False)
    entries: EntrySet
    problems: Sequence[Problem]
    watched: Watched


async def read_apart(
    paths: Sequence[Path],
    flags: Mapping[str, str | None],
    env: Mapping[str, str],
    limits: Limits = DEFAULT_LIMITS,
) -> Read:
    """Reads files as load_settings does, in a process of their own, and takes the result over some entries at a time.

    Errors are among ``problems``, and then there are no settings and no entries. Raises ConfigInvalid when the process
    passed a bound or died, or could not be started.
    """
    try:
        process = await _start(env)
    except OSError as error:
        raise ConfigInvalid(f"no process to read the files in: {error.strerror}") from error
    request = {
        "paths": [str(path) for path in paths],
        "flags": dict(flags),
        "env": dict(env),  # not as its environment: nobody should find secrets there twice
        "cpu_s": limits.cpu_s,
        "memory": limits.memory,
    }
    try:
        async with asyncio.timeout(limits.wall_s):
            return await _conversation(process, json.dumps(request))
    except TimeoutError:
        raise ConfigInvalid(f"reading the files takes longer than {limits.wall_s:g} s", hint=_HINT) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):  # one that waits for a dead file system can't even be killed
            async with asyncio.timeout(KILLED_S):
                await process.wait()


async def _start(env: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        CHILD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**{name: env[name] for name in env if _INTERPRETER.fullmatch(name)}, "PYTHONPATH": _search_path(env)},
        limit=LONGEST_LINE,
        start_new_session=True,  # Ctrl-C is the daemon's business
    )


_Pipes = tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]
# What an interpreter needs to start where this one did.
_INTERPRETER: Final = re.compile(r"PYTHON.*|LD_.*|DYLD_.*|LC_.*|LANG|PATH|HOME|TMPDIR|TZ")
_HINT: Final = "beatd check tells what is in them"


def _search_path(env: Mapping[str, str]) -> str:
    """Where this very beatd is, so that the child is the same version, and never a module of the current folder."""
    home = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([home, *filter(os.path.isabs, env.get("PYTHONPATH", "").split(os.pathsep))])


async def _conversation(process: asyncio.subprocess.Process, request: str) -> Read:
    stdin, stdout, stderr = cast(_Pipes, (process.stdin, process.stdout, process.stderr))
    complaint = asyncio.create_task(_tail(stderr))
    try:
        with contextlib.suppress(ConnectionError):  # it died: its exit code says more
            stdin.write(request.encode())
            stdin.write_eof()
            await stdin.drain()
        read = await _result(stdout)
        code = await process.wait()
        if read is None or code != 0:
            raise ConfigInvalid(_death(code, await complaint), hint=_HINT)
        return read
    finally:
        complaint.cancel()


async def _result(stream: asyncio.StreamReader) -> Read | None:
    """What the child says, one JSON value a line; None when it stopped in the middle."""
    definitions: dict[str, str] = {}
    hashes: dict[str, str] = {}
    digests: dict[str, str | None] = {}
    patterns: list[tuple[str, str]] = []
    problems: list[Problem] = []
    lines = 0
    async for said in _lines(stream):
        lines += 1
        if lines % LINES_A_STEP == 0:
            await asyncio.sleep(0)
        match said:
            case {"entry": name, "definition": definition, "hash": found}:
                definitions[name], hashes[name] = definition, found
            case {"path": path, "digest": digest}:
                digests[path] = digest
            case {"folder": folder, "pattern": pattern}:
                patterns.append((folder, pattern))
            case {"problem": problem}:
                problems.append(Problem(**problem))
            case _:
                entries = EntrySet(definitions, hashes, said["hash"])
                return Read(said["files"], said["settings"], entries, problems, Watched(digests, patterns))
    return None


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    for _ in range(MOST_LINES):
        try:
            line = await stream.readline()
            if not line.endswith(b"\n"):
                return
            said = json.loads(line)
        except ValueError as error:  # too long, or no JSON
            raise ConfigInvalid("the process that reads the files answers with something else", hint=_HINT) from error
        yield said


async def _tail(stream: asyncio.StreamReader) -> str:
    """The end of what the child said on stderr; it is read to its end, so that the child never waits for us."""
    kept = b""
    while chunk := await stream.read(65536):
        kept = (kept + chunk)[-TELL:]
    return kept.decode(errors="replace").strip()


def _death(code: int, complaint: str) -> str:
    last = complaint.splitlines()[-1:] or [f"exit code {code}" if code >= 0 else f"signal {-code}"]
    if "MemoryError" in complaint:
        return "reading the files takes more memory than is allowed"
    if code == -signal.SIGXCPU:
        return "reading the files takes more CPU time than is allowed"
    return f"the process that reads the files died: {last[0]}"
