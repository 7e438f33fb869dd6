"""Reading a file or a pipe. A pipe that nobody writes into, or no longer, is not waited for without end."""

import os
import select
import stat
from pathlib import Path
from typing import Final

SILENT_S: Final = 10.0
PIECE: Final = 65_536


def is_pipe(path: Path) -> bool:
    """Whether reading this would wait for whoever writes to it."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def bytes_of(path: Path, at_most: int, silent_s: float = SILENT_S) -> bytes:
    """The first bytes of a file; of a pipe, all that is written into it until its writers have closed it.

    Raises OSError, a TimeoutError where nothing came for ``silent_s`` seconds.
    """
    if is_pipe(path):
        return _bytes_of_pipe(path, at_most, silent_s)
    with path.open("rb") as file:
        return file.read(at_most)


def _bytes_of_pipe(path: Path, at_most: int, silent_s: float) -> bytes:
    """Opened without waiting for a writer. Before the first byte, an end means that there is no writer yet."""
    found = bytearray()
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:  # noqa: PTH123  # a descriptor
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        while len(found) < at_most:
            piece = pipe.read(min(PIECE, at_most - len(found)))  # None: its writers have more to come
            if piece:
                found += piece
            elif (piece is not None and found) or _is_closed(waiting.poll(silent_s * 1000), silent_s):
                break
    return bytes(found)


def _is_closed(events: list[tuple[int, int]], silent_s: float) -> bool:
    """Whether what woke us was the end alone. Raises TimeoutError where nothing did."""
    if not events:
        raise TimeoutError(0, f"it is a pipe, and nothing came through it for {silent_s:g} s")
    return not events[0][1] & select.POLLIN
