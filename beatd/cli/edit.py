"""`beatd set`, `rm`: definitions in Redis."""

import json
import os
import sys
import textwrap
from typing import Any, Final, get_args

import click

from beatd.cli.main import Common, common_options
from beatd.cli.schedule_options import Asked, schedule_options
from beatd.cli.show import confirm, note, on_terminal, plain, printable
from beatd.cli.slots import slot_table
from beatd.cli.stored import left_alone, open_client, who_edits
from beatd.client import editing
from beatd.client.blocking import Client
from beatd.client.ownership import check_owner, of_file
from beatd.core.entry import Entry, Guarantee
from beatd.core.preview import coming_slots, why_none
from beatd.core.schedules import SCHEDULE_KEYS
from beatd.errors import EntryInvalid, OtherOwner
from beatd.store.entries import fresh_nonce

PREVIEWED: Final = 3
FLAGS: Final = {"tz": "timezone", "tag": "tags", "option": "options", "disabled": "enabled"}


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
@click.option("--unset", "unset", metavar="FIELD", multiple=True, help="Give a field its default back: max_runs.")
@click.option("--note", "why", help="Why, for the record of changes.")
@click.option("--if-revision", metavar="REV", help="Refuse where it has another revision by now; '': where it exists.")
@click.option("--yes", is_flag=True, help="Don't ask, not even on a terminal.")
def set_entry(
    common: Common,
    name: str,
    schedule: dict[str, Any],
    *,
    why: str | None,
    if_revision: str | None,
    unset: tuple[str, ...],
    yes: bool,
    **fields: Any,
) -> None:
    """Create the entry NAME, or change the given fields of it.

    \b
    beatd set cleanup --task app.tasks.cleanup --cron "*/10 * * * *"
    beatd set cleanup --tz Europe/Paris --grace 5m
    beatd set cleanup --unset max_runs --unset options.expires

    Shows what changes, and the next three slots of a new schedule, before it writes, and asks on a terminal. Without a
    terminal it writes at once. Refuses (exit 5) where somebody else changed the definition meanwhile.
    """
    given = _without({**schedule, **_given(fields)}, unset)
    with open_client(common) as client:
        base = _look(common, client, name)
        client.run(editing.check_revision(client.keys, base, if_revision))
        entry = editing.changed(base, given)
        if SCHEDULE_KEYS & given.keys():
            _preview(entry, base)
        _tell_changes(entry, base)
        if not yes and not editing.is_so(base, entry) and on_terminal(sys.stdin) and on_terminal(sys.stderr):
            what = "Create" if base.row is None else "Change"
            confirm(f"{what} {name}?", default=True)
        state = client.run(editing.write(client.keys, base, given, fresh_nonce, who_edits("beatd set", why)))
    done = "created" if base.row is None else "unchanged" if state.revision == base.revision else "changed"
    click.echo(f"{name}: {done}", err=True)


@click.command()
@click.argument("names", nargs=-1, required=True)
@common_options
@click.option("--note", "why", help="Why, for the record of changes.")
@click.option("--if-revision", metavar="REV", help="Refuse where it has another revision by now; of one entry.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def rm(common: Common, names: tuple[str, ...], *, why: str | None, if_revision: str | None, yes: bool) -> None:
    """Remove entries. Once this has returned, nothing of them is enqueued any more.

    Refuses (exit 5) where somebody else changed a definition while it asked.
    """
    if not yes and not on_terminal(sys.stdin):
        raise click.UsageError("rm asks before it removes; where nobody can answer, say --yes")
    unique = list(dict.fromkeys(names))
    if if_revision is not None and len(unique) > 1:
        raise click.UsageError("--if-revision is of one entry: name one")
    with open_client(common) as client, left_alone(unique):
        try:
            seen = client.run(editing.look_to_remove(client.keys, unique, if_revision))
            if not yes:
                confirm(f"Remove {', '.join(names)}?")
            client.run(editing.remove_seen(client.keys, seen, who_edits("beatd rm", why)))
        except OtherOwner as error:
            raise _at_home(common, error) from error
    for name in unique:
        click.echo(plain(printable(f"{name}: removed")), err=True)


def _look(common: Common, client: Client, name: str) -> editing.Base:
    """What is stored, where it may be edited from here."""
    base = client.run(editing.look_at(client.keys, name))
    try:
        client.run(check_owner(client.keys, base.row))
    except OtherOwner as error:
        raise _at_home(common, error) from error
    return base


def _at_home(common: Common, error: OtherOwner) -> OtherOwner:
    """The refusal with file and line, where the file is here."""
    from beatd.config.load import place_of

    place = place_of(error.name, common.files(), os.environ) if error.owner == "file" else None
    return error if place is None else of_file(error.name, [place])


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


def _without(given: dict[str, Any], unset: tuple[str, ...]) -> dict[str, Any]:
    """The same with None for the fields that are to be as if nobody had named them. Raises UsageError."""
    found = dict(given)
    for text in unset:
        word, dot, option = text.partition(".")
        key = FLAGS.get(word.removeprefix("--"), word.removeprefix("--").replace("-", "_"))
        within = found.get(key) or {} if dot and key == "options" else found
        if (option if dot else key) in within:
            raise click.UsageError(f"--unset {text}: the same command sets it")
        if dot and key == "options" and option:
            found["options"] = {**within, option: None}
        elif dot:
            raise click.UsageError(f"--unset {text}: a field, or options.NAME, is expected")
        else:
            found[key] = None
    return found


def _tell_changes(entry: Entry, base: editing.Base) -> None:
    """The fields that an edit changes, on stderr."""
    from beatd.cli.changes import field_lines

    for line in field_lines(editing.edited(base, entry)):
        click.echo(plain(f"  {printable(line)}"), err=True)


def _preview(entry: Entry, base: editing.Base) -> None:
    """What is about to be written, on stderr: the schedule in words, its next slots, and what to think about."""
    schedule, now = entry.schedule, base.now
    click.echo(f"{entry.name}: {schedule.words()}, {schedule.timezone}", err=True)
    slots = list(coming_slots(schedule, now, None, PREVIEWED))
    if slots:
        click.echo(textwrap.indent(slot_table(schedule, slots, now, later=False), "  "), err=True)
    else:
        note(f"it will not run: {why_none(schedule, now, None)}")
    state = "paused" if base.row is not None and base.row.state_at(now) == "paused" else "scheduled"
    for text in (*schedule.warnings, *Asked(schedule, entry.name, entry, state).notes()):
        note(text)


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
