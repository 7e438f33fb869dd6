"""The composition root: builds the parts, runs them together, and stops them in order."""

import asyncio
import contextlib
import itertools
import math
import os
import random
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from beatd import __version__
from beatd.config.on_disk import ConfigOnDisk, kept_settings
from beatd.config.settings import SETTINGS, Settings
from beatd.core.entry_set import EntrySet
from beatd.core.term import LeaseTiming
from beatd.core.zone import data_version
from beatd.daemon.carrier import Carrier
from beatd.daemon.clock import ServerClock
from beatd.daemon.definitions import Definitions
from beatd.daemon.elector import Elector
from beatd.daemon.events import LogEvents
from beatd.daemon.files import FileEntries
from beatd.daemon.garbage import collect_when_quiet, keep_full_collections_back
from beatd.daemon.greeting import Greeting
from beatd.daemon.http import Pages, served_at, serving
from beatd.daemon.lag import LoopLag
from beatd.daemon.leader import Leader
from beatd.daemon.own_files import LoadedFiles, OwnFiles
from beatd.daemon.pages import pages
from beatd.daemon.ports import EventSink
from beatd.daemon.pulse import Pulse
from beatd.daemon.record import instance_record
from beatd.daemon.signals import signals
from beatd.daemon.sinks import Sinks
from beatd.daemon.stacks import log_stacks, write_stacks
from beatd.daemon.systemd import Systemd, status_line
from beatd.daemon.tallies import Tallies
from beatd.daemon.threads import LooseThreads
from beatd.daemon.together import run_together, wait_for_event
from beatd.daemon.trouble import Trouble
from beatd.daemon.vitals import Vitals
from beatd.daemon.watch import FileWatch
from beatd.daemon.watchdog import Watchdog
from beatd.errors import BeatdError
from beatd.formats.celery import compile_template
from beatd.store.adapters import RedisStores
from beatd.store.connect import RedisAddress, user_of
from beatd.store.embedded import Keeper
from beatd.store.entries import audit, saying, user_name
from beatd.store.following import Links
from beatd.store.keys import Keys
from beatd.store.link import Link
from beatd.store.rights import Rights
from beatd.store.survey import survey
from beatd.store.timetable import HistoryBounds
from beatd.transports import open_transport

TEND_S: Final = 0.5
CLOSE_S: Final = 1.0
CALM_S: Final = 0.05
STATUS_S: Final = 1.0
MOST_FILES: Final = 10  # told in each row of the change log
LONGEST_PATH: Final = 250


@dataclass(frozen=True, slots=True)
class Instance:
    """Who this process is. ``name`` is `<host>:<pid>`, as the lease shows it."""

    host: str
    pid: int

    @property
    def name(self) -> str:
        """The name under which `status` shows this process."""
        return f"{self.host}:{self.pid}"

    @property
    def origin(self) -> str:
        """How Celery's own producers name themselves in a message."""
        return f"gen{self.pid}@{self.host}"


@dataclass(frozen=True, slots=True)
class Start:
    """What a daemon starts with. ``entries`` None: no file was given or found. ``url``: where Redis is, ``url_file``
    what that was read from. ``queues``: those it may have to write into, as far as it knows. ``listening``: where HTTP
    is served, if it is. ``once``: until all is fired that is due. ``hide`` takes secrets out of a text that is shown.
    """

    settings: Settings
    entries: EntrySet | None
    disk: ConfigOnDisk
    url: str = field(repr=False)
    url_file: str | None = None
    keeper: Keeper | None = None
    queues: tuple[str, ...] = ()
    listening: socket.socket | None = None
    allow_shrink: bool = False
    strict: bool = False
    once: bool = False
    systemd: Systemd = field(default_factory=Systemd)
    hide: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Parts:
    """The services of a daemon and what they share."""

    log: LogEvents
    links: Links
    events: EventSink
    clock: ServerClock
    elector: Elector
    leader: Leader
    watch: FileWatch
    vitals: Vitals
    pulse: Pulse
    pages: Pages
    carrier: Carrier | None


async def run_daemon(start: Start, lag: LoopLag) -> int:
    """Runs until a signal ends it; hands the lease over. Gives the exit code: 0 after SIGTERM, 130 after SIGINT.

    With ``once`` 0 when all is fired that is due; 1 when it can't lead within two TTL, or can't fire.
    ``lag``: of the loop that this runs on.
    """
    settings, instance = start.settings, Instance(socket.gethostname(), os.getpid())
    parts = _assemble(start, instance, lag)
    http = start.listening and served_at(start.listening)
    parts.events.emit("started", version=__version__, instance=instance.name, namespace=settings.namespace, http=http)
    keep_full_collections_back()
    asyncio.get_running_loop().set_default_executor(LooseThreads())
    with (
        _watched(parts, start.systemd),
        _served(start.listening, parts.pages),
        signals(parts.watch.ask) as ended,
    ):
        ended.add_done_callback(lambda _: parts.vitals.stop())
        start.systemd.ready()
        try:
            await run_together(*_services(start, parts, ended))
        finally:
            start.systemd.stopping()
            parts.vitals.stop()
            await _left(parts)  # also when a defect ends us: a standby should not have to wait for the TTL
    parts.log.flush()
    return _told_end(parts, ended)


def _assemble(start: Start, instance: Instance, lag: LoopLag) -> Parts:
    """Builds the parts. Long, for it is a table: what each of them is given."""
    settings, timing, clock = start.settings, LeaseTiming(start.settings.lease_ttl), ServerClock()
    log = LogEvents(clock.monotonic, asyncio.get_running_loop().call_later)
    tallies, vitals, pulse = Tallies(), Vitals(clock, data_version(), start.hide), Pulse()
    events = Sinks(log, tallies, vitals)
    lag.tell = lambda seconds: events.emit("loop_lagged", lag_ms=round(seconds * 1000))
    links, stores = _stores(start, instance, timing, events, vitals)
    carrier = _carrier(start, clock, events, vitals)
    loaded = None if start.entries is None else LoadedFiles(start.entries, clock.monotonic(), start.allow_shrink)
    own = OwnFiles(loaded, instance.name, clock, events)
    files = [str(file.path.absolute()) for file in settings.files]
    record = partial(instance_record, host=instance.host, pid=instance.pid, version=__version__, files=files)
    elector = Elector(
        stores,
        timing,
        clock,
        events,
        instance=instance.name,
        zone_data=data_version(),
        vitals=vitals,
        record=lambda term: record(term, own, vitals, clock, tzdata=data_version(), lag_ms=round(lag.worst_ms)),
        saw_applied=own.saw,
        new_id=_new_id,
        random_source=random.Random(),  # noqa: S311  # spreads retries; nothing secret
    )
    watch = FileWatch(
        start.disk,
        own,
        clock,
        events,
        watched=settings.watched,
        settings=kept_settings({setting.name: getattr(settings, setting.name) for setting in SETTINGS}),
        leads=lambda: elector.term is not None,
        announce=elector.announce,
        allow_shrink=start.allow_shrink,
        reloading=start.systemd.reloading,
    )
    leader = Leader(
        stores,
        elector,
        clock,
        events,
        Definitions(settings.namespace, partial(compile_template, origin=instance.origin)),
        FileEntries(stores.open_files, own, events, timing=timing, new_id=_new_id),
        vitals,
        version=__version__,
        zone_data=data_version(),
        new_tag=_tags(),
        random_source=random.Random(),  # noqa: S311  # as above
        patience=timing.patience,
        carrier=carrier,
    )
    return Parts(
        log,
        links,
        events,
        clock,
        elector,
        leader,
        watch,
        vitals,
        pulse,
        pages(vitals, tallies, own, pulse, lag, start.hide),
        carrier,
    )


def _carrier(start: Start, clock: ServerClock, events: EventSink, vitals: Vitals) -> Carrier | None:
    """What takes messages to another broker; None where they go to our Redis. Raises ConfigInvalid."""
    broker = start.settings.broker_beside(start.url)
    if broker is None:
        return None
    return Carrier(open_transport(broker), clock, events, vitals, random.Random())  # noqa: S311  # as above


async def _left(parts: Parts) -> None:
    """Hands the lease over, and then ends the connection to another broker."""
    await parts.elector.resign()
    if parts.carrier is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await parts.carrier.close()


def _stores(
    start: Start, instance: Instance, timing: LeaseTiming, events: EventSink, vitals: Vitals
) -> tuple[Links, RedisStores]:
    """Connections to Redis, whose state is looked at, and told of, whenever it answers anew."""
    settings, keys, who = start.settings, Keys(start.settings.namespace), audit("beatd run", user_name(), instance.host)
    files = [str(file.path.absolute())[-LONGEST_PATH:] for file in settings.files[:MOST_FILES]]
    address = RedisAddress(start.url, timing.timeout, start.url_file)
    queues = start.queues if settings.broker_beside(start.url) is None else ()
    rights = Rights(keys, queues, user_of(start.url))
    greeting = Greeting(events, place=f"Redis at {address}", strict=start.strict)

    async def meet(link: Link) -> None:
        greeting.met(await survey(link, rights))

    links = Links(address, lambda: Link.open(address, rights, met=greeting.over, listener=vitals))
    return links, RedisStores(
        links.open,
        keys,
        who,
        HistoryBounds(settings.history_fires, settings.history_skips),
        saying(who, instance=instance.name, files=files),
        meet,
    )


def _services(
    start: Start, parts: Parts, ended: "asyncio.Future[signal.Signals]"
) -> Sequence[Coroutine[Any, Any, None]]:
    """All that runs side by side; the first that ends, ends the daemon."""
    elector, leader = parts.elector, parts.leader
    services = [
        elector.run(),
        leader.run(),
        parts.watch.run(),
        parts.links.follow(),
        collect_when_quiet(lambda: leader.staged),
    ]
    services += [_tend(start.keeper, parts.events), _until(ended)]
    if start.systemd.listens:
        services.append(_tell_status(start.systemd, parts.vitals))
    if start.once:
        services.append(_until_calm(parts, LeaseTiming(start.settings.lease_ttl)))
    return services


@contextlib.contextmanager
def _watched(parts: Parts, systemd: Systemd) -> Iterator[None]:
    """The loop beats, to its last word, and the watchdog ends the process when it doesn't."""
    loop, pulse = asyncio.get_running_loop(), parts.pulse

    def told() -> None:
        parts.events.emit("watchdog_expired", missed=pulse.missed)
        log_stacks(loop)

    watchdog = Watchdog(pulse, saw_beat=systemd.alive, last_words=(told, partial(write_stacks, loop)))
    beating = asyncio.create_task(pulse.run(), name="pulse")
    with watchdog.watching():
        try:
            yield
        finally:
            beating.cancel()


async def _tell_status(systemd: Systemd, vitals: Vitals) -> None:
    while True:
        epoch, failing = vitals.epoch if vitals.leads else None, vitals.failing is not None
        waiting = vitals.trouble is not None
        down = vitals.broker_down_since is not None
        line = status_line(epoch, vitals.stored_entries(), waiting=waiting, failing=failing, broker_down=down)
        systemd.status(line)
        await asyncio.sleep(STATUS_S)


def _told_end(parts: Parts, ended: "asyncio.Future[signal.Signals]") -> int:
    """Tells why it ended; gives the exit code."""
    if ended.done():
        parts.events.emit("stopped", signal=ended.result().name)
        return 130 if ended.result() == signal.SIGINT else 0
    calm = parts.leader.calm.is_set()
    failed = "queues of the broker take no messages" if parts.leader.refused else "could not lead and fire"
    parts.events.emit("stopped", reason="all that was due is fired" if calm else failed)
    return 0 if calm else 1


def _served(listening: socket.socket | None, pages: Pages) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if listening is None else serving(listening, pages)


def _new_id() -> str:
    return uuid.uuid4().hex


def _tags() -> Callable[[], str]:
    """Delivery tags in the shape of a UUID: unique by a random head and a counter, for a fire is no time for more."""
    head = str(uuid.uuid4())[:23]
    numbers = itertools.count(random.SystemRandom().getrandbits(40))
    return lambda: f"{head}-{next(numbers):012x}"


async def _tend(keeper: Keeper | None, events: EventSink) -> None:
    """Looks after the private server, if there is one: a joined one becomes ours when its owner dies."""
    trouble = Trouble(events, random.Random(), time.monotonic, "private server")  # noqa: S311  # as above
    while True:
        await asyncio.sleep(TEND_S)
        try:
            if keeper is not None:
                keeper.tend()
                trouble.over()
        except BeatdError as error:
            trouble.met(error)


async def _until_calm(parts: Parts, timing: LeaseTiming) -> None:
    """Until all is fired that is due; at most two TTL without the lease, without a session that works, or without
    anything that another broker takes. Queues that take nothing are waited for as long, whatever others take.
    """
    leader, clock, vitals = parts.leader, parts.clock, parts.vitals
    give_up, refused_at = clock.monotonic() + 2 * timing.ttl, math.inf
    while not await wait_for_event(leader.calm, CALM_S):
        if leader.refused:
            refused_at = min(refused_at, clock.monotonic())
            if clock.monotonic() > refused_at + 2 * timing.ttl:
                return
        stuck = parts.carrier is not None and parts.carrier.stuck_s() > 2 * timing.ttl
        if parts.elector.term is not None and vitals.failing_s() < 2 * timing.ttl and not stuck:
            give_up = clock.monotonic() + 2 * timing.ttl
        elif clock.monotonic() > give_up:
            return
    leader.calm.set()


async def _until(ended: "asyncio.Future[signal.Signals]") -> None:
    await asyncio.shield(ended)
