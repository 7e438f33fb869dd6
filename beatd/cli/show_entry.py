"""`beatd show`: all there is to know of one entry, and the message that it would send."""

import json
import os
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from beatd.cli.history_rows import Printer
from beatd.cli.main import Common, common_options, output_options, print_json
from beatd.cli.rows import Shown, clock, fields, shown
from beatd.cli.show import distance, instant, note, plain, printable, styled
from beatd.cli.slots import display_zone, slot_row, slot_table
from beatd.cli.stored import open_client, unknown
from beatd.cli.why import why_idle
from beatd.client.blocking import Client
from beatd.client.details import Details, details
from beatd.client.hindsight import look_back
from beatd.client.outbox import leaders_broker
from beatd.core.duration import format_duration
from beatd.core.entry import Entry
from beatd.core.fire import TaskIds
from beatd.core.history import Hindsight
from beatd.core.preview import coming_slots, why_none
from beatd.core.requests import Request
from beatd.core.zone import Zone, zone_named
from beatd.errors import EntryInvalid, NoSlot, NotFound
from beatd.formats.celery import compile_template, readable

COMING: Final = 5
LAST: Final = 5
NO_TAG: Final = "00000000-0000-0000-0000-000000000000"
WIDTH: Final = 14


@click.command()
@click.argument("name")
@common_options
@click.option("--message", is_flag=True, help="The exact message of its next slot, and nothing else.")
@output_options("table", "json", "yaml")
def show(common: Common, name: str, output: str, *, message: bool) -> None:
    """Show all there is to know of the entry NAME: definition, owner, state, next and last runs.

    \b
    beatd show nightly-report
    beatd show nightly-report --message
    beatd show nightly-report --message -o json    the same, decoded

    Paused and disabled entries have no next runs; their message is that of the slot that would be the next one.
    """
    with open_client(common) as client:
        found = _details(client, name)
        it = shown(found.row, found.base.now)
        if message:
            _print_message(client, found, it, output)
            return
        namespace, seen = client.keys.namespace, client.run(look_back(client.keys, found.lines))
    if output != "table":
        _print(_content(found, it, namespace, seen), output)
        return
    for line in _lines(found, it, namespace, seen):
        click.echo(line)


def _details(client: Client, name: str) -> Details:
    try:
        return client.run(details(client.keys, name, LAST))
    except NotFound:
        raise unknown(client, name) from None


def _content(found: Details, it: Shown, namespace: str, seen: Hindsight) -> dict[str, Any]:
    """The fields of JSON: those of ls, and more."""
    printer = Printer("json", namespace, zone_named("UTC"), None, named=True)
    entry = it.entry
    slots = [] if entry is None else _coming(found, it, entry)
    return {
        **fields(it),
        "now": instant(it.now),
        "definition": dict(it.spec),
        "files": list(found.files),
        "runs_left": found.base.left,
        "jitter_ms": found.row.jitter,
        "slots": [] if entry is None else [_slot(entry, slot, it.now) for slot in slots],
        "history": [printer.row(line, found.row.jitter, seen) for line in found.lines],
        "history_complete": found.complete,
        "requests": [_request(request) for request in found.requests],
    }


def _slot(entry: Entry, slot: int, now: int) -> dict[str, Any]:
    row = slot_row(entry.schedule, slot, now)
    return {key: row[key] for key in ("slot", "local", "zone", "in_s", "dst")}


def _request(request: Request) -> dict[str, Any]:
    wanted = request.wanted
    return {
        "id": request.id,
        "kind": wanted and wanted.kind,
        "asked": instant(request.at),
        "from": instant(wanted.first) if wanted and wanted.kind == "backfill" else None,
        "to": instant(wanted.last) if wanted and wanted.kind == "backfill" else None,
        "pushed": request.pushed,
        "note": wanted.note if wanted else "",
    }


def _coming(found: Details, it: Shown, entry: Entry) -> list[int]:
    """Its next slots, the one that is owed first; none where nothing of it will run as things are."""
    if it.next is None or found.row.state_at(it.now) == "blocked":
        return []
    most = COMING if found.base.left is None else min(COMING, found.base.left)
    return list(coming_slots(entry.schedule, it.next - found.row.jitter - 1, None, most))


def _lines(found: Details, it: Shown, namespace: str, seen: Hindsight) -> Iterator[str]:
    """What is told to people: a head and a text a line, then the tables."""
    zone_name = os.environ.get("BEATD_TZ")
    zone = display_zone(zone_name) if zone_name else None
    for head, text in _pairs(found, it, zone):
        lines = [printable(line) for line in text.split("\n")]
        yield f"{styled(f'{head:{WIDTH}}', bold=True)} {lines[0]}".rstrip()
        yield from (f"{'':{WIDTH}} {line}" for line in lines[1:])
    yield from _coming_lines(found, it)
    yield from _last_lines(found, namespace, seen, zone, zone_name)


def _pairs(found: Details, it: Shown, zone: Zone | None) -> Iterator[tuple[str, str]]:
    row, values = found.row, fields(it)
    yield "name", row.name
    yield "state", why_idle(row, it.now).removeprefix("is ")
    yield "schedule", values["schedule"] or "can't be read"
    if it.entry is not None:
        yield "", f"{values['words']}, {values['timezone']}"
        yield from _bounds(it.spec)
    yield "task", values["task"] or "-"
    yield "queue", values["queue"] or "-"
    for key in ("args", "kwargs", "signature", "options"):
        if it.spec.get(key):
            yield key, _json(it.spec[key])
    if it.entry is not None:
        yield "policies", "\n".join(_policies(found, it.entry))
    for key in ("description", "tags"):
        if it.spec.get(key):
            yield key, " ".join(values["tags"]) if key == "tags" else str(it.spec[key])
    yield "owner", "\n".join([values["owner"], *found.files])
    yield "revision", row.rev
    for key, value in values["unknown"].items():
        yield "unknown field", f"{key}: {_json(value)} (of another version of beatd; kept)"
    for request in found.requests:
        yield "request", _request_text(request, it.now, zone)


def _bounds(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("start", "end", "anchor", "day", "hash_id"):
        if key in spec:
            yield key, str(spec[key])


def _policies(found: Details, entry: Entry) -> Iterator[str]:
    p = entry.policy
    yield f"catchup {p.catchup}, at most {p.catchup_limit:,} at once; grace {format_duration(p.grace_ms)}"
    if p.deadline_ms is not None:
        yield f"deadline {format_duration(p.deadline_ms)}: never sent later"
    if p.jitter_ms:
        own = format_duration(found.row.jitter)
        yield f"jitter {format_duration(p.jitter_ms)}: this one is sent {own} after its slots"
    if p.max_runs is not None:
        left = "" if found.base.left is None else f", {found.base.left:,} left"
        yield f"max_runs {p.max_runs:,}{left}"
    if p.guarantee != "at_least_once":
        yield f"guarantee {p.guarantee}"


def _request_text(request: Request, now: int, zone: Zone | None) -> str:
    wanted = request.wanted
    if wanted is None:
        return f"{request.id}: it can't be read"
    since = f"asked for {distance(request.at - now)}"
    what: str = wanted.kind
    if wanted.kind == "backfill":
        what = f"backfill from {clock(wanted.first, zone)} to {clock(wanted.last, zone)}, {request.pushed:,} pushed"
    return f"{what}, {since}{f': {wanted.note}' if wanted.note else ''} ({request.id})"


def _coming_lines(found: Details, it: Shown) -> Iterator[str]:
    yield ""
    yield styled("next runs", bold=True)
    slots = [] if it.entry is None else _coming(found, it, it.entry)
    if it.entry is not None and slots:
        yield textwrap.indent(slot_table(it.entry.schedule, slots, it.now, later=False), "  ")
    else:
        yield printable(f"  none: it {why_idle(found.row, it.now)}")


def _last_lines(
    found: Details, namespace: str, seen: Hindsight, zone: Zone | None, zone_name: str | None
) -> Iterator[str]:
    yield ""
    yield styled("last runs", bold=True)
    printer = Printer("table", namespace, zone or zone_named("UTC"), zone_name, named=False)
    if found.lines:
        yield textwrap.indent(
            "\n".join(printer.table([printer.row(line, found.row.jitter, seen) for line in found.lines])), "  "
        )
    else:
        yield "  it has never run" if found.complete else "  none of late"
    if not found.complete:
        yield f"  older ones: beatd history {shlex.quote(found.row.name)}"


def _print_message(client: Client, found: Details, it: Shown, output: str) -> None:
    """The message of the next slot, as it would be pushed, on stdout; what can't be known of it on stderr."""
    if it.entry is None:
        raise EntryInvalid(f"{found.row.name!r} {why_idle(found.row, it.now)}")
    entry, slot = it.entry, _message_slot(found, it, it.entry)
    host, _, pid = found.leader.rpartition(":")
    origin = f"gen{pid}@{host}" if host else "gen0@localhost"
    template = compile_template(entry.task, entry.queue, entry.sent_options, origin=origin)
    task_id = TaskIds(client.keys.namespace).of(entry.name, slot)
    text = template.render(template.own(entry.name, entry.args, entry.kwargs), task_id, slot, NO_TAG).decode()
    if output == "table":
        click.echo(text)
    else:
        decoded = json.loads(text)
        body = readable(decoded)
        _print(
            {"key": template.queue_key, "slot": instant(slot), "task_id": task_id, "message": decoded, "body": body},
            output,
        )
    note(f"it is that of the slot {instant(slot)}, {_way(client, text, template.queue_key)}")
    note(f"delivery_tag is fresh with every push; origin is the process that sends, here {origin}")


def _way(client: Client, text: str, key: str) -> str:
    """Where the message goes: a list of our Redis, or the exchange or queue of the leader's broker."""
    if not client.run(leaders_broker(client.keys)):
        return f"pushed to the list {json.dumps(key)}"
    place = json.loads(text)["properties"]["delivery_info"]
    exchange, routing_key = json.dumps(place["exchange"]), json.dumps(place["routing_key"])
    to = f"to the exchange {exchange} with the routing key {routing_key}"
    return f"sent to the broker, {to if place['exchange'] else f'to the queue {routing_key}'}"


def _message_slot(found: Details, it: Shown, entry: Entry) -> int:
    """Its next slot; of what will not run as things are, the one that its schedule has next, or had last."""
    coming = _coming(found, it, entry)
    slot = coming[0] if coming else entry.schedule.next_ms(it.now) or entry.schedule.last_ms(it.now)
    if slot is None:
        raise NoSlot(f"{found.row.name!r} has no slot: {why_none(entry.schedule, it.now, None)}")
    return slot


def _print(content: Mapping[str, Any], output: str) -> None:
    if output == "json":
        print_json(content)
        return
    import yaml

    click.echo(plain(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1_000_000)), nl=False)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
