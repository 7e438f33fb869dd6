"""The files of a daemon on a file system that gives no answer."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from beatd.config.look import Looker
from beatd.config.on_disk import ConfigOnDisk
from beatd.core.watching import Digests, Watched
from beatd.errors import ConfigInvalid


class Gone(Looker):
    """Blocks, as a call to a file system that is gone does, until it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.back = threading.Event()
        self.looks = 0

    def look(self, watched: Watched) -> Digests:
        self.looks += 1
        self.back.wait(20)
        return {"f": "here"}


@pytest.fixture
def gone() -> Iterator[Gone]:
    looker = Gone()
    yield looker
    looker.back.set()


async def test_a_look_that_comes_to_no_end_is_told_and_only_one_is_under_way(gone: Gone) -> None:
    disk = ConfigOnDisk([], {}, {}, looker=gone, look_s=0.01)
    for _ in range(3):
        with pytest.raises(ConfigInvalid, match=r"no answer in 0\.01 s"):
            await disk.look(Watched())
    assert gone.looks == 1
    gone.back.set()
    assert await answer_of(disk) == {"f": "here"}


async def test_a_reading_has_the_hint_of_its_first_error(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("schedules:\n  a: {task: t, evry: 5s}\n  b: {task: t, cron: '99 * * * *'}\n")
    reading = await ConfigOnDisk([path], {}, {}).read()
    assert len(reading.errors) == 2
    assert reading.hint == "did you mean every?"
    path.write_text("schedules: {a: {task: t, every: 5s}}")
    assert (await ConfigOnDisk([path], {}, {}).read()).hint is None


async def answer_of(disk: ConfigOnDisk) -> Digests:
    """As soon as there is one."""
    while True:
        with suppress(ConfigInvalid):
            return await disk.look(Watched())


async def test_a_pipe_in_the_place_of_the_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "schedules.yaml"
    os.mkfifo(path)
    with pytest.raises(ConfigInvalid, match="is a pipe, which can't be read again"):
        await ConfigOnDisk([path], {}, {}).read()
