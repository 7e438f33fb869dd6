"""`beatd run`: the daemon in the foreground."""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys

import click

from beatd.cli.main import Common, common_options
from beatd.config.on_disk import ConfigOnDisk
from beatd.config.problems import report
from beatd.config.settings import Settings, load_settings, mask_secret
from beatd.core.entry_set import EntrySet
from beatd.daemon.daemon import SIGNALS, Start, run_daemon
from beatd.daemon.lag import LoopLag
from beatd.daemon.systemd import SHORTEST_WATCHDOG_S, Systemd
from beatd.errors import ConfigInvalid
from beatd.store.connect import mask_url
from beatd.store.embedded import Keeper, find_running


@click.command()
@common_options
@click.option("--lease-ttl", metavar="DURATION", help="After this long without renewal a standby takes over [6s].")
@click.option("--allow-shrink", is_flag=True, help="Let the file take away more than half of the entries at once.")
@click.option("--broker", metavar="URL", help="Where the queues are [BEATD_BROKER_URL; redis, the same Redis].")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error [BEATD_LOG_LEVEL; info].")
@click.option("--once", is_flag=True, help="Become leader, fire what is due, and end: 0; 1 when another one leads.")
@click.option("--dry-run", is_flag=True, help="Print what would be fired; take no lease, write nothing.")
@click.option("--strict", is_flag=True, help="Don't start on a Redis that may forget: eviction, or no persistence.")
def run(
    common: Common,
    lease_ttl: str | None,
    broker: str | None,
    log_level: str | None,
    *,
    dry_run: bool,
    **asked: bool,
) -> int:
    """Run the daemon. Start it on as many hosts as you like: one leads, the others stand by.

    Entries come from schedules.yaml (-c, BEATD_CONFIG, ./schedules.yaml, /etc/beatd/schedules.yaml) and from Redis.
    Without any Redis configured, a private one is started beside the file.
    """
    systemd = Systemd.taken_from(os.environ, os.getpid())
    files, flags = common.files(), common.flags(lease_ttl=lease_ttl, broker=broker, log_level=log_level)
    settings = load_settings(files, flags, os.environ)
    _refuse_other_broker(settings)
    _log_to_stderr(settings.log_level)
    _leave_stacks_in_a_crash()
    if systemd.watchdog_s is not None and systemd.watchdog_s < SHORTEST_WATCHDOG_S:
        _say(f"WatchdogSec is {systemd.watchdog_s:g} s: give it 30 s, at least {SHORTEST_WATCHDOG_S:g} s")
    if settings.warnings:
        with contextlib.suppress(OSError):
            click.echo(report(settings.warnings), err=True)
    for name, setting in (("http", "http"), ("log.format", "log_format")):
        if settings.origins[setting].source != "default":
            _say(f"{name} is not served yet, and has no effect")
    _say(f"schedules: {', '.join(str(file.path) for file in settings.files) or 'no file; entries stored in Redis'}")
    if dry_run:
        return _dry_run(settings, once=asked["once"])
    entries = EntrySet.of(settings.entries) if settings.files else None
    queues = tuple(dict.fromkeys(["celery", *(entry.queue for entry in settings.entries)]))
    settings, disk = settings.without_entries(), ConfigOnDisk(files, flags, os.environ)
    if settings.redis:
        _say(f"Redis: {mask_url(settings.redis)}, namespace {settings.namespace}")
        return _run(Start(settings, entries, disk, settings.redis, None, queues, systemd=systemd, **asked))
    keeper = Keeper(settings.folder)
    try:
        server = keeper.start()
        _say(server.notice())
        return _run(Start(settings, entries, disk, server.url, keeper, queues, systemd=systemd, **asked))
    finally:
        keeper.stop()


def _dry_run(settings: Settings, *, once: bool) -> int:
    """On the Redis that is configured, or the private server if it runs; without either by the files alone."""
    from beatd.cli.dry_run import dry_run

    if settings.redis:
        return dry_run(settings, settings.redis, once=once)
    server = find_running(settings.folder)
    return dry_run(settings, None if server is None else server.url, once=once)


def _refuse_other_broker(settings: Settings) -> None:
    """Another broker than our Redis needs a transport, and there is none yet."""
    if settings.broker not in {"redis", settings.redis}:
        found = f"{mask_secret(settings.broker)} ({settings.origins['broker'].place})"
        raise ConfigInvalid(
            f"broker: found {found}; messages go to the Redis that holds the entries, and nowhere else yet",
            hint="leave broker out, or write broker: redis",
        )


def _run(start: Start) -> int:
    """Runs the daemon. Signals wait until it has its handlers: one amid the making of a loop leaves debris."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    lag = LoopLag()
    with asyncio.Runner(loop_factory=lag.new_loop) as runner:
        return runner.run(run_daemon(start, lag))


def _say(text: str) -> None:
    """To stderr; where nobody can write (its disk is full, say), the daemon runs all the same."""
    with contextlib.suppress(OSError):
        click.echo(f"beatd: {text}", err=True)


def _leave_stacks_in_a_crash() -> None:
    """Of C code, or by the SIGABRT of systemd's watchdog; nowhere where stderr is no file."""
    with contextlib.suppress(OSError, RuntimeError, AttributeError):
        faulthandler.enable()


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
