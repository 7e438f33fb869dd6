"""`beatd outbox`, `outbox drop`: what waits for another broker than the Redis of the entries."""

import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from beatd.cli.main import Common, common_options, output_options
from beatd.cli.row_formats import print_rows
from beatd.cli.show import confirm, distance, instant, note, on_terminal, size, table
from beatd.cli.stored import open_client, unknown, who_edits
from beatd.client import outbox as kept
from beatd.client.blocking import Client
from beatd.client.outbox import Kept
from beatd.core.waiting import Waiting, chosen, is_left_over, summed_up
from beatd.errors import NotFound, Refused
from beatd.store.entries import user_name

USUAL: Final = 100  # rows of a table
COLUMNS: Final = ("ENTRY", "SLOT", "AGE", "QUEUE", "SIZE", "TASK ID", "")
FIELDS: Final = (
    *("id", "name", "slot", "task_id", "queue", "bytes", "dead_at", "attempts"),
    *("at_most_once", "sent", "cause", "broker", "left_over"),
)


@click.group(invoke_without_command=True)
@common_options
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="For this queue.")
@click.option("--left-over", is_flag=True, help="For another broker than the leader's: sent nowhere.")
@click.option("--limit", type=click.IntRange(0), default=USUAL, show_default=True, help="Rows of a table, 0: all.")
@output_options("table", "json", "ndjson")
@click.pass_context
def outbox(
    ctx: click.Context, common: Common, queues: tuple[str, ...], limit: int, output: str, *, left_over: bool
) -> None:
    """Show what waits for another broker than the Redis of the entries, the oldest first.

    \b
    beatd outbox
    beatd outbox --queue mail -o ndjson
    beatd outbox drop --help

    These are fires that are decided and not yet confirmed by the broker. Where it takes messages they are gone in a
    moment; what lies here longer waits for it.
    """
    if ctx.invoked_subcommand is not None:
        if any(ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE for name in ctx.params):
            raise click.UsageError(f"options of `outbox {ctx.invoked_subcommand}` come behind its name")
        return
    with open_client(common) as client:
        found = client.run(kept.look(client.keys))
        rows = chosen(found.rows, (), queues, left_over_of=_broker(found) if left_over else None)
    if output != "table":
        print_rows(output, (_fields(row, found.broker) for row in rows), FIELDS)
    elif rows:
        _print_table(rows, found, limit)
    _tell_unreadable(found)
    if output == "table" and not rows:
        note("nothing waits" if not found.rows else "nothing of that kind waits")


@outbox.command()
@click.argument("names", nargs=-1)
@common_options
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Those for this queue.")
@click.option("--left-over", is_flag=True, help="Those for another broker than the leader's.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--note", "why", default="", help="Why, for the history.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(
    common: Common,
    names: tuple[str, ...],
    queues: tuple[str, ...],
    why: str,
    *,
    left_over: bool,
    everything: bool,
    yes: bool,
) -> None:
    """Give up messages that wait for their broker: of the entries NAME, of a queue, or all.

    \b
    beatd outbox drop --queue gone --yes
    beatd outbox drop --left-over --note "we have moved to another RabbitMQ"
    beatd outbox drop nightly-report

    Several conditions hold together. Each message gets a row `undeliverable` in the history. Asks on a terminal;
    elsewhere it needs --yes. What has been handed to the broker already may still arrive.
    """
    if everything == bool(names or queues or left_over):
        raise click.UsageError("say which: NAME, --queue or --left-over; or --all alone")
    if not yes and not on_terminal(sys.stdin):
        raise click.UsageError("drop asks first; where nobody can answer, say --yes")
    with open_client(common) as client:
        found = client.run(kept.look(client.keys))
        rows = chosen(found.rows, names, queues, left_over_of=_broker(found) if left_over else None)
        _check_names(client, names, rows)
        if not rows:
            note("nothing of that kind waits")
            return
        if not yes:
            confirm(f"Give up {_count(len(rows))} of {_entries(rows)}?")
        who = who_edits("beatd outbox drop", why)
        dropped = client.run(kept.drop(client.keys, rows, f"dropped by {user_name()}{': ' if why else ''}{why}", who))
    click.echo(f"{_count(len(dropped))} dropped", err=True)
    if len(dropped) < len(rows):
        note(f"{len(rows) - len(dropped):,} left the outbox in the meantime: sent, or withdrawn")


def _broker(found: Kept) -> str:
    """The leader's broker. Raises Refused where nobody says which it is."""
    if found.broker is None:
        raise Refused(
            "no leader says which broker is its own, so nobody knows what is left over of another one",
            hint="start one (beatd status), or choose by NAME or --queue",
        )
    return found.broker


def _check_names(client: Client, names: Sequence[str], rows: Sequence[Waiting]) -> None:
    """Raises NotFound for a name of no entry of which nothing waits either; that of a removed one is good."""
    waiting = {row.draft.name for row in rows}
    for name in names:
        if name not in waiting and client.find(name) is None:
            error: NotFound = unknown(client, name, "message")
            raise error


def _print_table(rows: Sequence[Waiting], found: Kept, limit: int) -> None:
    shown = rows[:limit] if limit else rows
    click.echo(table(COLUMNS, [_cells(row, found) for row in shown]))
    sums = summed_up(rows, found.broker)
    if len(shown) < len(rows):
        note(f"{len(rows) - len(shown):,} more, {size(sums.size)} in all: --limit 0 shows them")


def _cells(row: Waiting, found: Kept) -> tuple[object, ...]:
    draft = row.draft
    return (
        draft.name, instant(draft.slot), distance(draft.slot - found.now), draft.queue, size(row.size), draft.task_id,
        ", ".join(_remarks(row, found)),
    )  # fmt: skip


def _remarks(row: Waiting, found: Kept) -> list[str]:
    remarks = [row.draft.cause] if row.draft.cause else []
    if found.broker is not None and is_left_over(row, found.broker):
        remarks.append("for another broker")
    if row.draft.dead_at is not None and row.draft.dead_at < found.now:
        remarks.append("too late to be sent")
    if row.draft.sent:
        remarks.append("about to be sent, at most once")
    return remarks


def _fields(row: Waiting, broker: str | None) -> dict[str, Any]:
    """The fields of JSON, which are a promise."""
    draft = row.draft
    return {
        "id": row.id,
        "name": draft.name,
        "slot": instant(draft.slot),
        "task_id": draft.task_id,
        "queue": draft.queue,
        "bytes": row.size,
        "dead_at": instant(draft.dead_at),
        "attempts": draft.attempts,
        "at_most_once": draft.at_most_once,
        "sent": draft.sent,
        "cause": draft.cause or None,
        "broker": draft.broker,
        "left_over": None if broker is None else is_left_over(row, broker),
    }


def _tell_unreadable(found: Kept) -> None:
    if found.unreadable:
        note(f"{found.unreadable:,} can't be read: another client has written there; a leader takes them out")


def _entries(rows: Sequence[Waiting]) -> str:
    names = list(dict.fromkeys(row.draft.name for row in rows))
    more = f" and {len(names) - 3:,} more entries" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _count(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages:,} messages"
