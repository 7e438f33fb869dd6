"""`beatd run --dry-run`: what the daemon would fire, by what is stored and in the files now. No lease, no writes."""

import heapq
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

import click

from beatd.cli.show import instant, printable
from beatd.client.blocking import Client
from beatd.config.settings import Settings
from beatd.core.batch import MOST_MESSAGES, make_item
from beatd.core.difference import difference
from beatd.core.edit import PutItem, put_item, runs_after, runs_left
from beatd.core.entry import Entry, entry_from_definition
from beatd.core.entry_set import EntrySet, definition_hash
from beatd.core.fire import FireItem
from beatd.core.planning import owed_moment, plan_item
from beatd.core.timetable import Stored
from beatd.core.window import Compiled, Staged
from beatd.daemon.definitions import Definitions
from beatd.daemon.log_lines import NOTICE
from beatd.errors import EntryInvalid
from beatd.formats.celery import compile_template
from beatd.store.entries import Row

NOTICES: Final = logging.getLogger(NOTICE)
EARLY_MS: Final = 1  # as the ticker: a moment is due this long after itself
LONGEST_SLEEP_S: Final = 0.5


class _Next(NamedTuple):
    """An entry with the moment (UTC ms) at which it would be looked at next."""

    moment: int
    name: str
    compiled: Compiled
    task: str
    left: int | None


def dry_run(settings: Settings, url: str | None, *, once: bool) -> int:
    """Prints a line for each fire and skip, when it would happen: what is due now, and without ``once`` what comes,
    until it is interrupted. Without a server the files alone count.
    """
    rows: dict[str, Row] = {}
    lefts: dict[str, int | None] = {}
    now: Callable[[], int] = _wall_ms
    if url is not None:
        with Client(url, settings.namespace) as client:
            rows = {row.name: row for row in client.rows()}
            lefts = {name: client.runs_left(name) for name, row in rows.items() if b"max_runs" in row.definition}
            now = _clock(client.now_ms())
    definitions = Definitions(settings.namespace, partial(compile_template, origin="gen0@dry-run"))
    waiting = list(_planned(_after_files(settings, rows, lefts, now()), definitions, now()))
    heapq.heapify(waiting)
    NOTICES.info("dry run: %d entries wait for a slot; later edits are not followed", len(waiting))
    while waiting:
        ahead = waiting[0].moment + EARLY_MS - now()
        if ahead <= 0:
            _fire(waiting, now())
        elif once:
            break
        else:
            time.sleep(min(LONGEST_SLEEP_S, ahead / 1000))
    return 0


def _fire(waiting: list[_Next], now: int) -> None:
    due = heapq.heappop(waiting)
    item = make_item(Staged(due.compiled, due.moment, due.left), now, MOST_MESSAGES, lambda: "")
    for line in _lines(due, item):
        click.echo(line)
    if item.next_moment is not None:
        heapq.heappush(waiting, due._replace(moment=item.next_moment, left=item.left))


def _lines(due: _Next, item: FireItem) -> Iterator[str]:
    for skip in item.skips:
        yield f"skip {item.name} {skip.reason} {skip.count} from {instant(skip.first)} to {instant(skip.last)}"
    for slot in item.slots:
        task_id = due.compiled.shape.ids.of(item.name, slot)
        yield f"fire {item.name} {instant(slot)} task={due.task} queue={item.queue_key} id={task_id}"


def _after_files(
    settings: Settings, rows: Mapping[str, Row], lefts: Mapping[str, int | None], now: int
) -> Iterator[Stored]:
    """Entries in the timetable as they would be once the files are applied."""
    owned = {name: row.file_hash for name, row in rows.items() if row.file_hash is not None}
    entries = {entry.name: entry for entry in settings.entries}
    held = frozenset(name for name in entries if name in rows and name not in owned)
    wanted = EntrySet.of(settings.entries).hashes
    changes = difference(wanted, owned, held) if settings.files else difference({}, {}, frozenset())
    if settings.files:
        puts, removes = len(changes.puts), len(changes.removes)
        NOTICES.info("dry run: the files would write %d entries and remove %d", puts, removes)
    passed_over = {*changes.puts, *changes.removes, *changes.renames.values()}
    for name, row in rows.items():
        if name not in passed_over and row.state_at(now) == "scheduled":
            yield _stored(row, lefts.get(name))
    for entry in map(entries.__getitem__, changes.puts):
        before = rows.get(entry.name)
        if entry.enabled and not (before is not None and before.state_at(now) == "paused"):
            yield _put(entry, before, lefts.get(entry.name), now)


def _stored(row: Row, left: int | None) -> Stored:
    slot = row.last.split("|", 1)[0]
    last = int(slot) if slot.isdigit() else 0
    return Stored(row.name, str(row.moment or 0), row.rev, row.definition, last, row.jitter, left)


def _put(entry: Entry, before: Row | None, left: int | None, now: int) -> Stored:
    """What a put of the entry would leave: a pending slot stays where the schedule does."""
    old = None if before is None else _readable(before)
    item = put_item(entry, "dry", left=runs_left(old, entry, left), file_hash=definition_hash(entry.to_definition()))
    stored = _stored(before, left) if before is not None else None
    last = stored.last_slot if stored is not None else 0
    runs = runs_after(item.left, left)
    return Stored(entry.name, _score(item, before, now), item.rev, item.definition.encode(), last, item.jitter, runs)


def _score(item: PutItem, before: Row | None, now: int) -> str:
    if before is None or before.moment is None or before.out:
        return f"-{now}"
    same = before.rev.partition(".")[2] == item.rev.partition(".")[2] and before.jitter == item.jitter
    if same or before.moment < 0:
        return str(before.moment)
    return f"-{min(now, before.moment - before.jitter - 1)}"


def _readable(row: Row) -> Entry | None:
    try:
        return entry_from_definition(row.name, row.definition)
    except EntryInvalid:
        return None


def _planned(entries: Iterable[Stored], definitions: Definitions, now: int) -> Iterator[_Next]:
    for stored in entries:
        try:
            compiled = definitions.compile(stored)
            task = entry_from_definition(stored.name, stored.definition or b"").task
        except EntryInvalid as error:
            click.echo(printable(f"invalid {stored.name}: {error.message}"))
            continue
        moment = owed_moment(stored)
        if moment is None:
            verdict = plan_item(compiled, stored, now).verdict
            moment = int(verdict) if verdict.isdigit() else None
        if moment is not None:
            yield _Next(moment, stored.name, compiled, task, stored.left)


def _clock(server_ms: int) -> Callable[[], int]:
    began = time.monotonic()
    return lambda: server_ms + int((time.monotonic() - began) * 1000)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
