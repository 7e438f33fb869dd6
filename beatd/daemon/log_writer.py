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
from typing import Final

MOST_LINES: Final = 10_000
MOST_BYTES: Final = 4 * 1024 * 1024
FLUSH_S: Final = 1.0  # at the end


class LineWriter:
    """Writes whole lines, in order. ``told_gap`` makes the line that tells how many were lost."""

    def __init__(self, fd: int, told_gap: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._told_gap = told_gap
        self._lines: deque[bytes | None] = deque()  # None: a gap
        self._size = 0
        self._gaps = 0  # among the lines
        self._lost = 0
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
            if len(self._lines) >= MOST_LINES or self._size + len(line) > MOST_BYTES:
                self._lost += 1
                if not self._lines or self._lines[-1] is not None:
                    self._queue(None)
                return
            if self._lost and not self._gaps:
                self._queue(None)
            self._queue(line)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Waits until all is written, so long at most; whether it is."""
        if self._thread is None or not self._thread.is_alive():
            return not self._lines
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines, seconds)

    def _queue(self, line: bytes | None) -> None:
        self._lines.append(line)
        self._size += len(line or b"")
        self._gaps += line is None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                line, lost = self._lines[0], self._lost
            self._write_one(line, lost)
            with self._changed:
                self._lines.popleft()
                self._size -= len(line or b"")
                self._gaps -= line is None
                self._changed.notify_all()

    def _write_one(self, line: bytes | None, lost: int) -> None:
        """A line, or how many were lost; what can't be written is one more."""
        if line is None and not lost:
            return
        try:
            self._write(self._told_gap(lost) if line is None else line)
        except OSError:
            if line is not None:
                with self._changed:
                    self._lost += 1
        else:
            if line is None:
                with self._changed:
                    self._lost -= lost

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
