"""Rows for programs: JSON, NDJSON, YAML, CSV, names. Each is printed as it comes, however many there are."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import click

from beatd.cli.show import plain, printable

Row = Mapping[str, Any]
AT_ONCE: Final = 500


def print_rows(output: str, rows: Iterable[Row], columns: Iterable[str]) -> None:
    """Prints rows in one of FORMATS. columns: the fields, for CSV."""
    lines = FORMATS[output](iter(rows), list(columns))
    while chunk := list(islice(lines, AT_ONCE)):
        click.echo("".join(chunk), nl=False)


def _json(rows: Iterator[Row], columns: list[str]) -> Iterator[str]:
    begun = False
    for row in rows:
        text = plain(json.dumps(row, ensure_ascii=False, indent=2)).replace("\n", "\n  ")
        yield f"{',' if begun else '['}\n  {text}"
        begun = True
    yield "\n]\n" if begun else "[]\n"


def _ndjson(rows: Iterator[Row], columns: list[str]) -> Iterator[str]:
    for row in rows:
        yield f"{_object(row)}\n"


def _yaml(rows: Iterator[Row], columns: list[str]) -> Iterator[str]:
    import yaml

    begun = False
    for row in rows:
        text = yaml.dump([dict(row)], Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=1_000_000)
        yield plain(text)
        begun = True
    if not begun:
        yield "[]\n"


def _names(rows: Iterator[Row], columns: list[str]) -> Iterator[str]:
    for row in rows:
        yield f"{printable(row['name'])}\n"


def _csv(rows: Iterator[Row], columns: list[str]) -> Iterator[str]:
    yield csv_line(columns)
    for row in rows:
        yield csv_line([csv_cell(row[column]) for column in columns])


def csv_line(cells: Iterable[str]) -> str:
    """Cells as a line of CSV, with its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return plain(line.getvalue())


def csv_cell(value: Any) -> str:
    """A list of texts with blanks between, anything else that is no text or number as JSON, nothing for none."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return "" if value is None else str(value)


def _object(row: Row) -> str:
    return plain(json.dumps(row, ensure_ascii=False))


def _dumper() -> Any:
    import yaml

    return getattr(yaml, "CSafeDumper", yaml.SafeDumper)


FORMATS: Final[Mapping[str, Callable[[Iterator[Row], list[str]], Iterator[str]]]] = {
    "json": _json,
    "ndjson": _ndjson,
    "yaml": _yaml,
    "name": _names,
    "csv": _csv,
}
