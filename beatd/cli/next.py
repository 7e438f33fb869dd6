"""`beatd next`: when a schedule or an entry will run."""

import itertools
import json
import time
from typing import Any, Final

import click

from beatd.cli.main import Common, common_options, output_options, print_json
from beatd.cli.schedule_options import Asked, find_schedule, schedule_options
from beatd.cli.show import note
from beatd.cli.slots import slot_row, slot_table
from beatd.core.instant import read_moment
from beatd.core.preview import coming_slots, why_none
from beatd.core.schedules import Schedule
from beatd.errors import NoSlot, ScheduleInvalid

MOST: Final = 100_000
COUNTED: Final = 10_000


@click.command("next")
@click.argument("words", nargs=-1, metavar="[NAME|SCHEDULE]")
@common_options
@schedule_options
@click.option("-n", "count", type=click.IntRange(1, MOST), default=10, show_default=True, help="Show so many slots.")
@click.option("--from", "since", metavar="INSTANT", help="Slots after this instant [now].")
@click.option("--until", metavar="INSTANT", help="Slots up to this instant, and at it.")
@output_options("table", "json", "ndjson")
def next_slots(
    common: Common,
    words: tuple[str, ...],
    schedule: dict[str, Any],
    count: int,
    since: str | None,
    until: str | None,
    output: str,
) -> None:
    """Show when a schedule, or an entry, will run.

    \b
    beatd next nightly-report
    beatd next "0 9 * * mon-fri" --tz Europe/Paris
    beatd next 90s -n 3
    beatd next --cron "30 2 * * *" --tz America/New_York --from 2026-03-08T00:00:00Z -n 5 -o json

    With --cron, --every, --at or --rrule a NAME is that of an entry to be: intervals and H take their place from it.
    Other options change the schedule that is named, for this look only. An instant without an offset is wall time in
    the schedule's zone. In JSON, `in_s` counts seconds from --from, else from now.
    """
    asked = find_schedule(words, schedule, common)
    found = asked.schedule
    after = now_ms() if since is None else instant_of("--from", since, found)
    last = None if until is None else instant_of("--until", until, found)
    if last is not None and last < after:
        raise click.UsageError("--until lies before " + ("now" if since is None else "--from"))
    slots = list(coming_slots(found, after, last, count))
    _print(found, slots, after, output, later=since is not None)
    if not slots:
        raise NoSlot(f"no slot: {why_none(found, after, last)}")
    _print_notes(asked, slots, last)


def now_ms() -> int:
    """The clock of this host, UTC ms."""
    return time.time_ns() // 1_000_000


def instant_of(flag: str, text: str, schedule: Schedule) -> int:
    """An instant given by a flag; without an offset it is wall time in the schedule's zone. Raises UsageError."""
    try:
        return read_moment(flag, text, schedule.zone).ms
    except ScheduleInvalid as error:
        raise click.UsageError(error.message) from error


def _print(schedule: Schedule, slots: list[int], origin: int, output: str, *, later: bool) -> None:
    if output == "table":
        if slots:
            slot_lines = slot_table(schedule, slots, origin, later=later)
            click.echo(f"{schedule.words()}, {schedule.timezone}\n\n{slot_lines}")
        return
    rows = (slot_row(schedule, slot, origin) for slot in slots)
    if output == "json":
        print_json(list(rows))
        return
    for batch in iter(lambda: list(itertools.islice(rows, 500)), []):
        click.echo("\n".join(json.dumps(row, ensure_ascii=False) for row in batch))


def _print_notes(asked: Asked, slots: list[int], until: int | None) -> None:
    for text in asked.notes():
        note(text)
    if until is not None and (more := asked.schedule.count_ms(slots[-1], until, COUNTED)):
        note(f"{'at least ' if more == COUNTED else ''}{more:,} more up to --until: -n shows more")
