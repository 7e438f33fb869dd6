"""Lines by a thread of its own: nobody who logs waits, what is lost is counted and told where it is missing."""

import contextlib
import errno
import logging
import os
import resource
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from beatd.daemon import log_writer
from beatd.daemon.log_lines import JsonLines
from beatd.daemon.log_writer import MOST_LINES, LineWriter, LogHandler

PATIENCE_S = 5.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError as error:
            assert error.errno == errno.EBADF  # the test closed it


def writer_to(fd: int) -> LineWriter:
    writer = LineWriter(fd, lambda count: b"%d lost\n" % count)
    writer.start()
    return writer


def fill(fd: int) -> int:
    """Writes into a pipe until it takes no more; gives how many bytes that were."""
    os.set_blocking(fd, False)
    written = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            written += os.write(fd, b"." * 4096)
    os.set_blocking(fd, True)
    return written


def read_lines(fd: int, last: bytes) -> list[bytes]:
    """All lines up to the one that is waited for."""
    said = b""
    while not said.endswith(last + b"\n"):
        assert select.select([fd], [], [], PATIENCE_S)[0], said[-200:]
        said += os.read(fd, 65536)
    return said.splitlines()


def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    writer = writer_to(pipe[1])
    for number in range(1_000):
        writer.put(b"%d\n" % number)
    assert read_lines(pipe[0], b"999") == [b"%d" % number for number in range(1_000)]
    assert writer.flush(PATIENCE_S)


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_told_in_its_place(pipe: tuple[int, int]) -> None:
    full = fill(pipe[1])
    writer = writer_to(pipe[1])
    for number in range(3 * MOST_LINES):
        writer.put(b"%06d %s\n" % (number, b"x" * 50))
    assert not writer.flush(0.05)
    assert len(os.read(pipe[0], full)) == full
    *before, told = read_lines(pipe[0], b"%d lost" % (2 * MOST_LINES))
    assert told == b"%d lost" % (2 * MOST_LINES)
    assert [int(line.split()[0]) for line in before] == list(range(MOST_LINES))
    assert writer.flush(PATIENCE_S)
    writer.put(b"after\n")
    assert read_lines(pipe[0], b"after") == [b"after"]


def test_a_flood_of_large_lines_is_bounded_in_bytes(pipe: tuple[int, int]) -> None:
    writer = writer_to(pipe[1])
    for _ in range(100):
        writer.put(b"x" * 200_000 + b"\n")
    assert writer._size <= log_writer.MOST_BYTES


def test_a_full_disk_costs_lines_and_leaves_no_torn_one_behind(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = writer_to(fd)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12, before[1]))
        for line in (b"first\n", b"second line\n", b"third\n"):
            writer.put(line)
            assert writer.flush(PATIENCE_S)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.put(b"fourth\n")
        assert writer.flush(PATIENCE_S)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
        os.close(fd)
    assert path.read_bytes().splitlines() == [b"first", b"second", b"2 lost", b"fourth"]


def test_a_reader_that_has_left_ends_nothing(pipe: tuple[int, int]) -> None:
    writer = writer_to(pipe[1])
    os.close(pipe[0])
    for _ in range(100):
        writer.put(b"x\n")
    assert writer.flush(PATIENCE_S)
    assert writer._lost == 100


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = writer_to(pipe[1])
    for number in range(5_000):
        writer.put(b"%06d %s\n" % (number, b"x" * 50))
    writer.put(b"end\n")
    assert len(read_lines(pipe[0], b"end")) == 5_001


def test_the_thread_takes_no_signals(pipe: tuple[int, int]) -> None:
    """Else one that the main thread holds back would end the process by way of this thread."""
    before = threading.active_count()
    writer = writer_to(pipe[1])
    assert threading.active_count() == before + 1
    assert writer._thread is not None
    status = Path(f"/proc/self/task/{writer._thread.native_id}/status")
    if status.exists():  # Linux
        blocked = int(
            next(line for line in status.read_text().splitlines() if line.startswith("SigBlk")).split()[1], 16
        )
        assert blocked >> (signal.SIGTERM - 1) & 1
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_handler_tells_lost_lines_as_an_event_and_levels_to_the_journal(pipe: tuple[int, int]) -> None:
    handler = LogHandler(pipe[1], JsonLines(str), lambda level: f"<{level}>")
    handler._writer._lost = 3
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "said", None, None))
    handler.flush()
    gap, said = os.read(pipe[0], 65536).decode().splitlines()
    assert gap.startswith("<30>{")
    assert '"event": "lines_lost", "count": 3}' in gap
    assert said.startswith("<20>{")
