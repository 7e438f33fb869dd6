"""Lines of the history as `beatd history` prints them: columns that only grow, or JSON."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import click

from beatd.cli.row_formats import csv_cell, csv_line
from beatd.cli.show import instant, lateness, plain, printable
from beatd.core.fire import TaskIds
from beatd.core.history import Hindsight, Line, lateness_ms, task_id
from beatd.core.instant import FIRST_MS, LAST_MS
from beatd.core.preview import local_text
from beatd.core.zone import Zone

WIDEST: Final = 200  # as a name may be
CSV: Final = (
    *("slot", "local", "name", "what", "reason", "cause", "count", "at_least", "last", "foretold", "lateness_ms"),
    *("task_id", "at", "epoch", "text", "why"),
)
_USUAL: Final = {"SLOT": 24, "NAME": 16, "WHAT": 10, "LATE": 7, "TASK ID": 36}  # of what may come later


class Printer:
    """Prints lines as they come: columns that only grow, or JSON."""

    def __init__(
        self, output: str, namespace: str, zone: Zone, shown_zone: str | None, *, named: bool, more: bool = False
    ) -> None:
        """``named``: lines of several entries. ``more``: others will come, for which columns keep some room."""
        self._output = output
        self._ids = TaskIds(namespace)
        self._zone = zone
        self._local = shown_zone if shown_zone and not zone.is_utc else None
        self._named = named
        self._room = _USUAL if more else {}
        self._widths: list[int] = []
        self._begun = False

    def print(self, lines: list[Line], jitters: Callable[[Iterable[str]], Mapping[str, int]], seen: Hindsight) -> None:
        """Prints some lines."""
        known = jitters(line.name for line in lines if line.what == "fired" and line.name is not None)
        rows = [self.row(line, known.get(line.name or "", 0), seen) for line in lines]
        if self._output == "table":
            self._print_table(rows)
        elif self._output == "ndjson":
            click.echo("\n".join(_json(row) for row in rows))
        elif self._output == "csv":
            self._print_csv(rows)
        else:
            self._print_json(rows)
        self._begun = self._begun or bool(rows)

    def end(self) -> None:
        """After the last of them."""
        if self._output == "json":
            click.echo("\n]" if self._begun else "[]")
        elif self._output == "csv" and not self._begun:
            self._print_csv([])

    def row(self, line: Line, jitter: int, seen: Hindsight) -> dict[str, Any]:
        """A line as JSON."""
        slot = line.slot
        return {
            "slot": instant(slot),
            "local": None if slot is None or not FIRST_MS <= slot <= LAST_MS else local_text(slot, self._zone),
            "name": line.name,
            "what": seen.what(line),
            "reason": line.reason,
            "cause": line.cause or ("schedule" if line.what == "fired" else None),
            "count": line.count or None,
            "at_least": line.at_least,
            "last": instant(line.last),
            "foretold": seen.ahead(line),
            "lateness_ms": lateness_ms(line, jitter),
            "task_id": task_id(line, self._ids),
            "at": instant(line.at),
            "epoch": line.epoch,
            **({"text": line.text} if line.text is not None else {}),
            **({"why": line.why} if line.why is not None else {}),
        }

    def _print_json(self, rows: list[dict[str, Any]]) -> None:
        """One list, an object a line, with nothing after the last one yet."""
        for number, row in enumerate(rows):
            click.echo(f"{',' if self._begun or number else '['}\n  {_json(row)}", nl=False)

    def _print_csv(self, rows: list[dict[str, Any]]) -> None:
        head = [] if self._begun else [csv_line(CSV)]
        cells = [csv_line([csv_cell(row.get(column)) for column in CSV]) for row in rows]
        click.echo("".join([*head, *cells]), nl=False)

    def _print_table(self, rows: list[dict[str, Any]]) -> None:
        click.echo("\n".join(self.table(rows)))

    def table(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Rows as lines of columns that only grow, with a head above the first of all."""
        heads = ["SLOT", *([self._local] if self._local else []), *(["NAME"] if self._named else [])]
        heads += ["WHAT", "COUNT", "LATE", "TASK ID"]
        cells = [[_cut(cell) for cell in self._cells(row)] for row in rows]
        before = self._widths
        self._widths = [
            max(*(len(row[i]) for row in [heads, *cells]), before[i] if before else self._room.get(head, 0))
            for i, head in enumerate(heads)
        ]
        shown = cells if self._begun else [heads, *cells]
        return ["  ".join(cell.ljust(w) for cell, w in zip(row, self._widths, strict=True)).rstrip() for row in shown]

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        ranged = row["last"] != row["slot"] and row["last"] is not None
        slot = f"{row['slot']} to {row['last']}" if ranged else row["slot"] or "-"
        count = "-" if row["count"] is None else f"{row['count']:,}{'+' if row['at_least'] else ''}"
        said = "to skip" if row["foretold"] else row["what"]
        skipped = row["what"] not in ("fired", "waiting")
        why = f", {row['why']}" if row.get("why") else ""
        what = printable(f"{said}: {row.get('text') or row['reason']}{why}") if skipped else _fired(said, row["cause"])
        late = row["lateness_ms"]
        named = [_printable(row["name"] or "-")] if self._named else []
        local = [str(row["local"] or "-")] if self._local else []
        return [slot, *local, *named, what, count, "-" if late is None else lateness(late), row["task_id"] or "-"]


def _fired(said: str, cause: str) -> str:
    return said if cause == "schedule" else printable(f"{said}: {cause}")


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)


def _json(row: Mapping[str, Any]) -> str:
    return plain(json.dumps(row, ensure_ascii=False))


def _cut(cell: str) -> str:
    """Another client may have written a name of megabytes, and every row would be as wide."""
    return cell if len(cell) <= WIDEST else f"{cell[:WIDEST]}..."
