"""`beatd pause`, `resume`, `reset`: run state of entries, whoever owns their definitions."""

import socket
from collections.abc import Iterable, Sequence

import click

from beatd.cli.main import Common, common_options
from beatd.cli.show import instant
from beatd.cli.stored import left_alone, open_client, who_edits
from beatd.client import entries
from beatd.client.blocking import Client
from beatd.core.duration import parse_duration
from beatd.core.instant import read_moment
from beatd.core.zone import zone_named
from beatd.errors import Refused, ScheduleInvalid
from beatd.store.entries import Pause, fresh_nonce, user_name


@click.command()
@click.argument("names", nargs=-1, required=True)
@common_options
@click.option("--note", default="", help="Why, for whoever finds it paused.")
@click.option("--until", metavar="WHEN", help="Go on by itself: an instant, or a duration from now (2h).")
def pause(common: Common, names: tuple[str, ...], note: str, until: str | None) -> None:
    """Pause entries. Once this has returned, nothing of them is enqueued any more.

    \b
    beatd pause nightly-report --note "database moves"
    beatd pause nightly-report send-digest --until 2026-12-01T09:00:00Z
    beatd pause send-digest --until 2h

    A slot at --until fires, one before it does not. An instant without an offset is wall time in the entries' zone.
    What falls into a pause is not made up for when it ends; `beatd resume --catchup` does that. Pausing again changes
    the note and the end.
    """
    names = tuple(dict.fromkeys(names))
    with open_client(common) as client, left_alone(names):
        ends = None if until is None else _instant(client, names, until)
        wanted = Pause(f"{user_name()}@{socket.gethostname()}", note, ends)
        client.run(entries.pause(client.keys, names, fresh_nonce(), who_edits("beatd pause"), wanted))
    end = "" if ends is None else f" until {instant(ends)}"
    _tell(f"{name}: paused{end}" for name in names)


@click.command()
@click.argument("names", nargs=-1, required=True)
@common_options
@click.option("--catchup", is_flag=True, help="Begin with what was owed when the pause began.")
@click.option("--note", help="Why, for the record of changes.")
def resume(common: Common, names: tuple[str, ...], *, catchup: bool, note: str | None) -> None:
    """Let paused entries go on.

    \b
    beatd resume nightly-report
    beatd resume nightly-report --catchup

    Without --catchup what fell before and during the pause is not fired; the history names the range. With it they go
    on from the slot that was owed when the pause began, and their own `catchup` decides what of it still runs.
    """
    names = tuple(dict.fromkeys(names))
    with open_client(common) as client, left_alone(names):
        who = who_edits("beatd resume", note)
        resumed = client.run(entries.resume(client.keys, names, fresh_nonce(), who, catchup=catchup))
        states = {found.name: found.state for name in resumed if (found := client.find(name)) is not None}
    _tell(_outcome(name, states.get(name), was_paused=name in resumed) for name in names)


@click.command()
@click.argument("name")
@common_options
@click.option("--note", help="Why, for the record of changes.")
def reset(common: Common, name: str, note: str | None) -> None:
    """Give the entry NAME all its runs (`max_runs`) anew.

    An entry that is finished because they were used up goes on from now.
    """
    with open_client(common) as client:
        entry = client.get(name).entry
        if entry is None or entry.policy.max_runs is None:
            raise Refused(f"{name!r} has no max_runs: its runs are not counted", hint="beatd set NAME --max-runs N")
        runs = {name: entry.policy.max_runs}
        client.run(entries.reset(client.keys, runs, fresh_nonce(), who_edits("beatd reset", note)))
    _tell([f"{name}: {entry.policy.max_runs} runs left"])


def _instant(client: Client, names: Sequence[str], text: str) -> int:
    """An instant ahead of the clock of Redis, UTC ms. Raises UsageError for what is none."""
    now = client.now_ms()
    try:
        found = now + parse_duration(text)
    except ScheduleInvalid:
        found = _wall_time(client, names, text)
    if found <= now:
        raise click.UsageError(f"--until: {instant(found)} is past: the clock of Redis shows {instant(now)}")
    return found


def _wall_time(client: Client, names: Sequence[str], text: str) -> int:
    """An instant; without an offset it is wall time in the zone that all these entries have."""
    known = [client.get(name).entry for name in names]
    zones = sorted({entry.schedule.timezone for entry in known if entry is not None}) or ["UTC"]
    try:
        found = {read_moment("--until", text, zone_named(zone)).ms for zone in zones}
    except ScheduleInvalid as error:
        raise click.UsageError(f"{error.message}; or a duration: 2h") from error
    if len(found) > 1:
        raise click.UsageError(f"--until: wall time of which zone, {' or '.join(zones)}? Write an offset or Z")
    return found.pop()


def _outcome(name: str, state: str | None, *, was_paused: bool) -> str:
    if not was_paused:
        return f"{name}: was not paused"
    return f"{name}: resumed" + ("" if state in ("scheduled", None) else f"; it is {state}")


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
