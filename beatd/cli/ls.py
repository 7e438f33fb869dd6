"""`beatd ls`: the entries as stored in Redis."""

import itertools
from typing import TYPE_CHECKING, Any

import click

from beatd.cli.main import Common, common_options, output_option, print_json
from beatd.cli.show import HOW_TO_CREATE, distance, instant, note, table
from beatd.cli.stored import entry_of, open_client, pause_of, why_invalid
from beatd.store.entries import Row

if TYPE_CHECKING:  # imported when needed
    from beatd.core.entry import Entry


@click.command()
@common_options
@output_option
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Show at most so many.")
def ls(common: Common, output: str, limit: int) -> None:
    """List entries with their next and last runs."""
    with open_client(common) as client:
        now = client.now_ms()
        rows = list(itertools.islice(client.rows(), limit))
    rows.sort(key=lambda row: (row.moment is None, row.moment or 0, row.name))
    shown = [_shown(row, now) for row in rows]
    if output == "json":
        print_json(shown)
        return
    click.echo(
        table(
            ("NAME", "SCHEDULE", "NEXT", "LEFT", "LAST", "STATE"),
            [
                (r["name"], r["schedule"], r["next"], _left(row, now), r["last"], _state_text(r))
                for r, row in zip(shown, rows, strict=True)
            ],
        )
    )
    if not rows:
        note(f"no entries here yet; {HOW_TO_CREATE}")
    for row in rows:
        if (why := why_invalid(row)) is not None:
            note(f"{row.name} is invalid: {why}")


def _left(row: Row, now: int) -> str | None:
    return None if row.moment is None or row.moment < 0 else distance(row.moment - now)


def _state_text(shown: dict[str, Any]) -> str:
    """`paused until 2026-12-01T00:00:00Z by ann@web-1: a deploy`; any other state is one word."""
    pause = shown["paused"]
    if shown["state"] != "paused" or pause is None:
        return str(shown["state"])
    until = f" until {pause['until']}" if pause.get("until") else ""
    by = f" by {pause['who']}" if pause["who"] else ""
    return f"paused{until}{by}{': ' if pause['note'] else ''}{pause['note']}"


def _shown(row: Row, now: int) -> dict[str, Any]:
    entry = entry_of(row)
    planned = row.moment is not None and row.moment >= 0
    last = row.last.split("|", 1)[0]
    return {
        "name": row.name,
        "state": row.state_at(now),
        "why": why_invalid(row),
        "schedule": None if entry is None else _schedule_text(entry),
        "words": None if entry is None else entry.schedule.words(),
        "timezone": None if entry is None else entry.schedule.timezone,
        "next": instant(row.moment) if planned else None,
        "last": instant(int(last)) if last.isdigit() and last != "0" else None,
        "paused": pause_of(row, now),
        "owner": None if entry is None else entry.owner,
        "revision": row.rev,
        "tags": [] if entry is None else list(entry.tags),
        "task": None if entry is None else entry.task,
        "queue": None if entry is None else entry.queue,
    }


def _schedule_text(entry: "Entry") -> str:
    spec = entry.schedule.to_spec()
    return f"{entry.schedule.kind}: {spec[entry.schedule.kind]}"
