"""The composition root: builds the parts, runs them together, and stops them in order."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from beatd import __version__
from beatd.config.settings import Settings, files_hash
from beatd.core.term import LeaseTiming, Term
from beatd.core.zone import data_version
from beatd.daemon.clock import ServerClock
from beatd.daemon.definitions import Definitions
from beatd.daemon.elector import Elector
from beatd.daemon.events import LogEvents
from beatd.daemon.files import FileEntries, LoadedFiles
from beatd.daemon.garbage import collect_when_quiet, keep_full_collections_back
from beatd.daemon.lag import LoopLag
from beatd.daemon.leader import Leader
from beatd.daemon.together import run_together
from beatd.errors import BeatdError
from beatd.formats.celery import compile_template
from beatd.store.adapters import RedisStores
from beatd.store.connect import RedisAddress
from beatd.store.embedded import Keeper
from beatd.store.entries import audit, user_name
from beatd.store.keys import Keys
from beatd.store.link import Link
from beatd.store.timetable import HistoryBounds

TEND_S: Final = 0.5
END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
SAME_SIGNAL_S: Final = 0.5  # a key held down, or a shell and its child that both pass it on


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


async def run_daemon(
    settings: Settings, url: str, keeper: Keeper | None, lag: LoopLag, *, allow_shrink: bool = False
) -> int:
    """Runs until a signal ends it; hands the lease over. Gives the exit code: 0 after SIGTERM, 130 after SIGINT.

    ``lag``: of the loop that this runs on.
    """
    instance = Instance(socket.gethostname(), os.getpid())
    keys, timing, clock = Keys(settings.namespace), LeaseTiming(settings.lease_ttl), ServerClock()
    events = LogEvents(clock.monotonic)
    lag.tell = lambda seconds: events.emit("loop_lagged", lag_ms=round(seconds * 1000))
    who = audit("beatd run", user_name(), instance.host)
    address = RedisAddress(url, timing.timeout)
    bounds = HistoryBounds(settings.history_fires, settings.history_skips)
    stores = RedisStores(lambda: Link.open(address), keys, who, bounds)
    elector = Elector(
        stores,
        timing,
        clock,
        events,
        instance=instance.name,
        zone_data=data_version(),
        record=_record(instance, clock, lag),
        new_id=_new_id,
        random_source=random.Random(),  # noqa: S311  # spreads retries; nothing secret
    )
    files = FileEntries(
        stores.open_files,
        _loaded(settings),
        events,
        instance=instance.name,
        new_id=_new_id,
        allow_shrink=allow_shrink,
    )
    leader = Leader(
        stores,
        elector,
        clock,
        events,
        Definitions(settings.namespace, partial(compile_template, origin=instance.origin)),
        files,
        version=__version__,
        zone_data=data_version(),
        new_tag=_tags(),
        random_source=random.Random(),  # noqa: S311  # as above
    )
    events.emit("started", version=__version__, instance=instance.name, namespace=settings.namespace)
    keep_full_collections_back()
    with _signals() as ended:
        try:
            await run_together(
                elector.run(),
                leader.run(),
                collect_when_quiet(lambda: leader.staged),
                _tend(keeper, events),
                _until(ended),
            )
        finally:
            await elector.resign()  # also when a defect ends us: a standby should not have to wait for the TTL
    events.flush()
    events.emit("stopped", signal=ended.result().name)
    return 130 if ended.result() == signal.SIGINT else 0


def _loaded(settings: Settings) -> LoadedFiles | None:
    if not settings.files:
        return None
    return LoadedFiles(settings.entries, files_hash(settings.files))


def _record(instance: Instance, clock: ServerClock, lag: LoopLag) -> Callable[[Term | None], str]:
    def record(term: Term | None) -> str:
        role = "standby" if term is None else "leader"
        content = {
            "host": instance.host,
            "pid": instance.pid,
            "version": __version__,
            "role": role,
            "tzdata": data_version(),
        }
        return json.dumps({**content, "seen": clock.now_ms(), "lag_ms": round(lag.worst_ms)})

    return record


def _new_id() -> str:
    return uuid.uuid4().hex


def _tags() -> Callable[[], str]:
    """Delivery tags in the shape of a UUID: unique by a random head and a counter, for a fire is no time for more."""
    head = str(uuid.uuid4())[:23]
    numbers = itertools.count(random.SystemRandom().getrandbits(40))
    return lambda: f"{head}-{next(numbers):012x}"


@contextlib.contextmanager
def _signals() -> Iterator["asyncio.Future[signal.Signals]"]:
    """The first SIGTERM or SIGINT as a future; a second one that is meant ends the process at once."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[signal.Signals] = loop.create_future()
    first = 0.0

    def received(which: signal.Signals) -> None:
        nonlocal first
        if not ended.done():
            first = loop.time()
            ended.set_result(which)
        elif loop.time() - first > SAME_SIGNAL_S:
            os._exit(128 + which)

    for which in END_SIGNALS:
        loop.add_signal_handler(which, received, which)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
    try:
        yield ended
    finally:
        for which in END_SIGNALS:
            loop.remove_signal_handler(which)


async def _tend(keeper: Keeper | None, events: LogEvents) -> None:
    """Looks after the private server, if there is one: a joined one becomes ours when its owner dies."""
    told = ""
    while True:
        await asyncio.sleep(TEND_S)
        try:
            if keeper is not None:
                keeper.tend()
        except BeatdError as error:
            if error.message != told:
                told = error.message
                events.emit("redis_down", error=error.message, hint=error.hint, service="private server")


async def _until(ended: "asyncio.Future[signal.Signals]") -> None:
    await asyncio.shield(ended)
