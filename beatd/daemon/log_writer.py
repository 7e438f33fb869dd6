"""Lines to a file descriptor by a thread of its own: nobody who logs ever waits for whoever reads.

A pipe that nobody empties, a full disk or a closed end cost lines, never the daemon. They are counted, and the count is
told where the gap is as soon as lines flow again.
"""

import logging
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

MOST_LINES: Final = 10_000
MOST_BYTES: Final = 4 * 1024 * 1024
FLUSH_S: Final = 1.0  # at the end


@dataclass(slots=True)
class _Gap:
    """Lines that found no room, in the place where they would be."""

    count: int = 1


class LineWriter:
    """Writes whole lines, in order. ``told_gap`` makes the line that tells how many were lost."""

    def __init__(self, fd: int, told_gap: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._told_gap = told_gap
        self._waiting: deque[bytes | _Gap] = deque()
        self._size = 0  # bytes
        self._busy = False
        self._lost = 0  # and not yet told: the thread's own
        self._torn = False  # a line was written in part, and then no more
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread. It takes no signals: those are for the main thread, whatever that does with them."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def put(self, line: bytes) -> None:
        """Takes a line, with its end. Never waits; of too many lines the newest are lost."""
        with self._changed:
            if len(self._waiting) + self._busy < MOST_LINES and self._size + len(line) <= MOST_BYTES:
                self._waiting.append(line)
                self._size += len(line)
            elif self._waiting and isinstance(self._waiting[-1], _Gap):
                self._waiting[-1].count += 1
            else:
                self._waiting.append(_Gap())
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Waits until all is written, so long at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                item, self._busy = self._waiting.popleft(), True
                self._size -= 0 if isinstance(item, _Gap) else len(item)
            if isinstance(item, _Gap):
                self._lost += item.count
                self._write_all()
            else:
                self._write_all(item)

    def _write_all(self, *lines: bytes) -> None:
        """What was lost before, and a line; if that can't be written it is one more."""
        try:
            if self._lost:
                self._write(self._told_gap(self._lost))
                self._lost = 0
            for line in lines:
                self._write(line)
        except OSError:
            self._lost += len(lines)

    def _write(self, line: bytes) -> None:
        rest = b"\n" + line if self._torn else line
        while rest:
            try:
                written = os.write(self._fd, rest)
            except BlockingIOError:  # whoever gave us this pipe made it so
                select.select([], [self._fd], [])
                continue
            rest = rest[written:]
            self._torn = bool(rest)


def flush_logs(seconds: float = FLUSH_S) -> None:
    """For those that end the process on the spot: waits until all that was logged is written, so long at most."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogHandler):
            handler.flush_within(seconds)


class LogHandler(logging.Handler):
    """Formats where something is logged, writes elsewhere. ``prefix`` gives what stands before a line of a level."""

    def __init__(self, fd: int, formatter: logging.Formatter, prefix: Callable[[int], str] = lambda level: "") -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._prefix = prefix
        self._writer = LineWriter(fd, self._gap)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record. Never raises and never waits."""
        with suppress(Exception):  # a log that fails must not be what ends a daemon
            self._writer.put(self._line(record))

    def flush(self) -> None:
        """Waits until all is written, a second at most."""
        self.flush_within(FLUSH_S)

    def flush_within(self, seconds: float) -> None:
        """Waits until all is written, so long at most."""
        self._writer.flush(seconds)

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self._prefix(record.levelno)}{self.format(record)}\n".encode("utf-8", "backslashreplace")

    def _gap(self, count: int) -> bytes:
        record = logging.LogRecord("beatd", logging.WARNING, "", 0, "", None, None)
        record.created = time.time()
        record.event, record.fields = "lines_lost", {"count": count}
        return self._line(record)
