"""Rolling restarts under load, led by readiness alone: one instance after another, as an orchestrator does it."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.endurance.measure import new_server
from tests.support.daemon import Daemon
from tests.support.ledger import Ledger, Verdict
from tests.support.scenes import fast_entries, now_ms
from tests.support.servers import RedisServer, free_port

INSTANCES: Final = 3
ENTRIES: Final = 50  # every 200 ms each: 250 fires a second
READY_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Rolled:
    """What came of it: the longest time without a fire around each restart, in ms, and the verdict on all slots."""

    gaps: list[float]
    verdict: Verdict

    def line(self) -> str:
        """The result as a row: restarts, fires, duplicates, lost, strange, median and longest gap."""
        v, gaps = self.verdict, sorted(self.gaps)
        counts = f"{len(v.doubled)} | {len(v.missing)} | {len(v.strange)}"
        return f"| {len(gaps)} | {v.messages:,} | {counts} | {median(gaps):.0f} | {gaps[-1]:.0f} |"


def roll(rounds: int, folder: Path) -> Rolled:
    """Restarts each of three instances in turn, so many times; the next one once this one says that it is ready."""
    entries = fast_entries(ENTRIES)
    with _fleet(folder) as (server, daemons, ledger):
        for daemon, _ in daemons:
            daemon.write({"schedules": entries})
            daemon.start()
        for _, port in daemons:
            wait_until_ready(port)
        ledger.settle(entries, 0)
        gaps = [_restart(daemon, port, ledger) for _ in range(rounds) for daemon, port in daemons]
        with server.client() as client:
            until = now_ms(client)
        ledger.settle(entries, until)
        return Rolled(gaps, ledger.verdict(entries, until))


def wait_until_ready(port: int) -> None:
    """Until /readyz answers 200."""
    give_up = time.monotonic() + READY_S
    while not is_ready(port):
        assert time.monotonic() < give_up, f"not ready in {READY_S:g} s"
        time.sleep(0.05)


def is_ready(port: int) -> bool:
    """Whether /readyz answers 200 now."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _restart(daemon: Daemon, port: int, ledger: Ledger) -> float:
    before = time.monotonic()
    assert daemon.stop() == 0
    daemon.start()
    wait_until_ready(port)
    time.sleep(0.3)  # whoever leads now goes on for a moment: the gap is measured to its end
    return ledger.longest_gap(before, time.monotonic()) * 1000


@contextmanager
def _fleet(folder: Path) -> Iterator[tuple[RedisServer, list[tuple[Daemon, int]], Ledger]]:
    with ExitStack() as stack:
        server = new_server(folder)
        server.start()
        stack.callback(server.kill)
        ports = [free_port() for _ in range(INSTANCES)]
        daemons = [
            (Daemon(folder / f"daemon-{port}", server.url, arguments=["--http", f"127.0.0.1:{port}"]), port)
            for port in ports
        ]
        for daemon, _ in daemons:
            stack.callback(daemon.close)
        ledger = Ledger(server)
        stack.callback(ledger.close)
        yield server, daemons, ledger
