"""`beatd ls`: entries as stored in Redis."""

import itertools
import socket
from typing import Any

import click

from beatd.cli.main import Common, common_options, output_option, print_json, redis_url
from beatd.cli.show import HOW_TO_CREATE, distance, instant, note, table
from beatd.client.blocking import Client
from beatd.core.entry import Entry, entry_from_definition
from beatd.errors import BeatdError
from beatd.store.entries import Row, audit, user_name


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


def open_client(common: Common) -> Client:
    """The store that the options, the files and the variables name."""
    settings = common.settings(entries=False)
    return Client(redis_url(settings), settings.namespace)


def who_edits(client: str, note: str | None = None) -> str:
    """Who makes an edit from this command line, and why, for the audit."""
    return audit(client, user_name(), socket.gethostname(), note or "")


def entry_of(row: Row) -> Entry | None:
    """The entry of a row, None where its definition can't be read."""
    try:
        return entry_from_definition(row.name, row.definition)
    except BeatdError:
        return None


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


def pause_of(row: Row, now: int) -> dict[str, Any] | None:
    """Who paused it and why, with instants as text; None where it is not paused."""
    found = row.pause_at(now)
    return found and {key: value if isinstance(value, str) else instant(value) for key, value in found.items()}


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


def why_invalid(row: Row) -> str | None:
    """Why an entry is invalid, as the leader that found it said."""
    invalid = row.out.get("invalid")
    return str(invalid["why"]) if isinstance(invalid, dict) and "why" in invalid else None


def _schedule_text(entry: Entry) -> str:
    spec = entry.schedule.to_spec()
    return f"{entry.schedule.kind}: {spec[entry.schedule.kind]}"
