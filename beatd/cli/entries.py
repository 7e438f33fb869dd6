"""`beatd set`, `rm`: edits of entries as stored in Redis."""

import json
import sys
import textwrap
import uuid
from typing import Any, Final, get_args

import click

from beatd.cli.main import Common, common_options
from beatd.cli.schedule_options import Asked, schedule_options
from beatd.cli.show import note
from beatd.cli.slots import slot_table
from beatd.cli.stored import entry_of, open_client, who_edits
from beatd.core.edit import ABSENT, put_item, runs_left
from beatd.core.entry import Entry, Guarantee, entry_from_spec
from beatd.core.instant import instant_text
from beatd.core.preview import coming_slots, why_none
from beatd.core.schedules import SCHEDULE_KEYS
from beatd.core.schedules.schedule import COMMON_KEYS, KINDS
from beatd.errors import EntryInvalid, Refused
from beatd.formats.celery import compile_template
from beatd.store.entries import Row

PREVIEWED: Final = 3


@click.command("set")
@click.argument("name")
@common_options
@click.option("--task", help="Name of the task that a worker runs.")
@schedule_options
@click.option("--args", "args", metavar="JSON", help="Positional arguments: a JSON list.")
@click.option("--kwargs", "kwargs", metavar="JSON", help="Keyword arguments: a JSON object.")
@click.option("--queue", help="Queue to send to [celery].")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the message: priority=5.")
@click.option("--catchup", type=click.Choice(["none", "latest", "all"]), help="Which missed runs to make up for.")
@click.option("--catchup-limit", type=int)
@click.option("--grace", metavar="DURATION", help="A run late by less than this is on time [60s].")
@click.option("--deadline", metavar="DURATION", help="Never send a run later than this.")
@click.option("--jitter", metavar="DURATION", help="Spread entries by a stable offset below this.")
@click.option("--max-runs", type=int, help="Stop after so many scheduled runs.")
@click.option("--guarantee", type=click.Choice(get_args(Guarantee)), help="For queues that are not in this Redis.")
@click.option("--description")
@click.option("--tag", "tags", multiple=True)
@click.option("--enabled/--disabled", default=None)
@click.option("--yes", is_flag=True, help="Don't ask, not even on a terminal.")
def set_entry(common: Common, name: str, schedule: dict[str, Any], *, yes: bool, **fields: Any) -> None:
    """Create the entry NAME, or change the given fields of it.

    \b
    beatd set cleanup --task app.tasks.cleanup --cron "*/10 * * * *"
    beatd set cleanup --tz Europe/Paris --grace 5m

    Shows the next three slots before it writes, and asks on a terminal. Without a terminal it writes at once.
    """
    given = {**schedule, **_given(fields)}
    with open_client(common) as client:
        before = client.find(name)
        spec = _patched(before, given)
        if before is None and "task" not in spec:
            raise EntryInvalid(f"there is no entry {name!r} yet; a new one needs --task NAME and a schedule")
        entry = entry_from_spec(name, spec)
        compile_template(entry.task, entry.queue, entry.options, origin="").own(entry.name, entry.args, entry.kwargs)
        now = client.now_ms()
        if "at" in schedule:
            _refuse_past(entry, now)
        if schedule:
            paused = before is not None and before.state_at(now) == "paused"
            _preview(entry, now, "paused" if paused else "scheduled")
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm(f"{'Create' if before is None else 'Change'} {name}?", default=True, abort=True, err=True)
        old = None if before is None else entry_of(before)
        left = runs_left(old, entry, client.runs_left(name))
        expected = ABSENT if before is None else before.rev
        client.put([put_item(entry, uuid.uuid4().hex, expected=expected, left=left)], who_edits("beatd set"))
    click.echo(f"{name}: {'created' if before is None else 'changed'}", err=True)


@click.command()
@click.argument("names", nargs=-1, required=True)
@common_options
@click.option("--yes", is_flag=True, help="Don't ask.")
def rm(common: Common, names: tuple[str, ...], *, yes: bool) -> None:
    """Remove entries. Once this has returned, nothing of them is enqueued any more."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("rm asks before it removes; where nobody can answer, say --yes")
        click.confirm(f"Remove {', '.join(names)}?", abort=True, err=True)
    with open_client(common) as client:
        for name in names:
            row = client.get(name)
            _check_owner(row)
        client.remove(list(dict.fromkeys(names)), who_edits("beatd rm"))
    click.echo(f"removed {len(set(names))}", err=True)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that were named on the command line, in the spelling of the file."""
    given = {key: value for key, value in fields.items() if value not in (None, ())}
    for key in ("args", "kwargs"):
        if key in given:
            given[key] = _json(f"--{key}", given[key])
    if "options" in given:
        given["options"] = dict(_option(text) for text in given["options"])
    if "tags" in given:
        given["tags"] = list(given["tags"])
    return given


def _patched(before: Row | None, given: dict[str, Any]) -> dict[str, Any]:
    if before is None:
        return {"owner": "api", **given}
    _check_owner(before)
    spec = json.loads(before.definition)
    kinds = [kind for kind in KINDS if kind in given]
    if kinds:
        # Another schedule: of the old one stays what its kind understands too.
        kept = COMMON_KEYS | KINDS[kinds[0]].options
        spec = {key: value for key, value in spec.items() if key not in SCHEDULE_KEYS or key in kept}
    options = {**spec.get("options", {}), **given.get("options", {})}
    return {**spec, **given, **({"options": options} if options else {})}


def _refuse_past(entry: Entry, now: int) -> None:
    slot = entry.schedule.rule.last_ms(now)
    if slot is not None:
        raise EntryInvalid(
            f"at: {instant_text(slot)} is past: the clock of Redis shows {instant_text(now)}",
            hint="an instant without an offset is wall time in the zone of --tz, UTC without one",
        )


def _preview(entry: Entry, now: int, state: str) -> None:
    """What is about to be written, on stderr: the schedule in words, its next slots, and what to think about."""
    schedule = entry.schedule
    click.echo(f"{entry.name}: {schedule.words()}, {schedule.timezone}", err=True)
    slots = list(coming_slots(schedule, now, None, PREVIEWED))
    if slots:
        click.echo(textwrap.indent(slot_table(schedule, slots, now, later=False), "  "), err=True)
    else:
        note(f"it will not run: {why_none(schedule, now, None)}")
    for text in (*schedule.warnings, *Asked(schedule, entry.name, entry, state).notes()):
        note(text)


def _check_owner(row: Row) -> None:
    if row.file_hash is not None:
        raise Refused(
            f"{row.name!r} belongs to a file (schedules.yaml): its definition is changed there",
            hint="edit the file: the daemon applies it within seconds",
        )


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--option {text!r}: key=value is expected")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _json(flag: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise EntryInvalid(f"{flag}: not JSON: {error}", hint=f"quote it for the shell: {flag} '[1, \"a\"]'") from error
