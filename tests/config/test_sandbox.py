"""Files read in a process of their own: the same result, whatever the files are, and never more than the limits."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beatd.config.sandbox import Limits, Read, read_apart
from beatd.config.settings import SETTINGS, check_settings
from beatd.core.entry_set import EntrySet
from beatd.errors import ConfigInvalid

HERE = Path(__file__).parent
MB = 1024 * 1024
OTHERS: set[int] = set()


async def read(*paths: Path, wall_s: float = 60, cpu_s: int = 30, memory: int = 2048 * MB, **env: str) -> Read:
    return await read_apart(paths, {}, {**os.environ, **env}, Limits(wall_s, cpu_s, memory))


async def started() -> set[int]:
    """The children, once there is one."""
    while not (found := children()):  # noqa: ASYNC110  # nobody tells when another process is there
        await asyncio.sleep(0.01)
    return found


def children() -> set[int]:
    """Those of this test: a server for all tests may run beside it, and is nobody's to kill."""
    return _all_children() - OTHERS


def _all_children() -> set[int]:
    found = Path(f"/proc/self/task/{os.getpid()}/children")
    return {int(pid) for pid in found.read_text().split()}


@pytest.fixture(autouse=True)
def _know_the_others() -> None:
    OTHERS.clear()
    OTHERS.update(_all_children())


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file whose reading never begins: a pipe that nobody writes to."""
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.yaml"
    path.write_text("schedules:\n" + "".join(f"  e{n}: {{task: t, cron: '{n % 60} 4 * * *'}}\n" for n in range(30_000)))
    return path


async def test_what_is_read_apart_is_what_is_read_here(tmp_path: Path) -> None:
    included = tmp_path / "more.yaml"
    included.write_text("schedules: {warned: {task: t, every: 6h}}")
    first = tmp_path / "first.yaml"
    first.write_text((HERE / "good.yaml").read_text().replace("version: 1", "include: [more.yaml]"))
    here, problems = check_settings([first], {}, {"REDIS_URL": "redis://elsewhere"})
    assert here is not None
    apart = await read(first, REDIS_URL="redis://elsewhere")
    assert apart.entries == EntrySet.of(here.entries)
    assert apart.watched == here.watched
    assert list(apart.problems) == problems
    assert [problem.code for problem in problems] == ["W021"]
    assert list(apart.files) == [str(first), str(included)]
    values = {setting.name: getattr(here, setting.name) for setting in SETTINGS}
    assert apart.settings == {**values, "http": list(values["http"]), "broker": "redis"}


@pytest.mark.parametrize("name", ["entries", "star", "top_level"])
async def test_every_problem_comes_back(name: str) -> None:
    path = HERE / "broken" / f"{name}.yaml"
    apart = await read(path)
    assert list(apart.problems) == check_settings([path], {}, {})[1]


async def test_flags_count_there_too() -> None:
    apart = await read_apart([], {"lease_ttl": "2s", "namespace": None}, os.environ)
    assert (apart.settings["lease_ttl"], apart.settings["namespace"]) == (2.0, "default")


async def test_an_alias_bomb_is_a_problem_like_others(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text("".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else ['x'])}]\n" for n in range(12)))
    apart = await read(bomb)
    assert ([problem.code for problem in apart.problems], apart.settings) == (["E009"], {})


async def test_a_reading_without_an_end_is_ended(endless: Path) -> None:
    before = time.monotonic()
    with pytest.raises(ConfigInvalid, match=r"longer than 0\.5 s"):
        await read(endless, wall_s=0.5)
    assert time.monotonic() - before < 10
    assert children() == set()


async def test_a_reading_that_takes_too_much_cpu_is_ended(large: Path) -> None:
    with pytest.raises(ConfigInvalid, match="more CPU time than is allowed"):
        await read(large, cpu_s=1)


async def test_a_reading_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("x-text: " + "x" * 15_000_000)
    with pytest.raises(ConfigInvalid, match="more memory than is allowed"):
        await read(large, memory=70 * MB)


async def test_a_reader_that_dies_is_told(endless: Path) -> None:
    reading = asyncio.create_task(read(endless))
    for pid in await started():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(ConfigInvalid, match="died: signal 9"):
        await reading


async def test_a_reading_that_is_given_up_leaves_no_process(endless: Path) -> None:
    reading = asyncio.create_task(read(endless))
    await started()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert children() == set()


async def test_the_reader_holds_nothing_that_is_open_here(endless: Path, tmp_path: Path) -> None:
    """A fork would keep the lock on the private server's folder after the daemon has let it go."""
    held = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(held, True)
    fcntl.flock(held, fcntl.LOCK_EX)
    reading = asyncio.create_task(read(endless))
    await started()
    os.close(held)
    with (tmp_path / "lock").open("r+") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


def test_a_module_of_the_current_folder_is_not_taken(tmp_path: Path) -> None:
    """The daemon may run in a folder that somebody else writes to."""
    (tmp_path / "yaml.py").write_text("raise SystemExit('taken')")
    (tmp_path / "schedules.yaml").write_text("schedules: {a: {task: t, every: 5s}}")
    program = (
        "import asyncio, os; from pathlib import Path; from beatd.config.sandbox import read_apart;"
        f"os.chdir({str(tmp_path)!r});"
        "print(len(asyncio.run(read_apart([Path('schedules.yaml')], {}, os.environ)).entries))"
    )
    root = str(HERE.parent.parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
