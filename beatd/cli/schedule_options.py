"""The options that make a schedule, and how a command finds the schedule that it is asked about."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from beatd.cli.main import Common, redis_url
from beatd.cli.show import HOW_TO_CREATE
from beatd.core.schedules import Schedule, parse_schedule
from beatd.core.schedules.schedule import KINDS
from beatd.errors import BeatdError, NotFound, ScheduleInvalid

if TYPE_CHECKING:
    from beatd.config.settings import Settings
    from beatd.core.entry import Entry

MOST_NAMES: Final = 10_000  # looked at for the nearest one to an unknown name
HELP: Final = "such as '*/5 * * * *', '@daily', 30s, an instant, an rrule, or the name of an entry"

_OPTIONS: Final[tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = (
    (("--cron",), {"help": 'Five or six fields (seconds first), or an alias: "*/5 * * * *", "@daily".'}),
    (("--every",), {"metavar": "DURATION", "help": "Interval: 30s, 1h30m."}),
    (("--at",), {"metavar": "INSTANT", "help": "Once, at this instant: 2026-12-01T09:00."}),
    (("--rrule",), {"help": 'RFC 5545 recurrence rule: "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18".'}),
    (("--tz", "timezone"), {"metavar": "ZONE", "help": "IANA zone of the schedule [UTC]."}),
    (("--day",), {"type": click.Choice(["or", "and"]), "help": "Whether one of cron's day fields is enough [or]."}),
    (("--hash-id", "hash_id"), {"metavar": "TEXT", "help": "What cron's H is drawn from [the entry's name]."}),
    (("--start",), {"metavar": "INSTANT", "help": "No slot before this instant; an interval counts from here."}),
    (("--end",), {"metavar": "INSTANT", "help": "No slot after this instant."}),
    (("--anchor",), {"metavar": "INSTANT", "help": "An instant on the grid of an interval."}),
    (("--fast",), {"is_flag": True, "default": None, "help": "Allow intervals from 10ms."}),
)


def schedule_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cron to --fast, given to the command as one value `schedule`: the keys of an entry that were named."""
    names = [words[-1].removeprefix("--") for words, _ in _OPTIONS]

    def wrapped(**given: Any) -> Any:
        values = {name: given.pop(name) for name in names}
        return function(schedule={key: value for key, value in values.items() if value is not None}, **given)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__dict__.update(function.__dict__)
    for words, settings in reversed(_OPTIONS):
        wrapped = click.option(*words, **settings)(wrapped)
    return wrapped


@dataclass(frozen=True, slots=True)
class Asked:
    """The schedule that a command is asked about. ``entry`` and ``state`` where it is that of an existing entry."""

    schedule: Schedule
    name: str | None = None
    entry: "Entry | None" = None
    state: str = "scheduled"

    def notes(self) -> list[str]:
        """What a reader of the slots should know besides them."""
        found = []
        if self.schedule.anchor_assumed:
            found.append(
                "no name, anchor or start is given: the interval is assumed to count from 1970-01-01T00:00:00Z"
            )
        if self.entry is not None:
            found += _entry_notes(self.entry, self.state)
        return found


def _entry_notes(entry: "Entry", state: str) -> list[str]:
    from beatd.core.duration import format_duration
    from beatd.core.fire import jitter_of

    found = []
    if state == "paused" and entry.enabled:
        found.append(f"{entry.name!r} is paused: slots before the pause ends are not fired (beatd ls tells until when)")
    elif state != "scheduled" or not entry.enabled:
        found.append(f"{entry.name!r} is {state if entry.enabled else 'disabled'}: none of this runs as things are")
    if jitter := jitter_of(entry.name, entry.policy.jitter_ms):
        found.append(f"jitter: each run is sent {format_duration(jitter)} after its slot")
    if entry.policy.max_runs is not None:
        found.append(f"max_runs: ends after {entry.policy.max_runs} scheduled runs in all")
    return found


def find_schedule(words: tuple[str, ...], given: dict[str, Any], common: Common) -> Asked:
    """The schedule of one word and the given keys: a schedule as text, or an entry of a file or of Redis.

    With a kind among the keys the word is the name that a new entry would have: intervals and H take their place from
    it. Raises ScheduleInvalid, EntryInvalid, ConfigInvalid, NotFound, Unreachable, and UsageError.
    """
    word = _one_word(words)
    kinds = [kind for kind in KINDS if kind in given]
    if word is None:
        if not kinds:
            raise click.UsageError(f"say which schedule: {HELP}")
        return Asked(parse_schedule(given))
    kind = bare_kind(word)
    if kinds:
        if kind is not None:
            raise click.UsageError(f"found two schedules, {word!r} and --{kinds[0]}; one is accepted")
        return Asked(parse_schedule(given, name=_checked(word)), word)
    if kind is None:
        return _of_entry(word, given, common)
    try:
        return Asked(parse_schedule({kind: word, **given}))
    except ScheduleInvalid as error:
        return _named_so(word, given, common, error)


def _one_word(words: tuple[str, ...]) -> str | None:
    if len(words) > 1:
        raise click.UsageError(f"found {len(words)} words; a cron expression is one, in quotes: '*/5 * * * *'")
    return words[0] if words else None


_KINDS_BY_LOOK: Final = (
    ("rrule", re.compile(r"(?:FREQ=|RRULE:|DTSTART[:;])", re.IGNORECASE)),
    ("at", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ]|$)", re.IGNORECASE)),
    ("every", re.compile(r"[0-9][0-9.mshdw]*$|PT?[0-9][0-9.A-Z]*$")),
    # Two fields or more, one of them with a star, or the first of them of digits: names seldom look so.
    ("cron", re.compile(r"@[a-z]|[*?]$|\S*[*?]\S*\s+\S|.*\s[^\s]*[*?]|[0-9,/\-]+(?:\s+\S+){3,6}\s*$", re.IGNORECASE)),
)


def bare_kind(text: str) -> str | None:
    """The kind of schedule that a text looks like: cron, every, at, rrule; None for what is rather a name."""
    text = text.strip()
    return next((kind for kind, look in _KINDS_BY_LOOK if look.match(text)), None)


def _named_so(word: str, given: dict[str, Any], common: Common, error: ScheduleInvalid) -> Asked:
    """An entry of a file whose name looks like a schedule and is none."""
    try:
        entry = _in_files(word, common.settings())
    except BeatdError:  # what is wrong with the text comes first
        entry = None
    if entry is None:
        raise error
    return _changed(entry, given, "scheduled")


def _of_entry(name: str, given: dict[str, Any], common: Common) -> Asked:
    settings = common.settings()
    entry = _in_files(name, settings)
    if entry is not None:
        return _changed(entry, given, "scheduled")
    return _in_redis(name, given, settings)


def _in_files(name: str, settings: "Settings") -> "Entry | None":
    return next((entry for entry in settings.entries if entry.name == name), None)


def _changed(entry: "Entry", given: dict[str, Any], state: str) -> Asked:
    """The entry's schedule with the given keys in place of its own."""
    schedule = parse_schedule({**entry.schedule.to_spec(), **given}, name=entry.name) if given else entry.schedule
    return Asked(schedule, entry.name, entry, state)


def _in_redis(name: str, given: dict[str, Any], settings: "Settings") -> Asked:
    import itertools

    from beatd.client.blocking import Client
    from beatd.core.entry import entry_from_definition
    from beatd.errors import Unreachable

    places = [str(file.path) for file in settings.files]
    known = [entry.name for entry in settings.entries]
    try:
        url = redis_url(settings)
    except Unreachable:
        raise _unknown(name, known, places) from None
    with Client(url, settings.namespace) as client:
        row = client.row(name)
        if row is not None:
            return _changed(entry_from_definition(name, row.definition), given, row.state_at(client.now_ms()))
        known += [row.name for row in itertools.islice(client.rows(), MOST_NAMES)]
    raise _unknown(name, known, [*places, "Redis"])


def _unknown(name: str, known: list[str], places: list[str]) -> NotFound:
    near = difflib.get_close_matches(name, known, 1)
    where = f"in {' or '.join(places)}" if places else "anywhere: no file and no server was found"
    hint = f"did you mean {near[0]!r}?" if near else f"an argument is {HELP}"
    if places and not known:
        hint = f"there are no entries yet; {HOW_TO_CREATE}"
    return NotFound(f"there is no entry {name!r} {where}", hint=hint)


def _checked(name: str) -> str:
    from beatd.core.entry import check_name

    check_name(name)
    return name
