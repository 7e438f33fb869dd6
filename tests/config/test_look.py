"""Looking at files: a look finds what a reading finds, and whatever changed since."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from beatd.config.load import load_files
from beatd.config.look import Looker
from beatd.core.watching import NOT_READ, Watched

ENTRY = "schedules: {%s: {task: t, every: 5s}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "root.yaml").write_text("include: [one.yaml, 'more/*.yaml']\n" + ENTRY % "root")
    (tmp_path / "one.yaml").write_text(ENTRY % "one")
    (tmp_path / "more" / "a.yaml").write_text(ENTRY % "a")
    return tmp_path


def watched(folder: Path) -> Watched:
    return load_files([folder / "root.yaml"], {}).watched


def spoil(folder: Path) -> None:
    """Whatever a reading may stumble over."""
    (folder / "more" / "folder.yaml").mkdir()
    (folder / "more" / "gone.yaml").symlink_to("nowhere")
    (folder / "more" / "twice.yaml").symlink_to("../one.yaml")
    (folder / "more" / "odd.yaml").write_bytes(b"\xff\xfe")
    (folder / "more" / "wrong.yaml").write_text("schedules: [")
    (folder / "root.yaml").write_text("include: [one.yaml, more, not.yaml, 'more/*.yaml', '*/none-*']\nx: 1")


@pytest.mark.parametrize("before", [lambda folder: None, spoil])
def test_a_look_finds_what_a_reading_found(folder: Path, before: Callable[[Path], None]) -> None:
    before(folder)
    read = watched(folder)
    looker = Looker()
    assert looker.look(read) == read.digests
    assert looker.look(read) == read.digests


def test_a_pipe_and_a_folder_are_there_and_that_is_all(tmp_path: Path) -> None:
    (tmp_path / "root.yaml").write_text("include: [folder]")
    (tmp_path / "folder").mkdir()
    read = watched(tmp_path)
    assert read.digests[str(tmp_path / "folder")] == NOT_READ
    assert Looker().look(read) == read.digests


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "root.yaml").write_text(ENTRY % "other"),
        lambda folder: (folder / "one.yaml").write_text(ENTRY % "two"),
        lambda folder: (folder / "one.yaml").unlink(),
        lambda folder: (folder / "more" / "b.yaml").write_text(ENTRY % "b"),
        lambda folder: (folder / "more" / "a.yaml").unlink(),
        lambda folder: (folder / "more" / "a.yaml").rename(folder / "more" / "b.yaml"),
        lambda folder: (folder / "more").rename(folder / "less"),
    ],
)
def test_a_look_finds_every_change(folder: Path, change: Callable[[Path], object]) -> None:
    read, looker = watched(folder), Looker()
    assert looker.look(read) == read.digests
    change(folder)
    assert looker.look(read) != read.digests
    assert looker.look(watched(folder)) == watched(folder).digests


def test_a_change_in_the_grain_of_the_stamps_is_found(folder: Path) -> None:
    """As fast as it may come: the size is the same, and the time of the change is set back to what it was."""
    read, looker, path = watched(folder), Looker(), folder / "one.yaml"
    looker.look(read)
    stamps = path.stat()
    path.write_text(ENTRY % "two")
    os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert looker.look(read) != read.digests


def test_a_missing_include_that_comes_is_found(folder: Path) -> None:
    (folder / "one.yaml").unlink()
    read = watched(folder)
    assert read.digests[str(folder / "one.yaml")] is None
    (folder / "one.yaml").write_text(ENTRY % "one")
    assert Looker().look(read) != read.digests
