"""One simulated world: a Redis, some whole daemons, clients that edit, and whatever goes wrong between them.

Everything follows from one number. The world ends at its time or at the first thing that must not be.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import beatd.core.batch
import beatd.core.outbox_room
import beatd.core.settling
import beatd.daemon.leader
import beatd.daemon.outbox
import beatd.daemon.planner
import beatd.daemon.ticker
from beatd.core.entry_set import EntrySet
from beatd.core.fire import FireItem
from beatd.core.registration import Registered
from beatd.core.term import LeaseTiming, Term
from beatd.daemon.carrier import Carrier
from beatd.daemon.clock import ServerClock
from beatd.daemon.definitions import Definitions
from beatd.daemon.elector import Elector
from beatd.daemon.files import FileEntries
from beatd.daemon.leader import Leader
from beatd.daemon.own_files import LoadedFiles, OwnFiles
from beatd.daemon.record import instance_record
from beatd.daemon.session import Session
from beatd.daemon.sinks import Sinks
from beatd.daemon.together import run_together
from beatd.daemon.vitals import Vitals
from beatd.store.adapters import RedisStores
from beatd.store.keys import Keys
from beatd.store.scripts import Call
from tests.sim.broker import Broker, SimTransport
from tests.sim.entries import plain_template, random_entry
from tests.sim.ledger import Ledger
from tests.sim.link import Connection, Network
from tests.sim.loop import Process, VirtualLoop, within
from tests.sim.redis import Server, copied

BASE_S: Final = 1_763_650_740  # a minute's beginning: 60 s on, cron has a slot
BACK_OFF_S: Final = 4.0  # what a queue refused for so long is tried again within as long
INTENT_LATE_S: Final = 1.5  # the longest that a message may wait once all is calm
ALL_BROKER_FAULTS: Final = (
    *("stop", "stop", "lose_queue", "lose_queue", "refuse", "cut", "cut", "block", "stall", "cut_off", "drop"),
)
LATE_S: Final = 1.25  # the longest that anything may wait once all is calm: nothing is left to a net that heals
FOREIGN_LATE_S: Final = 4.0  # what somebody else did to the timetable is found by looking at numbers, and that takes
KEYS: Final = Keys("sim")
OUTBOX: Final = b"\x00outbox"  # no name of an entry
QUIET: Final = ("roll_back", "roll_back", "lose_one", "step_a_little", "reload")
LOUD: Final = (
    *("reload", "reload", "reload"),
    *("kill", "kill", "stop", "freeze", "freeze", "cut", "restart_redis", "stall", "step", "roll_back", "roll_back"),
    "spoil_queue",
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What kind of world a seed makes."""

    seed: int
    quiet: bool
    seconds: float
    ttl: float
    instances: int
    slowest: float
    fault_rate: float
    foreign: bool
    faulty: bool
    entries: int
    file_entries: int
    edit_every: float
    fault_every: float
    faults: tuple[str, ...]  # methods of trouble.Chaos; often named is often met
    sizes: dict[tuple[Any, str], int]
    message_size: int
    zone_data: tuple[str, ...]  # versions, one for each instance by chance
    writers: int = 0  # who edit the same entries with the client's own verbs
    part_rate: float = 0.1  # of writes, which the server reads in two parts
    broker: bool = False  # messages go to another broker than this Redis
    broker_slowest: float | None = None  # of a way to the broker; with one, some entries ask too much of it
    broker_fault_every: float = 1e9
    broker_faults: tuple[str, ...] = ALL_BROKER_FAULTS
    serve_every: float = 1.5  # seconds between two requests that the faulty leader serves, on average

    @property
    def calm_after(self) -> float:
        """Seconds after the last disturbance from which on all must be well."""
        of_lease = (1.5 if len(self.zone_data) == 1 else 4.5) * self.ttl + 4.0  # older zone data wait for newer ones
        return of_lease + (BACK_OFF_S if self.broker else 0.0)


def scenario(seed: int) -> Scenario:
    """One seed in ten is a long quiet leader: leader changes heal, and so hide what a leader fails to look at again."""
    r = random.Random(seed)
    quiet = seed % 10 == 0
    slowest = r.choice([0.001, 0.01, 0.04, 0.04])
    # Small, but not so small that a leader over a slow wire can't keep up with its own work.
    horizon = r.choice([3000, 15_000] if slowest > 0.01 else [1000, 3000, 15_000])
    page = r.choice([5, 500] if slowest > 0.01 else [2, 5, 500])
    slice_, batch = r.choice([1, 20]), r.choice([1, 3, 100])
    planner, ticker = beatd.daemon.planner, beatd.daemon.ticker
    found = Scenario(
        seed=seed,
        quiet=quiet,
        seconds=120.0 if quiet else 22.0,
        ttl=r.choice([1.5, 2.0, 3.0]),
        instances=1 if quiet else r.choice([1, 2, 2, 3]),
        slowest=slowest,
        fault_rate=0.0 if quiet else r.choice([0.0, 0.002, 0.01, 0.03]),
        foreign=r.random() < 0.1,
        faulty=r.random() < 0.15,
        entries=r.choice([2, 4, 4, 6, 12]) if not quiet else r.choice([2, 4]),
        file_entries=r.choice([0, 1, 3]),
        edit_every=r.choice([0.3, 1.0, 3.0]) if not quiet else r.choice([0.5, 4.0]),
        fault_every=12.0 if quiet else 2.5,
        faults=QUIET if quiet else LOUD,
        sizes={
            (planner, "PAGE"): page,
            (planner, "SLICE"): slice_,
            (planner, "HORIZON_MS"): horizon,
            (planner, "REFILL_MS"): horizon // 3,
            (ticker, "MOST_ENTRIES"): batch,
        },
        message_size=r.choice([400, 400, 100_000]),
        zone_data=("2026a", "2026b") if not quiet and r.random() < 0.1 else ("2026a",),
        writers=2 if r.random() < 0.3 else 0,
    )
    if not quiet and r.random() < 0.05:
        found = replace(found, faults=(*LOUD, *["flush"] * 3))
    return with_broker(found, r) if seed % 3 == 2 else found


def with_broker(found: Scenario, r: random.Random) -> Scenario:
    """The same world, but its messages go to another broker, and through an outbox that is soon full."""
    room, outbox, settling = beatd.core.outbox_room, beatd.daemon.outbox, beatd.core.settling
    of_queue = r.choice([3, 10, 100])
    sizes: dict[tuple[Any, str], int] = {
        **found.sizes,
        (room, "MOST_OF_ONE_BAD_QUEUE"): of_queue,
        (room, "MOST_OF_BAD_QUEUES"): 5 * of_queue,
        (room, "MOST_INTENTS"): 10 * of_queue,
        (outbox, "MOST_IN_WINDOW"): r.choice([3, 256] if found.slowest <= 0.01 else [8, 256]),
        (settling, "MOST_ENTRIES"): r.choice([1, 3, 100]),
    }
    if found.message_size < 1000 and r.random() < 0.3:
        sizes[room, "MOST_INTENT_BYTES"] = r.choice([10, 50]) * found.message_size
    every = 2.5 if not found.quiet else 8.0
    seconds = found.seconds if found.quiet else found.seconds + 10.0
    return replace(found, broker=True, broker_fault_every=every, sizes=sizes, seconds=seconds)


class SimEvents:
    """Fits ports.EventSink."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self._name = name

    def emit(self, event: str, **fields: object) -> None:
        self._world.note(self._name, event, fields)
        if fields.get("reason") == "rollback" and not self._world.went_back and not self._world.scenario.faulty:
            self._world.fail(f"{self._name} tells of a dataset that went back, and it did not")
        if event in ("leader_acquired", "leader_released", "lease_lost"):
            self._world.disturbed()

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        self._world.note(self._name, "fired", [(item.name, *item.slots) for item in items])


class Instance:
    """One daemon, as run_daemon wires it."""

    def __init__(self, world: "World", name: str, files: EntrySet | None) -> None:
        self.name = name
        self.process = Process(name)
        self.sessions: list[Session] = []
        self.killed = False
        self._world = world
        self._stop = asyncio.Event()
        r = world.random
        ids = (f"{name}-{number}" for number in itertools.count())
        timing = LeaseTiming(world.scenario.ttl)
        offset = r.uniform(0, 1e6)
        clock = self._clock = ServerClock(lambda: world.loop.time() + offset)
        vitals = Vitals(clock, zone_data := r.choice(world.scenario.zone_data))
        events = Sinks(SimEvents(world, name), vitals)
        loaded = None if files is None else LoadedFiles(files, clock.monotonic())
        self.own = OwnFiles(loaded, name, clock, events)
        stores = RedisStores(world.network.open_link(timing.timeout, vitals), KEYS, f'{{"client":"{name}"}}')
        size = world.scenario.message_size
        self.carrier: Carrier | None = None
        self.transport: SimTransport | None = None
        if world.broker is not None:
            self.transport = SimTransport(world.broker, self.process, clock.monotonic, self._trusted)
            self.carrier = Carrier(self.transport, clock, events, vitals, random.Random(r.random()))
        self.elector = Elector(
            stores,
            timing,
            clock,
            events,
            instance=name,
            zone_data=zone_data,
            vitals=vitals,
            record=lambda term: instance_record(
                term, self.own, vitals, clock, host="sim", pid=1, version="sim", tzdata=zone_data, lag_ms=0
            ),
            saw_applied=self.own.saw,
            new_id=lambda: next(ids),
            random_source=random.Random(r.random()),
        )
        self._leader = Leader(
            stores,
            self.elector,
            clock,
            events,
            Definitions(KEYS.namespace, lambda task, queue, options: plain_template(queue, options, size)),
            FileEntries(stores.open_files, self.own, events, timing=timing, new_id=lambda: next(ids)),
            vitals,
            version="sim",
            zone_data=zone_data,
            new_tag=lambda: next(ids),
            random_source=random.Random(r.random()),
            carrier=self.carrier,
        )
        with within(self.process):
            self.task = world.loop.create_task(self._main())

    @property
    def alive(self) -> bool:
        """Whether it runs, and is not about to end."""
        return not self.process.frozen and not self.task.done() and not self._stop.is_set()

    def reload(self, files: EntrySet) -> None:
        """SIGHUP after its files were changed."""
        with within(self.process):
            self.own.take(LoadedFiles(files, self._clock.monotonic(), may_shrink=True))
            self.elector.announce()

    def stop(self) -> None:
        """SIGTERM."""
        self._stop.set()

    def kill(self) -> None:
        """SIGKILL: it never runs again."""
        self.killed = self.process.frozen = True
        self._world.network.cut_all(self.process)
        if self._world.broker is not None:
            self._world.broker.cut_all(self.process)

    async def _main(self) -> None:
        try:
            await run_together(self.elector.run(), self._leader.run(), self._until_stopped())
        except Exception as error:  # noqa: BLE001  # whatever it is, a daemon must not die of it
            self._world.fail(f"{self.name} died: {error!r}", error)
        finally:
            await self.elector.resign()
            if self.carrier is not None:
                await self.carrier.close()

    def _trusted(self) -> float:
        """Until when the lease was trusted last, whatever has become of it since."""
        return self.elector._trusted_until

    async def _until_stopped(self) -> None:
        await self._stop.wait()


@dataclass(slots=True)
class Outcome:
    """How a world ended."""

    seed: int
    failure: str | None
    fires: int
    served: int  # messages of requests
    codes: dict[str, int]
    met: Counter[str]  # edits that came between a leader's read and its plan
    digest: str  # of all events: equal when two runs were the same
    trace: list[str] = field(default_factory=list)


class World:
    """Everything in one seed."""

    def __init__(self, settings: Scenario) -> None:
        self.scenario = settings
        self.loop = VirtualLoop()
        self.random = random.Random(settings.seed * 2 + 1)
        self.step_us = 0
        self.server = Server(self._now_us, b"7.0.15" if settings.seed % 3 else b"6.2.14")
        self.network = Network(self.loop, self.server, random.Random(self.random.random()))
        self.network.slowest = settings.slowest
        self.network.fault_rate = settings.fault_rate
        self.network.part_rate = settings.part_rate
        self.network.fault_happened = self._fault_happened
        self.ledger = Ledger(self.server, KEYS, random.Random(self.random.random()), self.fail)
        self.ledger.noted = self._script_noted
        self.ledger.book.steady = self._steady
        self.server.observer = self.ledger
        self.broker: Broker | None = None
        if settings.broker:
            slowest = settings.slowest if settings.broker_slowest is None else settings.broker_slowest
            self.broker = Broker(self.loop, random.Random(self.random.random()), slowest)
            self.broker.fault_rate = settings.fault_rate
            self.broker.fault_happened = self._line_fault
            self.ledger.watch(self.broker, settings.ttl)
            assert self.ledger.intents is not None
            self.ledger.intents.disturbed_at = lambda: self.calm_since
            self.ledger.intents.bounded = not settings.faulty
        self.instances: list[Instance] = []
        self.failure: str | None = None
        self.error: BaseException | None = None
        self.versions = itertools.count(1)
        self.calm_since = 0.0
        self.set_back_at = -10.0
        self.went_back = False  # the dataset did, or is another one
        self.settling = False  # nothing new goes wrong any more
        self._digest = hashlib.sha256()
        self.events: deque[tuple[float, str, str, object]] = deque(maxlen=4000)
        self._names = itertools.count(1)
        self._done: asyncio.Future[None] | None = None
        self._waiting_since: dict[tuple[bytes, Any], float] = {}
        self.files: EntrySet | None = None  # the newest
        self.all_files: dict[str, EntrySet] = {}
        if settings.file_entries:
            self.new_files()

    def run(self) -> Outcome:
        """Lives through the seed."""
        self.ledger.load_scripts()
        with self._small_sizes(), self._recorded_sessions():
            try:
                self.loop.run_until_complete(self._live())
            finally:
                self.loop.close()
        trace = [] if self.failure is None else [_line(*event) for event in self.events]
        digest = self._digest.hexdigest()
        ledger = self.ledger
        return Outcome(
            self.scenario.seed, self.failure, ledger.fires, ledger.book.served, ledger.codes, ledger.met, digest, trace
        )

    def now_ms(self) -> int:
        """The clock of Redis."""
        return self._now_us() // 1000

    def note(self, who: str, what: str, more: object = "") -> None:
        """One line of the trace."""
        self.events.append((self.loop.time(), who, what, more))
        self._digest.update(f"{self.loop.time()} {who} {what}".encode())

    def fail(self, text: str, error: BaseException | None = None) -> None:
        """The first thing that must not be ends the world."""
        if self.failure is None:
            self.failure, self.error = text, error
            self.note("world", "FAILED", text)
            if self._done is not None and not self._done.done():
                self._done.set_result(None)

    def disturbed(self) -> None:
        """Something happened that takes a while to heal."""
        self.calm_since = self.loop.time()
        self._waiting_since.clear()

    def start_instance(self) -> Instance:
        """Starts a daemon."""
        instance = Instance(self, f"i{next(self._names)}", self.files)
        self.instances.append(instance)
        self.note(instance.name, "starts")
        self.disturbed()
        return instance

    def execute(self, call: Call) -> None:
        """A call of somebody who is right beside the server."""
        words = call.command(sha=False, shebang=False)
        raw = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        intents = self.ledger.intents
        if intents is not None:
            intents.strange = True
        self.server.execute([b"EVAL", call.script.plain.encode(), *raw[2:]])
        if intents is not None:
            intents.strange = False

    def snapshot(self) -> "tuple[Any, Any]":
        """The dataset as it is, with its history."""
        return copied(self.server.data), self.ledger.history.copy()

    def restore(self, snapshot: "tuple[Any, Any]") -> None:
        """The dataset goes back."""
        self.server.data, self.ledger.history = copied(snapshot[0]), snapshot[1].copy()
        self.went_back = True
        if self.ledger.intents is not None:
            self.ledger.intents.rolled_back_at = self.loop.time()

    async def _live(self) -> None:
        from tests.sim.trouble import all_trouble  # noqa: PLC0415  # it needs the world's own type

        self._done = self.loop.create_future()
        self.loop.set_exception_handler(self._loop_failed)
        for _ in range(self.scenario.instances):
            self.start_instance()
        tasks = [self.loop.create_task(service) for service in (*all_trouble(self), self._watch())]
        for task in tasks:
            task.add_done_callback(self._trouble_ended)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.scenario.seconds):
                await self._done
        if self.failure is None:
            self.ledger.nothing_lost()
            self._right_files()
        await self._tear_down(tasks)

    def _trouble_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(f"the simulation itself broke: {error!r}", error)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.fail(f"the loop reports: {context.get('message')}", context.get("exception"))

    async def _tear_down(self, tasks: list[asyncio.Task[None]]) -> None:
        self._done = None
        self.server.observer = None
        self.loop.set_exception_handler(lambda loop, context: None)
        self.network.fault_rate = 0.0
        self.network.stop_server()
        for instance in self.instances:
            self.loop.thaw(instance.process)
        everything = [*tasks, *(instance.task for instance in self.instances)]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _watch(self) -> None:
        """I7, I13 and I14, four times a second."""
        while True:
            await asyncio.sleep(0.25)
            calm = self.loop.time() - self.calm_since
            self._bounded()
            broken = self.network.down or self.network.stalled or not any(i.alive for i in self.instances)
            broken = broken or (self.broker is not None and self.broker.broken)
            broken = broken or self.scenario.broker_slowest is not None
            if calm < self.scenario.calm_after or broken:
                self._waiting_since.clear()
                continue
            self._led()
            self._nothing_waits()

    def _led(self) -> None:
        owner = self.ledger.state()["lease"].get(b"owner", b"").decode()
        terms = [i.elector.term for i in self.instances if i.alive and i.elector.term is not None]
        if owner not in [term.owner for term in terms]:
            self.fail(f"I7: {owner!r} holds the lease; leaders: {terms}")

    def _nothing_waits(self) -> None:
        """Entries move, and open requests too: each part of one changes what is stored of it."""
        now, time = self.now_ms(), self.loop.time()
        state = self.ledger.state()
        waiting = {
            (name, score)
            for name, score in state["due"].items()
            if name in state["rev"]  # others are no entries: nobody can plan them
            if score < 0 or now - score > 500
        }
        hindered = self.broker is not None and self.broker.hindered
        if not self.ledger.history.foreign_requests and not hindered:
            waiting |= {(raw, value) for raw, value in state["req"].items() if value.startswith(b"open|")}
        if self.ledger.intents is not None and not hindered:
            waiting |= {(OUTBOX, key) for key in self.ledger.intents.waiting()}
        self._waiting_since = {key: self._waiting_since.get(key, time) for key in sorted(waiting, key=repr)}
        for (name, score), since in self._waiting_since.items():
            longest = FOREIGN_LATE_S if self.scenario.foreign else LATE_S
            if time - since > (INTENT_LATE_S if name == OUTBOX else longest):
                self.fail(f"I14: {name!r} stands at {score} at {now}, calm for {time - self.calm_since:.1f} s")

    def _bounded(self) -> None:
        """What a session holds is bounded by what the timetable holds, and by what edits may leave behind."""
        entries = len(self.ledger.state()["due"])
        for instance in self.instances:
            for session in instance.sessions:
                window = session.window
                buckets = sum(len(bucket.items) for bucket in window._buckets.values())
                if buckets > 50 + 3 * len(window) or len(window) > 50 + entries:
                    self.fail(f"I13: {instance.name} holds {buckets} for {len(window)} staged")

    def _right_files(self) -> None:
        """What is stored of files are those of one generation, whole; the leader's, if they were registered last."""
        leaders = [i for i in self.instances if i.alive and i.elector.term is not None]
        if not self.all_files or self.scenario.foreign or not leaders:
            return
        state = self.server.data
        meta: Any = state.get(KEYS.key("meta").encode(), {})
        stored: Any = state.get(KEYS.key("file").encode(), {})
        applied = self.all_files.get(meta.get(b"file", b"").decode())
        names = {name.decode(): found.decode() for name, found in stored.items()}
        if applied is not None and names != applied.hashes:
            self.fail(f"files {applied.hash} are said to be applied: {applied.hashes} but {names} are stored")
        own = leaders[0].own.registered()
        assert own is not None
        if (applied is None or applied.hash != own.hash) and not self._newer_files(own, int(meta.get(b"file_at", 0))):
            self.fail(f"{own} were registered last and {meta} are applied")

    def _newer_files(self, own: Registered, applied_at: int) -> bool:
        """Whether other files than the leader's were registered later, by one that lives or died not long ago."""
        inst: Any = self.server.data.get(KEYS.key("inst").encode(), {})
        records = [json.loads(raw) for raw in inst.values()]
        recent = [r for r in records if self.now_ms() - r["seen"] < 3000 * self.scenario.ttl + 5000]
        return applied_at >= own.at or any(r["file"] != own.hash and r["registered"] >= own.at for r in recent)

    @property
    def file_names(self) -> list[str]:
        """Names of entries in files; two more than any files have."""
        return [f"file-{n}" for n in range(self.scenario.file_entries + 2)]

    def new_files(self) -> EntrySet:
        """Files that nobody had yet: some entries stay, some are new or changed, some are gone."""
        r, before, now = self.random, self.files, self.now_ms()
        kept = {} if before is None else before.definitions
        found = {name: kept[name] for name in r.sample(sorted(kept), len(kept) // 2)}
        for name in r.sample(self.file_names, self.scenario.file_entries):
            slow, broker = self.scenario.quiet, self.scenario.broker
            entry = random_entry(r, name, now, next(self.versions), slow=slow, file=True, broker=broker)
            found.setdefault(name, entry.to_definition())
        self.files = EntrySet.of_definitions(found)
        self.all_files[self.files.hash] = self.files
        return self.files

    def _now_us(self) -> int:
        return BASE_S * 1_000_000 + self._phase_us() + int(self.loop.time() * 1_000_000) + self.step_us

    def _phase_us(self) -> int:
        return 45_000_000 + self.scenario.seed * 7_919_113 % 10_000_000

    def _fault_happened(self, kind: str, connection: Connection) -> None:
        who = connection.process.name if connection.process else "?"
        self.note("network", kind, who)
        self.disturbed()

    def _line_fault(self, kind: str, process: str) -> None:
        self.note("broker", kind, process)
        self.disturbed()

    def _steady(self) -> bool:
        """A leader learns from the next answer that the clock was set back; until then it decides too early."""
        return self.loop.time() - self.set_back_at > 2.0

    def _script_noted(self, script: str, args: Sequence[bytes], reply: Any) -> None:
        self.note("redis", script, (args, reply))

    @contextlib.contextmanager
    def _small_sizes(self) -> Iterator[None]:
        """Pages and batches so small that a few entries fill many."""
        before = {(module, name): getattr(module, name) for module, name in self.scenario.sizes}
        for (module, name), value in self.scenario.sizes.items():
            setattr(module, name, value)
        try:
            yield
        finally:
            for (module, name), value in before.items():
                setattr(module, name, value)

    @contextlib.contextmanager
    def _recorded_sessions(self) -> Iterator[None]:
        """Sessions are made deep inside; the last one of each instance is looked at."""
        module: Any = beatd.daemon.leader
        before = module.Session

        def recorded(term: Term, *args: Any) -> Session:
            session: Session = before(term, *args)
            for instance in self.instances:
                if instance.elector.term is term:
                    instance.sessions = [session]
            return session

        module.Session = recorded
        try:
            yield
        finally:
            module.Session = before


def run_seed(seed: int) -> Outcome:
    """Lives through one seed."""
    return World(scenario(seed)).run()


def _line(when: float, who: str, what: str, more: object) -> str:
    if who == "redis" and isinstance(more, tuple):
        args, reply = more
        shown = " ".join(_short(word) for word in args[3:])
        return f"{when:9.4f} {who:8} {what:8} {shown} -> {reply}"
    return f"{when:9.4f} {who:8} {what} {more}"


def _short(word: bytes) -> str:
    text = word.decode(errors="replace")
    return text if len(text) < 90 else f"{text[:70]}..."
