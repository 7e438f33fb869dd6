"""Pipes in the place of files: read to their end, and not waited for without end."""

import os
import threading
import time
from pathlib import Path

import pytest

from beatd.config.pipes import bytes_of, is_pipe

TEXT = b"schedules: {}\n" * 20_000  # more than a pipe holds


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_pipe_that_nobody_writes_into_is_given_up(pipe: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="a pipe, and nothing came through it"):
        bytes_of(pipe, 100, silent_s=0.1)
    assert time.monotonic() - began < 5


def test_a_writer_that_falls_silent_is_given_up(pipe: Path) -> None:
    both = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # a writer that never closes it
    try:
        os.write(both, b"schedules:")
        with pytest.raises(TimeoutError):
            bytes_of(pipe, 100, silent_s=0.1)
    finally:
        os.close(both)


def test_what_a_writer_brings_later_and_in_pieces_is_read_to_its_end(pipe: Path) -> None:
    writer = threading.Thread(target=pipe.write_bytes, args=(TEXT,))
    writer.start()
    try:
        assert bytes_of(pipe, len(TEXT) + 1) == TEXT
    finally:
        writer.join()


def test_no_more_is_read_than_was_asked_for(pipe: Path) -> None:
    both = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(both, b"0123456789")
        assert bytes_of(pipe, 4) == b"0123"
    finally:
        os.close(both)


def test_what_a_writer_left_in_a_pipe_before_it_went_is_read_at_once() -> None:
    """As a shell's <(command) gives it."""
    here, there = os.pipe()
    try:
        os.write(there, b"all")
        os.close(there)
        assert is_pipe(Path(f"/dev/fd/{here}"))
        assert bytes_of(Path(f"/dev/fd/{here}"), 100) == b"all"
    finally:
        os.close(here)
