"""`beatd run`: the daemon in the foreground."""

import asyncio
import contextlib
import faulthandler
import importlib.util
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import click

from beatd.cli.logs import Logs, logging_to_stderr
from beatd.cli.main import Common, common_options, learnt
from beatd.cli.secrets import KNOWN, command_line_is_clean
from beatd.config.on_disk import ConfigOnDisk
from beatd.config.problems import summed_up
from beatd.config.settings import Settings, load_settings
from beatd.core.entry_set import EntrySet
from beatd.core.masking import mask_url
from beatd.daemon.daemon import Start, run_daemon
from beatd.daemon.http import is_loopback, listen, served_at
from beatd.daemon.lag import LoopLag
from beatd.daemon.signals import SIGNALS
from beatd.daemon.systemd import SHORTEST_WATCHDOG_S, Systemd
from beatd.errors import BeatdError, ConfigInvalid
from beatd.store.embedded import Keeper, find_running


@click.command()
@common_options
@click.option("--lease-ttl", metavar="DURATION", help="After this long without renewal a standby takes over [6s].")
@click.option("--allow-shrink", is_flag=True, help="Let the file take away more than half of the entries at once.")
@click.option("--broker", metavar="URL", help="Where the queues are [BEATD_BROKER_URL; redis, the same Redis].")
@click.option(
    "--http", metavar="ADDRESS", help="Where health and metrics are served [BEATD_HTTP; 127.0.0.1:9464]; or off."
)
@click.option("--http-allow-remote", is_flag=True, help="Let --http be an address that other hosts can reach.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error [BEATD_LOG_LEVEL; info].")
@click.option(
    "--log-format", metavar="FORM", help="text or json [BEATD_LOG_FORMAT; auto: text on a terminal, else JSON lines]."
)
@click.option("--once", is_flag=True, help="Become leader, fire what is due, and end: 0; 1 when another one leads.")
@click.option("--dry-run", is_flag=True, help="Print what would be fired; take no lease, write nothing.")
@click.option("--strict", is_flag=True, help="Don't start on a Redis that may forget: eviction, or no persistence.")
def run(
    common: Common,
    lease_ttl: str | None,
    broker: str | None,
    http: str | None,
    log_level: str | None,
    log_format: str | None,
    *,
    http_allow_remote: bool,
    dry_run: bool,
    **asked: bool,
) -> int:
    """Run the daemon. Start it on as many hosts as you like: one leads, the others stand by.

    Entries come from schedules.yaml (-c, BEATD_CONFIG, ./schedules.yaml, /etc/beatd/schedules.yaml) and from Redis.
    Without any Redis configured, a private one is started beside the file.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it means that files are read again, it must not end us
    systemd = Systemd.taken_from(os.environ, os.getpid())
    flags = common.flags(lease_ttl=lease_ttl, broker=broker, http=http, log_level=log_level, log_format=log_format)
    with logging_to_stderr(log_format or os.environ.get("BEATD_LOG_FORMAT")) as logs:
        try:
            return _started(common, flags, logs, systemd, allow_remote=http_allow_remote, dry_run=dry_run, **asked)
        except BeatdError as error:
            logs.refusal(error)
            return error.exit_code


def _started(
    common: Common,
    flags: dict[str, str | None],
    logs: Logs,
    systemd: Systemd,
    *,
    allow_remote: bool,
    dry_run: bool,
    **asked: bool,
) -> int:
    """Decides what to run with, says so, and runs it."""
    files = common.files()
    settings = learnt(load_settings(files, flags, os.environ))
    _check_broker(settings)
    logs.use(settings.log_format, settings.log_level)
    _leave_stacks_in_a_crash()
    for text in _remarks(settings, systemd):
        logs.notice(text)
    if dry_run:
        return _dry_run(settings, once=asked["once"])
    entries = EntrySet.of(settings.entries) if settings.files else None
    queues = tuple(dict.fromkeys(["celery", *(entry.queue for entry in settings.entries)]))
    listening = _listen(settings, logs, once=asked["once"], allow_remote=allow_remote)
    settings, disk = settings.without_entries(), ConfigOnDisk(files, flags, os.environ, KNOWN.learn)

    def start(url: str, file: str | None = None, keeper: Keeper | None = None) -> Start:
        return Start(
            settings, entries, disk, url, file, keeper, queues, listening, systemd=systemd, hide=KNOWN.hide, **asked
        )

    if settings.redis:
        logs.notice(f"Redis: {mask_url(settings.redis)}, namespace {settings.namespace}")
        _tell_broker(settings, settings.redis, logs)
        file = settings.origins["redis"].file
        return _run(start(settings.redis, file if file and Path(file).is_file() else None))  # a pipe is read once
    keeper = Keeper(settings.folder)
    try:
        server = keeper.start()
        logs.notice(server.notice())
        _tell_broker(settings, server.url, logs)
        return _run(start(server.url, keeper=keeper))
    finally:
        keeper.stop()


def _tell_broker(settings: Settings, url: str, logs: Logs) -> None:
    """Where the messages go, if not to the Redis that holds the entries."""
    broker = settings.broker_beside(url)
    if broker is not None:
        logs.notice(f"broker: {broker.label}")


def _listen(settings: Settings, logs: Logs, *, once: bool, allow_remote: bool) -> socket.socket | None:
    """Where health and metrics are served; None where they are not. Raises ConfigInvalid.

    Nobody asked for the default address: where it can't be had, the daemon runs without, and so does one that ends at
    once.
    """
    address, origin = settings.http, settings.origins["http"]
    if address is None or (once and origin.source == "default"):
        return None
    try:
        if not allow_remote and not is_loopback(address.host):
            raise ConfigInvalid(
                f"http: found {address} ({origin.place}), which other hosts can reach",
                hint="add --http-allow-remote if that is meant: there is no password; or use 127.0.0.1",
            )
        listening = listen(address.host, address.port)
    except OSError as error:
        known = error.errno is not None and error.errno > 0  # a name that does not resolve has a number of another kind
        problem = f"{address} can't be served: {os.strerror(error.errno or 0) if known else error.strerror}"
        if origin.source == "default":
            logs.notice(
                f"warning: http: {problem}; going on without health and metrics (--http chooses another address)"
            )
            return None
        raise ConfigInvalid(f"http: {problem} ({origin.place})", hint="choose another, or --http off") from error
    logs.notice(f"HTTP: {served_at(listening)} (/healthz, /readyz, /metrics)")
    return listening


def _dry_run(settings: Settings, *, once: bool) -> int:
    """On the Redis that is configured, or the private server if it runs; without either by the files alone."""
    from beatd.cli.dry_run import dry_run

    if settings.redis:
        return dry_run(settings, settings.redis, once=once)
    server = find_running(settings.folder)
    return dry_run(settings, None if server is None else server.url, once=once)


def _check_broker(settings: Settings) -> None:
    """Other brokers than our Redis need kombu. Raises ConfigInvalid with what to type."""
    if settings.broker is not None and importlib.util.find_spec("kombu") is None:
        found = f"{settings.broker.label} ({settings.origins['broker'].place})"
        raise ConfigInvalid(
            f"broker: found {found}, for which kombu is needed, and it is not installed here",
            hint="pip install 'beatd[amqp]', or write broker: redis",
        )


def _run(start: Start) -> int:
    """Runs the daemon. Signals wait until it has its handlers: one amid the making of a loop leaves debris."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    lag = LoopLag()
    with asyncio.Runner(loop_factory=lag.new_loop) as runner:
        return runner.run(run_daemon(start, lag))


def _remarks(settings: Settings, systemd: Systemd) -> Iterator[str]:
    """What is to be said before it starts."""
    if settings.warnings:
        yield summed_up(settings.warnings)
    if systemd.watchdog_s is not None and systemd.watchdog_s < SHORTEST_WATCHDOG_S:
        yield f"WatchdogSec is {systemd.watchdog_s:g} s: give it 30 s, at least {SHORTEST_WATCHDOG_S:g} s"
    if not command_line_is_clean():
        yield "other users of this host can read the password on the command line: use BEATD_REDIS_URL_FILE"
    yield f"schedules: {', '.join(str(file.path) for file in settings.files) or 'no file; entries stored in Redis'}"


def _leave_stacks_in_a_crash() -> None:
    """Of C code, or by the SIGABRT of systemd's watchdog; nowhere where stderr is no file."""
    with contextlib.suppress(OSError, RuntimeError, AttributeError):
        faulthandler.enable()
