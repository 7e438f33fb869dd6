"""Redis is gone for minutes and comes back: fires at once, by each entry's policy, with a fleet that has not grown."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.endurance.measure import Samples, growth, new_server
from tests.support.daemon import Daemon
from tests.support.ledger import Ledger
from tests.support.scenes import now_ms

INSTANCES: Final = 3
GRACE_MS: Final = 2_000
EACH: Final[dict[str, Any]] = {"task": "t.t", "every": "1s", "grace": "2s", "catchup_limit": 1_000}
ENTRIES: Final = {
    f"{catchup}-{n}": {**EACH, "catchup": catchup} for catchup in ("all", "latest", "none") for n in (1, 2)
}


@dataclass(frozen=True, slots=True)
class Outage:
    """What came of it. Lines: what each instance logged meanwhile. Grown: MB and descriptors of all together."""

    seconds: float
    back_ms: float
    fired: dict[str, int]  # of the slots inside the outage, by entry; those within the grace are not counted
    lines: list[int]
    grown: tuple[float, int]
    problems: list[str]

    def line(self) -> str:
        """The result as a row: seconds, ms to the first fire, missed slots fired, lines, growth, problems."""
        by_policy = " / ".join(str(self.fired[f"{policy}-1"]) for policy in ("all", "latest", "none"))
        grown = f"{self.grown[0]:+.1f} MB, {self.grown[1]:+d}"
        lines = max(self.lines)
        return f"| {self.seconds:g} | {self.back_ms:.0f} | {by_policy} | {lines} | {grown} | {len(self.problems)} |"


def be_away(seconds: float, folder: Path, *, around_s: float = 5.0) -> Outage:
    """Kills Redis, whose append-only file is always written, for so long; then looks at what is made good.

    Memory and descriptors are compared over ``around_s`` before and after.
    """
    with ExitStack() as stack:
        server = new_server(folder, appendonly="yes", appendfsync="always")
        server.start()
        stack.callback(server.kill)
        daemons = [Daemon(folder / f"daemon-{n}", server.url) for n in range(INSTANCES)]
        ledger = Ledger(server)
        stack.callback(ledger.close)
        for daemon in daemons:
            stack.callback(daemon.close)
            daemon.write({"schedules": ENTRIES})
            daemon.start()
        ledger.settle(ENTRIES, 0)
        samples = Samples(daemon.pid for daemon in daemons)
        _watch(samples, around_s)
        with server.client() as client:
            gone = now_ms(client)
        lines = [_told(daemon) for daemon in daemons]
        server.kill()
        _watch(samples, seconds)
        lines = [_told(daemon) - before for daemon, before in zip(daemons, lines, strict=True)]
        server.start()
        back = time.monotonic()
        with server.client() as client:
            back_ms = now_ms(client)
        first = ledger.wait_for(lambda found: any(m.arrived is not None and m.arrived > back for m in found))
        took = min(m.arrived for m in first if m.arrived is not None and m.arrived > back) - back
        _watch(samples, around_s)
        ledger.settle(ENTRIES, back_ms)
        every = {name: spec for name, spec in ENTRIES.items() if spec["catchup"] == "all"}
        problems = ledger.verdict(every, back_ms).problems + ledger.verdict({}, 0).problems
        fired = {name: sum(gone < m.slot < back_ms - 2 * GRACE_MS for m in ledger.all(name)) for name in ENTRIES}
        grown = growth(samples.of.values(), slice(round(around_s)), slice(-round(around_s), None))
        return Outage(seconds, took * 1000, fired, lines, grown, problems)


def _told(daemon: Daemon) -> int:
    """How many lines it has written, but for fires: one may be on its way when Redis goes."""
    return sum("entry_fired" not in line for line in daemon.log.splitlines())


def _watch(samples: Samples, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        samples.take()
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))
