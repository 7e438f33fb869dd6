"""`beatd diff`, `apply`, `export`: files of entries against what is stored, and back."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from beatd.cli.changes import field_lines
from beatd.cli.main import Common, common_options, output_option, output_options, print_json
from beatd.cli.show import confirm, note, on_terminal, plain, printable, styled
from beatd.cli.stored import open_client, unknown, who_edits
from beatd.client import apply as verbs
from beatd.client.blocking import Client
from beatd.core.change_set import FILE, Change, ChangeSet, owner_named
from beatd.core.entry import entry_from_spec
from beatd.errors import OtherOwner
from beatd.store.entries import fresh_nonce

if TYPE_CHECKING:
    from beatd.config.entry_files import EntryFiles

MOST_NOTES: Final = 10
NAMED: Final = 3  # of other owners, in a note
SIGNS: Final = {"add": ("+", "green"), "change": ("~", "yellow"), "rename": ("~", "yellow"), "remove": ("-", "red")}
DONE: Final = {"add": "added", "change": "changed", "rename": "renamed", "remove": "removed"}


def _files_options(function: Any) -> Any:
    for option in (
        click.option("--take-over", is_flag=True, help="Also names that the API or another label holds."),
        click.option("--prune", is_flag=True, help="Remove what this owner has besides."),
        click.option("--owner", "label", metavar="LABEL", default="default", show_default=True, help="Whose they are."),
        click.argument("files", nargs=-1, required=True, metavar="FILE..."),
    ):
        function = option(function)
    return function


@click.command()
@_files_options
@common_options
@output_option
def diff(common: Common, files: tuple[str, ...], label: str, output: str, *, prune: bool, take_over: bool) -> int:
    """Show what `apply` of these files would change, field by field. Ends with 1 where anything differs.

    \b
    beatd diff entries.yaml
    beatd diff --prune --owner billing billing/*.ndjson
    """
    found = _read(files, label)
    with open_client(common) as client:
        changes = _planned(client, found, label, prune=prune, take_over=take_over)
        _print(changes, output, {"applied": False})
        for conflict in changes.conflicts[:MOST_NOTES]:
            note(f"{found.place(conflict.name)}: {conflict.name} belongs to {conflict.owner}: apply refuses it")
        click.echo(_summary(changes), err=True)
    return 1 if changes.differs else 0


@click.command()
@_files_options
@common_options
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--note", "why", help="Why, for the record of changes.")
@click.option("--yes", is_flag=True, help="Don't ask before --prune removes.")
@output_option
def apply(
    common: Common,
    files: tuple[str, ...],
    label: str,
    why: str | None,
    output: str,
    *,
    prune: bool,
    take_over: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Store the entries of these files: schedules.yaml's form, JSON, or NDJSON with an entry a line. - is stdin.

    \b
    beatd apply entries.yaml
    beatd apply --prune --owner billing billing/*.yaml
    beatd export -o ndjson | beatd apply -

    All is checked before the first write. Entries belong to `apply:LABEL` then; --prune removes those of that owner
    which are in no file, and asks on a terminal. Names of other owners are refused (exit 5). What is as wanted is not
    written, so a repeat does nothing, and after a crash goes on.
    """
    asks = prune and not yes and not dry_run
    found = _read(files, label)
    with open_client(common) as client:
        changes = _planned(client, found, label, prune=prune, take_over=take_over)
        if output == "table":
            _print(changes, output)
        try:
            client.run(verbs.check_conflicts(client.keys, changes))
        except OtherOwner as error:
            raise _with_places(common, found, changes, error) from error
        gone = len(changes.of("remove"))
        if asks and gone and ("-" in files or not on_terminal(sys.stdin)):
            raise click.UsageError(
                f"apply --prune would remove {gone:,} of {changes.owner}, and asks first; nothing was written: "
                "where nobody can answer, say --yes (or --dry-run)"
            )
        if asks and gone:
            confirm(f"Remove {gone:,} of {changes.owner}?")
        if not dry_run:
            client.run(verbs.apply(client.keys, changes, fresh_nonce, who_edits("beatd apply", why)))
        if output == "json":
            _print(changes, output, {"applied": not dry_run})
        _tell_elsewhere(changes)
        click.echo(f"{'would be: ' if dry_run else ''}{_summary(changes)}", err=True)


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@common_options
@click.option("--owner", "owners", metavar="GLOB", multiple=True, help="Of this owner: file, api, 'apply:*'.")
@output_options("yaml", "json", "ndjson")
def export(common: Common, patterns: tuple[str, ...], owners: tuple[str, ...], output: str) -> int:
    """Print stored entries as a file that `apply` takes, by name.

    \b
    beatd export > entries.yaml
    beatd export 'mail-*' --owner api -o ndjson

    Owner, pauses and the like are no part of a definition. Ends with 1 where a definition can't be read.
    """
    from beatd.cli.entry_files import WRITERS

    with open_client(common) as client:
        reading = verbs.Export(client.keys, patterns, owners, unknown=True)
        missing = {name for name in patterns if not set("*?[") & set(name)}
        client.run(reading.begin())
        begin, write, end, none = WRITERS[output]
        first = True
        while (page := client.run(reading.page())) is not None:
            missing -= {name for name, _ in page} | reading.left_out.keys()
            if page:
                head = begin if first else ""
                click.echo(head + write(page, first=first), nl=False)
                first = False
        click.echo(none if first else end, nl=False)
        for name, why in list(reading.left_out.items())[:MOST_NOTES]:
            note(f"{name} is left out: {why}")
        if reading.strange:
            note(
                f"{reading.strange:,} have fields unknown to this version: apply takes them only where they are stored"
            )
        if missing and not owners:
            raise unknown(client, min(missing))
    return 1 if reading.left_out else 0


def _read(files: Sequence[str], label: str) -> "EntryFiles":
    from beatd.config.entry_files import read_entry_files
    from beatd.config.problems import ConfigProblems, summed_up

    found = read_entry_files([Path(name) for name in files], os.environ, owner=owner_named(label))
    if found.errors and not found.unknown:
        raise ConfigProblems(found.problems)
    if found.problems and not found.errors:
        click.echo(summed_up(found.problems), err=True)
    for said in found.settings[:MOST_NOTES]:
        note(f"{said.place}: {said.name} is a setting of a daemon's file, and does not count here")
    return found


def _planned(client: Client, found: "EntryFiles", label: str, *, prune: bool, take_over: bool) -> ChangeSet:
    owner = owner_named(label)
    if found.unknown:
        _check_unknown(client, found)
    return client.run(verbs.plan(client.keys, found.definitions, owner, prune=prune, take_over=take_over))


def _check_unknown(client: Client, found: "EntryFiles") -> None:
    """Fields that no entry has are errors, but where another version has stored the very same."""
    from beatd.config.problems import ConfigProblems

    stored = client.run(verbs.definitions(client.keys, list(found.unknown)))
    if errors := found.errors_beside(stored):
        raise ConfigProblems(errors)


def _print(changes: ChangeSet, output: str, more: "dict[str, Any] | None" = None) -> None:
    if output == "json":
        print_json({**_shown(changes), **(more or {})})
        return
    for change in changes.changes:
        click.echo("\n".join(_lines(change)))


def _lines(change: Change) -> Iterable[str]:
    sign, colour = SIGNS[change.op]
    was = f" (was {printable(change.replaces)})" if change.replaces else ""
    yield styled(plain(f"{sign} {printable(change.name)}{was}"), fg=colour)
    if change.op == "remove":
        return
    fields = change.fields
    if change.op == "add":
        fields = [field for field in fields if field.field != "owner" and _usual().get(field.field) != field.new]
    for line in field_lines(fields):
        yield plain(f"    {printable(line)}")


@cache
def _usual() -> Mapping[str, Any]:
    """The fields that every definition has, as they are where nobody said otherwise."""
    found = json.loads(entry_from_spec("a", {"task": "t", "cron": "* * * * *"}).to_definition())
    return {key: value for key, value in found.items() if key not in ("task", "cron")}


def _shown(changes: ChangeSet) -> dict[str, Any]:
    return {
        "owner": changes.owner,
        "changes": [
            {
                "op": change.op,
                "name": change.name,
                "was": change.replaces or None,
                "revision": change.before.rev if change.before else None,
                "fields": [field._asdict() for field in change.fields],
            }
            for change in changes.changes
        ],
        "conflicts": [each._asdict() for each in changes.conflicts],
        "elsewhere": [each._asdict() for each in changes.elsewhere],
        "unchanged": changes.same,
    }


def _summary(changes: ChangeSet) -> str:
    numbers = [f"{len(found):,} {DONE[op]}" for op in DONE if (found := changes.of(op))]  # type: ignore[arg-type]
    conflicts = [f"{len(changes.conflicts):,} of other owners"] if changes.conflicts else []
    return ", ".join([*numbers, *conflicts, f"{changes.same:,} unchanged"])


def _tell_elsewhere(changes: ChangeSet) -> None:
    if changes.elsewhere:
        named = ", ".join(f"{each.name} ({each.owner})" for each in changes.elsewhere[:NAMED])
        rest = len(changes.elsewhere) - NAMED
        more = f" and {rest:,} more" if rest > 0 else ""
        note(f"{len(changes.elsewhere):,} are as wanted, and stay with other owners: {named}{more}")


def _with_places(common: Common, found: "EntryFiles", changes: ChangeSet, error: OtherOwner) -> OtherOwner:
    """The refusal, once it has been told where each of them stands; with file and line where it is a file's."""
    from beatd.config.load import place_of

    for conflict in changes.conflicts[:MOST_NOTES]:
        note(f"{found.place(conflict.name)}: {conflict.name} belongs to {conflict.owner}")
    place = place_of(error.name, common.files(), os.environ) if error.owner == FILE else None
    if place is not None:
        error.message += f"; {error.name!r} is changed in {place}"
    return error
