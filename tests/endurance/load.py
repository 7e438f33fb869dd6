"""Load for as long as you like: thousands of fires a second, edits all the time, and a new leader every few seconds."""

import json
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import redis

from beatd.client import entries as edits
from beatd.client.blocking import Client
from beatd.core.edit import PutItem, put_item
from beatd.core.entry import entry_from_spec
from beatd.store.entries import Pause, put_steps
from tests.endurance.measure import Sample, Samples, growth, leader_of, new_server
from tests.support.daemon import Daemon
from tests.support.scenes import now_ms

INSTANCES: Final = 3
TTL_S: Final = 2.0
PERIOD_MS: Final = 1_000
LEADER_LASTS_S: Final = 15.0
EDITS_A_SECOND: Final = 5
TAKEN_AT_ONCE: Final = 5_000
SPEC: Final[dict[str, Any]] = {"task": "t.t", "every": "1s", "catchup": "all", "catchup_limit": 1000, "queue": "load"}
ASIDE: Final = [f"aside-{n}" for n in range(20)]  # entries that come, pause and go; the others fire every slot


@dataclass(slots=True)
class Counted:
    """Takes all messages off the queue, and follows each entry from slot to slot."""

    fires: int = 0
    problems: list[str] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)

    def take(self, messages: Sequence[bytes]) -> None:
        """Looks at messages in the order of the queue."""
        self.fires += len(messages)
        for raw in messages:
            headers = json.loads(raw)["headers"]
            slot = round(datetime.fromisoformat(headers["beatd_slot"]).timestamp() * 1000)
            self._saw(headers["periodic_task_name"], slot)

    def _saw(self, name: str, slot: int) -> None:
        before = self.last.get(name)
        self.last[name] = max(slot, before or 0)
        if before is None or slot == before + PERIOD_MS:
            return
        if slot <= before:
            self.problems.append(f"{name}: {slot} after {before}: doubled")
        elif not name.startswith("aside"):
            self.problems.append(f"{name}: {slot} after {before}: lost between them")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of it, and every look at each instance."""

    seconds: float
    fires: int
    edits: int
    leaders: int
    problems: list[str]
    samples: list[list[Sample]]

    @property
    def grown(self) -> tuple[float, int]:
        """From the second quarter to the last; the first is for warming up. MB and descriptors."""
        quarter = max(1, len(self.samples[0]) // 4)
        return growth(self.samples, slice(quarter, 2 * quarter), slice(-quarter, None))

    def line(self) -> str:
        """The result as a row: seconds, fires, fires a second, edits, leaders, problems, growth of all instances."""
        memory, descriptors = self.grown
        grown, rate = f"{memory:+.1f} MB, {descriptors:+d}", self.fires / self.seconds
        counts = f"{self.fires:,} | {rate:,.0f} | {self.edits:,} | {self.leaders}"
        return f"| {self.seconds:g} | {counts} | {len(self.problems)} | {grown} |"


class _Editor:
    """Somebody who edits: arguments of entries that fire, and entries that come, pause, go on and go."""

    def __init__(self, store: Client, names: Sequence[str], seed: int) -> None:
        self.edits = 0
        self._store = store
        self._names = names
        self._random = random.Random(seed)

    def edit(self) -> None:
        """One edit."""
        self.edits += 1
        name = self._random.choice(self._names)
        self._store.run(edits.put(self._store.keys, [_item(name, args=[self.edits])], "{}"))
        aside = self._random.choice(ASIDE)
        if self._store.find(aside) is None:
            self._store.run(edits.put(self._store.keys, [_item(aside)], "{}"))
        elif (how := self._random.choice(["pause", "resume", "remove"])) == "pause":
            self._store.run(edits.pause(self._store.keys, [aside], _nonce(), "{}", Pause("endurance")))
        elif how == "resume":
            self._store.run(edits.resume(self._store.keys, [aside], _nonce(), "{}", catchup=False))
        else:
            self._store.run(edits.remove(self._store.keys, [aside], "{}"))


def be_loaded(seconds: float, entries: int, folder: Path, *, seed: int = 1) -> Loaded:
    """So many entries, each every second, for so long; no instance ends meanwhile, so each one's memory can be told."""
    names = [f"e{n}" for n in range(entries)]
    with ExitStack() as stack:
        server = new_server(folder)
        server.start()
        stack.callback(server.kill)
        client = stack.enter_context(server.client())
        store = stack.enter_context(Client(server.url, "default"))
        editor = _Editor(store, names, seed)
        counted, stop = Counted(), threading.Event()
        taker = threading.Thread(target=_take_all, args=(client, counted, stop), daemon=True)
        daemons = [Daemon(folder / f"daemon-{n}", server.url, lease_ttl=f"{TTL_S:g}s") for n in range(INSTANCES)]
        for daemon in daemons:
            stack.callback(daemon.close)
            daemon.start()
            daemon.wait_for("started")
        for step in put_steps([_item(name) for name in names]):
            store.run(edits.put(store.keys, step, "{}"))
        taker.start()
        samples = Samples(daemon.pid for daemon in daemons)
        leaders = _go_on(seconds, client, daemons, editor, samples)
        until = now_ms(client)
        _wait_for(counted, names, until)
        stop.set()
        taker.join()
        died = [f"{daemon.folder.name} has ended" for daemon in daemons if not daemon.running]
        return Loaded(seconds, counted.fires, editor.edits, leaders, counted.problems + died, list(samples.of.values()))


def _go_on(seconds: float, client: "redis.Redis", daemons: Sequence[Daemon], editor: _Editor, samples: Samples) -> int:
    """Edits, looks, and stops the leader beyond its time to live now and then; gives how many led."""
    began = time.monotonic()
    stopped: Daemon | None = None
    leaders, seen, next_stop, goes_on = 0, "", began + LEADER_LASTS_S / 3, 0.0
    for moment in _moments(began, seconds):
        editor.edit()
        samples.take()
        leader = leader_of(client)
        leaders += bool(leader) and leader != seen
        seen = leader or seen
        if stopped is not None and moment > goes_on:
            stopped.send(signal.SIGCONT)
            stopped = None
        elif stopped is None and moment > next_stop:
            stopped = next((daemon for daemon in daemons if daemon.name == leader), None)
            if stopped is not None:
                stopped.send(signal.SIGSTOP)
                goes_on, next_stop = moment + 1.5 * TTL_S, moment + LEADER_LASTS_S
    if stopped is not None:
        stopped.send(signal.SIGCONT)
    return leaders


def _moments(began: float, seconds: float) -> Iterator[float]:
    while (now := time.monotonic()) < began + seconds:
        yield now
        time.sleep(1 / EDITS_A_SECOND)


def _take_all(client: "redis.Redis", counted: Counted, stop: threading.Event) -> None:
    while not stop.is_set():
        found: Any = client.rpop("load", TAKEN_AT_ONCE)  # as workers do: the oldest first
        counted.take(found or ())
        if not found or len(found) < TAKEN_AT_ONCE:
            stop.wait(0.05)


def _wait_for(counted: Counted, names: Sequence[str], until: int, timeout: float = 30) -> None:
    """Until each entry has fired a slot after that instant; who has not is a problem."""
    give_up = time.monotonic() + timeout
    while late := [name for name in names if counted.last.get(name, 0) < until]:
        if time.monotonic() > give_up:
            counted.problems += [f"{name}: nothing fired after {counted.last.get(name)}" for name in late]
            return
        time.sleep(0.1)


def _item(name: str, **more: Any) -> PutItem:
    return put_item(entry_from_spec(name, {**SPEC, **more}), _nonce(), left="")


def _nonce() -> str:
    return f"{random.getrandbits(100):x}"
