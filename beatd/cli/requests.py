"""`beatd trigger`, `backfill`: messages beside the timetable."""

import json
import sys
import time
import uuid
from typing import Any, Final

import click

from beatd.cli.main import Common, common_options, output_option, print_json
from beatd.cli.show import confirm, instant, note, on_terminal
from beatd.cli.slots import slot_table
from beatd.cli.stored import open_client, who_edits
from beatd.client import requests
from beatd.client.blocking import Client
from beatd.client.outbox import leaders_broker, look
from beatd.core.duration import parse_duration
from beatd.core.instant import read_moment
from beatd.core.requests import GREATEST_MOST, USUAL_MOST, Request
from beatd.core.schedules import Schedule
from beatd.core.waiting import chosen
from beatd.errors import EntryInvalid, NoSlot, Refused, ScheduleInvalid

WAIT_S: Final = 5.0
CONFIRM_S: Final = 1.0  # a broker that takes messages has confirmed by then
POLL_S: Final = 0.02
LISTED: Final = 10  # slots of a backfill at its beginning


@click.command()
@click.argument("name")
@common_options
@click.option("--args", "args", metavar="JSON", help="Positional arguments, in place of the entry's: a JSON list.")
@click.option("--kwargs", "kwargs", metavar="JSON", help="Keyword arguments, in place of the entry's: a JSON object.")
@click.option("--note", default="", help="Why, for the record of changes.")
@click.option("--wait/--no-wait", default=True, help="Wait some seconds until it is on its queue [--wait].")
@output_option
def trigger(
    common: Common, name: str, args: str | None, kwargs: str | None, note: str, output: str, *, wait: bool
) -> None:
    """Run the entry NAME once, now. Prints the task id.

    \b
    beatd trigger nightly-report
    beatd trigger nightly-report --kwargs '{"day": "2026-11-20"}' --note "asked for by Ann"

    The next slot stays where it is, and `max_runs` counts nothing. Works on paused and disabled entries too. Ends with
    1 where it is not on its queue after some seconds: the leader pushes it within the hour, or not at all.
    """
    given = _given(args, kwargs)
    with open_client(common) as client:
        who = who_edits("beatd trigger", note)
        task_id = client.run(requests.trigger(client.keys, name, str(uuid.uuid4()), who, note=note, **given))
        if output == "table":
            click.echo(task_id)
        found = _wait(client, task_id) if wait else client.run(requests.request_state(client.keys, task_id))
        if output == "json":
            print_json(_shown(task_id, name, found))
        if wait:
            _tell(client, name, found)


@click.command()
@click.argument("name")
@common_options
@click.option("--from", "first", metavar="WHEN", required=True, help="The first slot: an instant, or so long ago (2d).")
@click.option("--to", "last", metavar="WHEN", help="The last slot, included [now].")
@click.option("--max", "most", type=click.IntRange(1, GREATEST_MOST), default=USUAL_MOST, show_default=True,
              help="Refuse more slots than this.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(0.001, 1_000_000), help="Push at most so many a second.")
@click.option("--note", "why", default="", help="Why, for the record of changes.")
@click.option("--dry-run", is_flag=True, help="Show the slots and ask for nothing.")
@click.option("--again", is_flag=True, help="Push slots once more that were pushed before.")
@click.option("--wait/--no-wait", default=True, help="Wait some seconds until all is on its queue [--wait].")
@click.option("--yes", is_flag=True, help="Don't ask.")
@output_option
def backfill(
    common: Common,
    name: str,
    first: str,
    last: str | None,
    most: int,
    rate: float | None,
    why: str,
    output: str,
    *,
    dry_run: bool,
    again: bool,
    wait: bool,
    yes: bool,
) -> None:
    """Run past slots of the entry NAME (again), oldest first.

    \b
    beatd backfill nightly-report --from 2026-11-01T00:00 --to 2026-11-07T00:00 --dry-run
    beatd backfill nightly-report --from 7d --rate 10 --yes

    Lists the slots, and asks on a terminal; elsewhere it needs --yes. Task ids are those of the slots. The same range
    asked for again pushes nothing twice, and goes on where it was stopped; another range is refused (exit 5) where it
    has slots that were backfilled in the last 30 days, unless --again is said. A slot that the entry still owes is left
    to the timetable. An instant without an offset is wall time in the entry's zone. Pausing or removing the entry ends
    it.
    """
    if not dry_run and not yes and not on_terminal(sys.stdin):
        raise click.UsageError("backfill asks before it pushes; where nobody can answer, say --yes (or --dry-run)")
    with open_client(common) as client:
        schedule = _schedule(client, name)
        now = client.now_ms()
        begins, ends = (
            _when("--from", first, schedule, now),
            now if last is None else _when("--to", last, schedule, now),
        )
        fresh = str(uuid.uuid4()) if again else None
        found = client.run(
            requests.look_at_range(client.keys, name, begins, ends, most=most, rate=rate, again=fresh)
        )  # fmt: skip
        _list(found, output)
        client.run(requests.check_range(client.keys, found))
        if dry_run or found.answered:
            if output == "json":
                print_json({**_shown(found.request_id, name, found.found), "slots": list(map(instant, found.slots))})
            if found.found is not None and found.answered:
                _tell_before(found.found)
            return
        if not found.slots:
            raise NoSlot(f"{name!r} has no slot to push there", hint="beatd next NAME --from ... shows its slots")
        if not yes:
            confirm(f"Push {_count(len(found.slots))} of {name}?")
        asked = client.run(requests.backfill(client.keys, found, who_edits("beatd backfill", why), why))
        state = _wait(client, asked) if wait else client.run(requests.request_state(client.keys, asked))
        if output == "json":
            print_json({**_shown(asked, name, state), "slots": list(map(instant, found.slots))})
        if wait:
            _tell(client, name, state)


def _given(args: str | None, kwargs: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, text, kind, called in (("args", args, list, "a list"), ("kwargs", kwargs, dict, "an object")):
        if text is None:
            continue
        try:
            given[key] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EntryInvalid(f"--{key}: not JSON: {error}", hint="quote it for the shell: '...'") from error
        if not isinstance(given[key], kind):
            raise EntryInvalid(f"--{key}: {called} of JSON is accepted", hint=f"found {text[:80]}")
    return given


def _schedule(client: Client, name: str) -> Schedule:
    state = client.get(name)
    if state.entry is None:
        raise EntryInvalid(f"{name!r} can't be read: {state.why}")
    return state.entry.schedule


def _when(flag: str, text: str, schedule: Schedule, now: int) -> int:
    """An instant, UTC ms; a duration counts back from now; raises UsageError for what is neither."""
    try:
        return max(0, now - parse_duration(text))
    except ScheduleInvalid:
        pass
    try:
        found = read_moment(flag, text, schedule.zone).ms
    except ScheduleInvalid as error:
        raise click.UsageError(f"{error.message}; or how long ago: 7d") from error
    if found < 0:
        raise click.UsageError(f"{flag}: {text} lies before 1970")
    return found


def _list(found: requests.Range, output: str) -> None:
    """The slots, on stdout: data. What is to be thought about, on stderr."""
    if output == "table" and found.slots:
        schedule = found.entry.schedule
        shown = found.slots if len(found.slots) <= LISTED + 1 else (*found.slots[:LISTED], found.slots[-1])
        head, *lines = slot_table(schedule, shown, found.now, later=False).split("\n")
        more = len(found.slots) - len(shown)
        click.echo("\n".join([head, *lines[:-1], *([f"... {more:,} more"] if more else []), lines[-1]]))
    if found.owed is not None:
        note(f"from {instant(found.owed)} on the timetable fires by itself: left out")
    if found.found is not None and found.found.state in ("withdrawn", "refused"):
        note(f"goes on after the {found.found.pushed:,} that were pushed before it was {found.found.state}")


def _tell_before(before: Request) -> None:
    at = instant(before.at)
    if before.state == "open":
        note(f"this very range was asked for at {at} and is being pushed: {before.pushed:,} so far")
    else:
        note(f"this very range was pushed already ({before.pushed:,}, at {at}): nothing is pushed twice; --again does")


def _wait(client: Client, request_id: str) -> Request | None:
    """The request as soon as it has ended, or as it is after some seconds."""
    give_up = time.monotonic() + WAIT_S
    while True:
        found = client.run(requests.request_state(client.keys, request_id))
        if found is None or found.state != "open" or time.monotonic() > give_up:
            return found
        time.sleep(POLL_S)


def _tell(client: Client, name: str, found: Request | None) -> None:
    """What became of it, on stderr. Raises Refused where it was withdrawn or refused; ends with 1 where it waits."""
    if found is None:
        raise Refused(f"the request for {name!r} is gone: all data were lost, or somebody deleted it")
    if found.state in ("withdrawn", "refused"):
        pushed = f" after {found.pushed:,} messages" if found.pushed else ""
        raise Refused(f"the request for {name!r} was {found.state}{pushed}: {found.why}")
    if found.state == "done":
        click.echo(f"{name}: pushed{'' if found.pushed == 1 else f' {found.pushed:,}'}", err=True)
        if found.why:
            note(found.why)
        _tell_waiting(client, name)
        return
    leading = client.run(requests.leading(client.keys))
    if not leading.leads:
        note("nobody leads: it waits until an instance of beatd does (beatd status)")
    elif found.pushed:
        note(f"{found.pushed:,} are pushed so far; it goes on by itself (beatd history {name} --follow)")
        return
    else:
        note(f"not pushed yet by {leading.host}: is its queue usable? (beatd doctor)")
    click.get_current_context().exit(1)


def _tell_waiting(client: Client, name: str) -> None:
    """With another broker `pushed` means decided: what the broker has not confirmed yet is told."""
    if not client.run(leaders_broker(client.keys)):
        return
    give_up = time.monotonic() + CONFIRM_S
    while rows := [row for row in chosen(client.run(look(client.keys)).rows, (name,)) if row.draft.cause]:
        if time.monotonic() > give_up:
            break
        time.sleep(POLL_S)
    if rows:
        many = "1 message of it waits" if len(rows) == 1 else f"{len(rows):,} messages of it wait"
        note(f"{many} for the broker (beatd outbox)")


def _shown(request_id: str, name: str, found: Request | None) -> dict[str, Any]:
    state = None if found is None else found.state
    pushed = 0 if found is None else found.pushed
    return {"id": request_id, "name": name, "state": state, "pushed": pushed, "why": found.why if found else None}


def _count(slots: int) -> str:
    return "1 run" if slots == 1 else f"{slots:,} runs"
