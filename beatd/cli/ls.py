"""`beatd ls`: the entries as stored in Redis."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, get_args

import click

from beatd.cli.main import Common, common_options, output_options
from beatd.cli.row_formats import FORMATS, print_rows
from beatd.cli.rows import COLUMNS, FIELDS, WIDE, Shown, cells, fields, shown, styles
from beatd.cli.screen import Screen, size
from beatd.cli.show import HOW_TO_CREATE, coloured, instant, note, on_terminal, styled
from beatd.cli.slots import display_zone
from beatd.cli.stored import open_client, unknown
from beatd.cli.table import render
from beatd.client.blocking import Client
from beatd.client.listing import Listing
from beatd.core.duration import parse_duration
from beatd.core.listing import ASKED_STATES, Sort, Wanted
from beatd.core.zone import Zone
from beatd.errors import AccessDenied, ScheduleInvalid, Unreachable

USUAL: Final = 1_000  # rows of a table
MOST_NOTES: Final = 10
SHORTEST_MS: Final = 200
TABLES: Final = ("table", "wide")


@dataclass(frozen=True, slots=True)
class Asked:
    """What to list. limit: rows of a page at most, None: all on one."""

    wanted: Wanted
    sort: Sort
    limit: int | None
    page: int
    output: str

    def listing(self, client: Client) -> Listing:
        """Begun at the page."""
        skip = (self.page - 1) * (self.limit or 0)
        most = None if self.limit is None else self.limit + 1  # one more tells whether there are more
        listing = Listing(client.keys, self.wanted, self.sort, skip=skip, most=most)
        client.run(listing.begin())
        return listing


@dataclass(slots=True)
class Rows:
    """The rows of a page as they are read, and what is known of them afterwards."""

    client: Client
    listing: Listing
    limit: int | None
    count: int = 0
    more: bool = False
    found: set[str] = field(default_factory=set)  # of those that were asked for by name
    invalid: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Shown]:
        while chunk := self.client.run(self.listing.chunk()):
            for row in chunk:
                if self.count == self.limit:
                    self.more = True
                    return
                self.count += 1
                if self.listing.wanted.names is not None:
                    self.found.add(row.name)
                if (why := row.why_invalid()) is not None:
                    self.invalid.append(f"{row.name} is invalid: {why}")
                yield shown(row, self.listing.now)

    def names(self) -> Iterator[str]:
        """Their names alone, which takes a tenth of the time."""
        while chunk := self.client.run(self.listing.names()):
            left = len(chunk) if self.limit is None else self.limit - self.count
            self.more = left < len(chunk)
            self.count += len(chunk[:left])
            if self.listing.wanted.names is not None:
                self.found.update(chunk[:left])
            yield from chunk[:left]
            if self.more:
                return


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@common_options
@click.option("--state", "states", metavar="STATE", multiple=True, help=f"In this state: {', '.join(ASKED_STATES)}.")
@click.option("--tag", "tags", multiple=True, help="With this tag; with all of several.")
@click.option("--task", "tasks", metavar="GLOB", multiple=True, help="Of this task: 'app.mail.*'.")
@click.option("--owner", "owners", metavar="GLOB", multiple=True, help="Of this owner: file, api, 'apply:*'.")
@click.option("--sort", type=click.Choice(get_args(Sort)), default="next", show_default=True, help="Order.")
@click.option("--limit", type=click.IntRange(0), help=f"At most so many, 0: all [tables: {USUAL:,}].")
@click.option("--page", type=click.IntRange(1), default=1, help="Which so many of them [1].")
@click.option("-w", "--watch", is_flag=True, help="Draw it anew in its place, until Ctrl-C.")
@click.option("--interval", metavar="DURATION", default="2s", show_default=True, help="How often --watch draws.")
@output_options(*TABLES, *FORMATS)
def ls(
    common: Common,
    patterns: tuple[str, ...],
    states: tuple[str, ...],
    tags: tuple[str, ...],
    tasks: tuple[str, ...],
    owners: tuple[str, ...],
    sort: Sort,
    limit: int | None,
    page: int,
    interval: str,
    output: str,
    *,
    watch: bool,
) -> None:
    """List entries with their next and last runs, the next one to run first.

    \b
    beatd ls 'mail-*' --state paused,invalid
    beatd ls --task 'app.reports.*' --sort last -o wide
    beatd ls --limit 50 --page 2
    beatd ls --watch

    A PATTERN is a name, or a glob with * ? [...] in quotes. Of the states, `never` means that it has not run yet, and
    `late` that it is due and was not sent. A table is cut to the width of the terminal; -o wide cuts nothing.

    By next, a page takes as long as it is, however many entries there are; by name or last all names are read first.
    """
    if limit is None:
        limit = USUAL if output in TABLES or page > 1 else 0
    if page > 1 and not limit:
        raise click.UsageError("--page: with --limit 0 there is one page")
    asked = Asked(Wanted(patterns, _states(states), tags, tasks, owners), sort, limit or None, page, output)
    every = _interval(interval)
    if watch and (output not in TABLES or not on_terminal(sys.stdout)):
        raise click.UsageError("--watch draws a table on a terminal, not into a pipe or a file")
    zone = display_zone(name) if (name := os.environ.get("BEATD_TZ")) else None
    with open_client(common) as client:
        if watch:
            _watch(client, asked, zone, every)
        rows = Rows(client, asked.listing(client), asked.limit)
        if output in TABLES:
            width = size()[0] if on_terminal(sys.stdout) else None
            for line in _table(list(rows), output, zone, width):
                click.echo(line)
        elif output == "name":
            print_rows(output, ({"name": name} for name in rows.names()), FIELDS)
        else:
            print_rows(output, map(fields, rows), FIELDS)
        _tell(asked, rows)


def _table(rows: Sequence[Shown], output: str, zone: Zone | None, width: int | None) -> list[str]:
    """The lines of a table. width: of the terminal it must fit, None: as wide as it is."""
    columns = WIDE if output == "wide" else COLUMNS
    found = [fields(row) for row in rows]
    texts = [
        cells(row, each, zone, to_ms=output == "wide")[: len(columns)] for row, each in zip(rows, found, strict=True)
    ]
    looks = [styles(row, each, len(columns)) for row, each in zip(rows, found, strict=True)] if coloured() else ()
    bold = (lambda text: styled(text, bold=True)) if coloured() else None
    return render(columns, texts, None if output == "wide" else width, looks, bold)


def _tell(asked: Asked, rows: Rows) -> None:
    """What is to be said besides the rows. Raises NotFound where a name that was asked for is missing."""
    tables = asked.output in TABLES
    if tables and not rows.listing.total:
        note(f"no entries here yet; {HOW_TO_CREATE}")
    elif tables and not rows.count:
        note(f"no entry matches (of {rows.listing.total:,})" if asked.page == 1 else "no such page")
    if rows.more:
        of = f" of {rows.listing.total:,}" if asked.wanted.admits_all else ""
        note(f"{rows.count:,} shown{of}; --page {asked.page + 1} shows the next, --limit 0 all")
    if rows.listing.astray:
        note(f"{rows.listing.astray:,} entries are in no place and not listed: a leader puts them back in seconds")
    for text in rows.invalid[:MOST_NOTES] if tables else ():
        note(text)
    if tables and len(rows.invalid) > MOST_NOTES:
        note(f"{len(rows.invalid) - MOST_NOTES:,} more are invalid: beatd ls --state invalid -o json")
    alone = not (asked.wanted.states or asked.wanted.by_definition) and asked.page == 1 and not rows.more
    for name in (asked.wanted.names or ()) if alone else ():
        if name not in rows.found:
            raise unknown(rows.client, name)


def _watch(client: Client, asked: Asked, zone: Zone | None, every: float) -> NoReturn:
    """Draws until Ctrl-C. Redis may go and come back: the last picture stays, with a line that says so."""
    head, lines = "", list[str]()
    with Screen() as screen:
        while True:
            width, height = size()
            limit = min(asked.limit or height, max(1, height - 3))
            try:
                page = Asked(asked.wanted, asked.sort, limit, asked.page, asked.output)
                rows = Rows(client, page.listing(client), limit)
                lines = _table(list(rows), asked.output, zone, width)
                more = "+" if rows.more else ""
                now = instant(rows.listing.now // 1_000 * 1_000)
                head = f"{now}  {rows.count}{more} of {rows.listing.total:,} entries"
                screen.draw([styled(head, dim=True), *lines])
            except AccessDenied:
                raise
            except Unreachable as error:
                screen.draw([styled(f"{head}  {error.message}; waiting for it", fg="red"), *lines])
            time.sleep(every)


def _states(given: Sequence[str]) -> list[str]:
    """States as words, several with commas between."""
    found = [word.strip() for text in given for word in text.split(",")]
    for word in found:
        if word not in ASKED_STATES:
            raise click.UsageError(f"--state {word!r}: there are {', '.join(ASKED_STATES)}")
    return found


def _interval(text: str) -> float:
    try:
        ms = parse_duration(text)
    except ScheduleInvalid as error:
        raise click.UsageError(f"--interval: {error.message}") from error
    if ms < SHORTEST_MS:
        raise click.UsageError(f"--interval: found {text}; at least {SHORTEST_MS}ms is accepted")
    return ms / 1_000
