"""`beatd history`: what was fired, what was skipped and why."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, get_args

import click

from beatd.cli.changes import Asked, show_changes
from beatd.cli.following import AGAIN_S
from beatd.cli.following import follow as follow_on
from beatd.cli.history_rows import Printer
from beatd.cli.main import Common, common_options, output_options
from beatd.cli.show import instant, note
from beatd.cli.slots import display_zone
from beatd.cli.stored import open_client, unknown
from beatd.cli.why import why_idle
from beatd.client.blocking import Client
from beatd.client.hindsight import look_back
from beatd.core.duration import parse_duration
from beatd.core.fire import Reason
from beatd.core.history import Line
from beatd.core.instant import read_moment
from beatd.core.zone import Zone, zone_named
from beatd.errors import ScheduleInvalid
from beatd.store.history import KINDS, Extent, History, Kind

USUAL: Final = 100
MOST: Final = 100_000  # lines kept to be turned round
CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for; since and until in UTC ms, by when they were written."""

    name: str | None
    since: int
    until: int | None
    reasons: frozenset[str]
    kinds: tuple[Kind, ...]

    def of(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Those of some lines."""
        for line in lines:
            if self.name is not None and line.name != self.name:
                continue
            if self.reasons and line.reason not in self.reasons:
                continue
            if self.until is None or line.at <= self.until:
                yield line


@click.command()
@click.argument("name", required=False)
@common_options
@click.option("--entry", metavar="NAME", help="The same as NAME, for one that begins with a dash.")
@click.option("--since", metavar="WHEN", help="From this instant on, or for so long: 1h.")
@click.option("--until", metavar="WHEN", help="Up to this instant, or so long ago.")
@click.option("--reason", "reasons", multiple=True, type=click.Choice(get_args(Reason)), help="Skips of this reason.")
@click.option("--fires", is_flag=True, help="What was fired, alone.")
@click.option("--skips", is_flag=True, help="What was skipped, alone.")
@click.option("--changes", is_flag=True, help="Who changed what instead: every edit, field by field.")
@click.option(
    "-n", "count", type=click.IntRange(0, MOST), help=f"The last so many; 0: all [{USUAL}; with --since all]."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@output_options("table", "json", "ndjson", "csv")
def history(
    common: Common,
    name: str | None,
    entry: str | None,
    since: str | None,
    until: str | None,
    reasons: tuple[str, ...],
    count: int | None,
    output: str,
    *,
    fires: bool,
    skips: bool,
    changes: bool,
    follow: bool,
) -> None:
    """Show what was fired and what was skipped, with the reason; the newest last. With --changes, who changed what.

    \b
    beatd history nightly-report              why did it not run?
    beatd history --since 1h --reason missed
    beatd history --changes nightly-report    who changed it, when, and why?
    beatd history -f -o ndjson

    LATE counts from the slot and the entry's jitter. A skip can stand for a range of slots. --since and --until go by
    when a line was written; without an offset they are wall time in BEATD_TZ, or UTC.
    """
    if follow and (until is not None or output == "json"):
        raise click.UsageError("--follow has no end: without --until, and with -o table, ndjson or csv")
    if changes and output == "csv":
        raise click.UsageError("--changes has rows within rows: with -o table, json or ndjson")
    if name is not None and entry not in (None, name):
        raise click.UsageError(f"one entry at a time: found {name!r} and --entry {entry!r}")
    _refuse_contradictions(reasons, fires=fires, skips=skips, changes=changes)
    shown_zone = os.environ.get("BEATD_TZ")
    zone = display_zone(shown_zone) if shown_zone else zone_named("UTC")
    with open_client(common) as client:
        now = client.now_ms()
        wanted = Wanted(
            name if entry is None else entry,
            0 if since is None else _instant("--since", since, zone, now),
            None if until is None else _instant("--until", until, zone, now),
            frozenset(reasons),
            _kinds(fires=fires, skips=skips or bool(reasons)),
        )
        if count is None:
            count = USUAL if since is None else 0
        if changes:
            asked = Asked(wanted.name, wanted.since, wanted.until, count)
            show_changes(client, asked, output, follow=follow)
            return
        printer = Printer(output, client.keys.namespace, zone, shown_zone, named=wanted.name is None, more=follow)
        _show(client, wanted, count, printer, now, follow=follow)


def _refuse_contradictions(reasons: tuple[str, ...], *, fires: bool, skips: bool, changes: bool) -> None:
    if reasons and fires and not skips:
        raise click.UsageError("--reason is about skips, and --fires leaves them out")
    if changes and (fires or skips or reasons):
        raise click.UsageError("--changes is about edits: without --fires, --skips and --reason")


def _show(client: Client, wanted: Wanted, count: int, printer: Printer, now: int, *, follow: bool) -> None:
    past = History(client.link, wanted.kinds, wanted.name)
    after = past.tips()
    printed = 0
    for chunk in _chunks(_past(past, wanted, count, dict(after))):
        printer.print(chunk, past.jitters, client.run(look_back(client.keys, chunk)))
        printed += len(chunk)
    if not follow:
        printer.end()
    if not count or printed < count:
        _tell_trimmed(past.extents(), wanted.since)
    if wanted.name is not None:
        _tell_state(client, wanted.name, now, none=not printed and not follow)
    elif not printed and not follow:
        note("there are no rows" if wanted == Wanted(None, 0, None, frozenset(), KINDS) else "there are no such rows")
    if follow:

        def print_more() -> None:
            for chunk in _chunks(wanted.of(past.wait(after, AGAIN_S))):
                printer.print(chunk, past.jitters, client.run(look_back(client.keys, chunk)))

        follow_on(print_more)


def _past(past: History, wanted: Wanted, count: int, up_to: dict[Kind, Any]) -> Iterator[Line]:
    """The lines there are, oldest first: all of them, page by page, or the last so many."""
    if wanted.until is not None:
        end = (wanted.until, 2**64 - 1)
        up_to = {kind: min(last, end) for kind, last in up_to.items()}
    if not count:
        return wanted.of(past.forwards(wanted.since, up_to))
    newest = deque(islice(wanted.of(past.backwards(wanted.since, up_to)), count))
    return reversed(newest)


def _chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    lines = iter(lines)
    return iter(lambda: list(islice(lines, CHUNK)), [])


def _kinds(*, fires: bool, skips: bool) -> tuple[Kind, ...]:
    if fires == skips:
        return KINDS
    return ("hist",) if fires else ("skip",)


def _instant(flag: str, text: str, zone: Zone, now: int) -> int:
    """An instant, UTC ms; a duration counts back from now. Raises UsageError for what is neither."""
    try:
        return max(0, now - parse_duration(text))
    except ScheduleInvalid:
        pass
    try:
        return max(0, read_moment(flag, text, zone).ms)
    except ScheduleInvalid as error:
        raise click.UsageError(f"{error.message}; or for how long: 2h") from error


def _tell_trimmed(extents: Mapping[Kind, Extent], since: int) -> None:
    """Says where the kept rows begin, if more was asked for."""
    for kind, extent in extents.items():
        if extent.oldest is None or extent.oldest <= since or extent.trimmed is False:
            continue
        what = "fires" if kind == "hist" else "skips"
        gone = f"older {what} were trimmed; " if extent.trimmed else ""
        note(f"{gone}the oldest of the {what} that are kept is of {instant(extent.oldest)}")


def _tell_state(client: Client, name: str, now: int, *, none: bool) -> None:
    """How an entry stands, for whoever asks why it did not run. Raises NotFound where it has no row either."""
    row = client.row(name)
    if row is None:
        if none:
            raise unknown(client, name, "row")
        note(f"there is no entry {name!r} any more")
        return
    note(f"{name}{' has no such row: it' if none else ''} {why_idle(row, now)}")
