"""`beatd run`: the daemon in the foreground."""

import asyncio
import os
import signal

import click

from beatd.cli.logs import Logs, logging_to_stderr
from beatd.cli.main import Common, common_options, learnt
from beatd.cli.secrets import KNOWN, command_line_is_clean
from beatd.config.on_disk import ConfigOnDisk
from beatd.config.problems import report
from beatd.config.settings import Settings, load_settings, mask_secret
from beatd.core.entry_set import EntrySet
from beatd.core.masking import mask_url
from beatd.daemon.daemon import SIGNALS, Start, run_daemon
from beatd.daemon.lag import LoopLag
from beatd.errors import BeatdError, ConfigInvalid
from beatd.store.embedded import Keeper, find_running


@click.command()
@common_options
@click.option("--lease-ttl", metavar="DURATION", help="After this long without renewal a standby takes over [6s].")
@click.option("--allow-shrink", is_flag=True, help="Let the file take away more than half of the entries at once.")
@click.option("--broker", metavar="URL", help="Where the queues are [BEATD_BROKER_URL; redis, the same Redis].")
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
    log_level: str | None,
    log_format: str | None,
    *,
    dry_run: bool,
    **asked: bool,
) -> int:
    """Run the daemon. Start it on as many hosts as you like: one leads, the others stand by.

    Entries come from schedules.yaml (-c, BEATD_CONFIG, ./schedules.yaml, /etc/beatd/schedules.yaml) and from Redis.
    Without any Redis configured, a private one is started beside the file.
    """
    flags = common.flags(lease_ttl=lease_ttl, broker=broker, log_level=log_level, log_format=log_format)
    with logging_to_stderr(log_format or os.environ.get("BEATD_LOG_FORMAT")) as logs:
        try:
            return _started(common, flags, logs, dry_run=dry_run, **asked)
        except BeatdError as error:
            logs.refusal(error)
            return error.exit_code


def _started(common: Common, flags: dict[str, str | None], logs: Logs, *, dry_run: bool, **asked: bool) -> int:
    """Decides what to run with, says so, and runs it."""
    files = common.files()
    settings = learnt(load_settings(files, flags, os.environ))
    _refuse_other_broker(settings)
    logs.use(settings.log_format, settings.log_level)
    if settings.warnings:
        logs.notice(report(settings.warnings))
    if settings.origins["http"].source != "default":
        logs.notice("http is not served yet, and has no effect")
    if not command_line_is_clean():
        logs.notice("other users of this host can read the password on the command line: use BEATD_REDIS_URL_FILE")
    logs.notice(
        f"schedules: {', '.join(str(file.path) for file in settings.files) or 'no file; entries stored in Redis'}"
    )
    if dry_run:
        return _dry_run(settings, once=asked["once"])
    entries = EntrySet.of(settings.entries) if settings.files else None
    queues = tuple(dict.fromkeys(["celery", *(entry.queue for entry in settings.entries)]))
    settings, disk = settings.without_entries(), ConfigOnDisk(files, flags, os.environ, KNOWN.learn)
    if settings.redis:
        logs.notice(f"Redis: {mask_url(settings.redis)}, namespace {settings.namespace}")
        return _run(Start(settings, entries, disk, settings.redis, None, queues, **asked))
    keeper = Keeper(settings.folder)
    try:
        server = keeper.start()
        logs.notice(server.notice())
        return _run(Start(settings, entries, disk, server.url, keeper, queues, **asked))
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
