"""`beatd history --changes`: who changed what, when, and why."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from beatd.cli.following import AGAIN_S
from beatd.cli.following import follow as follow_on
from beatd.cli.show import instant, note, plain, printable
from beatd.cli.stored import unknown
from beatd.client.blocking import Client
from beatd.client.change_log import Trail, changes, extent
from beatd.client.entries import find
from beatd.core.change_log import Change, Told
from beatd.core.entry import spec_from_definition
from beatd.core.field_changes import FieldChange
from beatd.errors import EntryInvalid

TIMES: Final = ("at", "until", "from", "to")
WIDEST: Final = 200  # of a value on a terminal
OF_A_REQUEST: Final = ("kind", "name", "asked", "who", "note")  # told elsewhere in the row


@dataclass(frozen=True, slots=True)
class Asked:
    """Which changes are asked for: of one entry or all, made in [since, until] (UTC ms), the last so many (0: all)."""

    name: str | None
    since: int
    until: int | None
    count: int

    def has(self, change: Change) -> bool:
        """Whether a change is one of them."""
        of_name = self.name in (None, change.name)
        return of_name and self.since <= change.at and (self.until is None or change.at <= self.until)


def show_changes(client: Client, asked: Asked, output: str, *, follow: bool) -> None:
    """Prints them, and says where the log begins."""
    printer = Printer(output, named=asked.name is None)
    trail = Trail(client.keys)
    if follow or not asked.count:
        printed = _print_all(client, trail, asked, printer)
    else:
        found = client.run(changes(client.keys, asked.name, asked.count, asked.since, asked.until))
        printed = printer.print(found)
    if not follow:
        printer.end()
    if not asked.count or printed < asked.count:
        _tell_trimmed(client, asked.since)
    if not printed and not follow:
        _tell_none(client, asked)
    if follow:
        follow_on(lambda: printer.print(told for told in client.run(trail.more(AGAIN_S)) if asked.has(told.change)))


def _print_all(client: Client, trail: Trail, asked: Asked, printer: "Printer") -> int:
    """Prints what there is, page by page; the last so many where a number is asked for. How many that were."""
    kept: deque[Told] = deque(maxlen=asked.count or None)
    printed = 0
    while found := client.run(trail.more()):
        wanted = [told for told in found if asked.has(told.change)]
        if asked.count:
            kept.extend(wanted)
        else:
            printed += printer.print(wanted)
    return printed + printer.print(kept)


def _tell_trimmed(client: Client, since: int) -> None:
    """Says where the kept changes begin, if more was asked for."""
    kept = client.run(extent(client.keys))
    if kept.oldest is None or kept.oldest <= since or kept.trimmed is False:
        return
    gone = "older changes were trimmed; " if kept.trimmed else ""
    note(f"{gone}the oldest change that is kept is of {instant(kept.oldest)}")


def _tell_none(client: Client, asked: Asked) -> None:
    """Raises NotFound where nothing at all is known of a name."""
    some = asked.since or asked.until is not None
    if asked.name is None:
        note("there are no such changes" if some else "nothing has been changed yet")
    elif client.run(find(client.keys, asked.name)) is None and not some:
        raise unknown(client, asked.name, "change")
    else:
        note(f"no {'such ' if some else ''}change of {asked.name} is kept")


class Printer:
    """Prints changes as they come: a line each with its fields below it, or JSON."""

    def __init__(self, output: str, *, named: bool) -> None:
        self._named = named
        self._output = output
        self._begun = False

    def print(self, found: Iterable[Told]) -> int:
        """Prints some; how many."""
        show: Callable[[Told], None] = {"table": self._text, "ndjson": self._line, "json": self._item}[self._output]
        number = 0
        for told in found:
            show(told)
            self._begun = True
            number += 1
        return number

    def end(self) -> None:
        """After the last of them."""
        if self._output == "json":
            click.echo("\n]" if self._begun else "[]")

    def _line(self, told: Told) -> None:
        click.echo(_json(_shown(told)))

    def _item(self, told: Told) -> None:
        click.echo(f"{',' if self._begun else '['}\n  {_json(_shown(told))}", nl=False)

    def _text(self, told: Told) -> None:
        change = told.change
        name = f"{printable(change.name)}  " if self._named else ""
        said = f": {change.note}" if change.note else ""
        by = f"by {author(change)}" if change.who else "by somebody who did not say so"
        click.echo(plain(printable(f"{instant(change.at)}  {change.what:9}{name}{by}{said}".rstrip())))
        for line in (*_more(change), *field_lines(told.fields), *_revisions(change)):
            click.echo(plain(f"    {printable(line)}"))


def author(change: Change) -> str:
    """`ann@web-1 (beatd set)`, as far as it is known."""
    who = change.who
    place = "@".join(str(who[key]) for key in ("user", "host") if who.get(key))
    files = who.get("files")
    of_files = f", {', '.join(map(str, files))}" if isinstance(files, list) and files else ""
    client = f"({who['client']}{of_files})" if who.get("client") else ""
    return " ".join(filter(None, [place, client])) or "somebody who did not say so"


def field_lines(fields: Iterable[FieldChange] | None) -> list[str]:
    """`+ queue: "mail"`, `~ cron: "0 9 * * *" -> "0 10 * * *"`, `- tags: ["a"]`."""
    if fields is None:
        return ["what it was before is not kept"]
    lines = []
    for field, old, new in fields:
        if old is None or new is None:
            lines.append(f"{'+' if old is None else '-'} {field}: {_value(new if old is None else old)}")
        else:
            lines.append(f"~ {field}: {_value(old)} -> {_value(new)}")
    return lines


def _more(change: Change) -> list[str]:
    """What else there is to say of a change, beside the fields of its definition."""
    lines = []
    if change.what == "renamed":
        lines.append(f"from {change.replaces}" if change.replaces else f"to {change.heir}")
    if change.op == "pause" and change.pause is not None and (until := _instant(change.pause.get("until"))):
        lines.append(f"until {until}")
    elif change.op == "put" and change.pause is not None and not change.was:
        lines.append("under the pause it had before")
    if change.asks:
        asked = {key: value for key, value in change.asks.items() if key not in OF_A_REQUEST and value is not None}
        told = ", ".join(
            f"{key} {_time(key, value) if key in TIMES else _value(value)}" for key, value in asked.items()
        )
        lines.append(f"a {change.asks.get('kind')}{': ' if told else ''}{told}")
    if change.catchup:
        lines.append("from where it was paused (--catchup)")
    if change.left is not None:
        lines.append(f"runs left: {change.left:,}")
    return lines


def _revisions(change: Change) -> list[str]:
    """From which revision to which: their first eight characters are enough to tell them apart."""
    before, after = change.was[:8], change.rev[:8]
    return [f"revision {f'{before} -> ' if before else ''}{after}"] if after else []


def _shown(told: Told) -> dict[str, Any]:
    change = told.change
    return {
        "at": instant(change.at),
        "name": change.name,
        "what": change.what,
        "op": change.op,
        "revision": change.rev or None,
        "was": change.was or None,
        "who": dict(change.who),
        "note": change.note or None,
        "fields": None if told.fields is None else [field._asdict() for field in told.fields],
        "definition": _spec(change),
        "owned_by_file": bool(change.file_hash) if change.op == "put" else None,
        "enabled": change.enabled if change.op == "put" else None,
        "pause": None if change.pause is None else {key: _time(key, value) for key, value in change.pause.items()},
        "renamed_from": change.replaces or None,
        "renamed_to": change.heir or None,
        "runs_left": change.left,
        "catchup": change.catchup,
        "asks": None if change.asks is None else {key: _time(key, value) for key, value in change.asks.items()},
    }


def _spec(change: Change) -> Mapping[str, Any] | None:
    try:
        return None if change.definition is None else spec_from_definition(change.definition)
    except EntryInvalid:
        return None


def _time(key: str, value: Any) -> Any:
    return _instant(value) or value if key in TIMES else value


def _instant(value: Any) -> str | None:
    """An instant of a JSON object as it is shown; None where it is none."""
    text = str(value)
    return instant(int(text)) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def _value(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}..."


def _json(value: Any) -> str:
    return plain(json.dumps(value, ensure_ascii=False))
