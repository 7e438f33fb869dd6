"""How instants, durations and tables look."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import click

from beatd.core.instant import FIRST_MS, LAST_MS, instant_text

HOW_TO_CREATE: Final = "create one: beatd set NAME --task app.tasks.hello --every 30s, or in schedules.yaml"


def instant(ms: int | None) -> str | None:
    """RFC 3339 UTC with Z, milliseconds only when not zero; the bare number of what lies in no year from 1 to 9999."""
    if ms is None:
        return None
    return instant_text(ms) if FIRST_MS <= ms <= LAST_MS else f"{ms} ms"


def distance(ms: int) -> str:
    """How far away, in the largest unit that fits: `in 3 h`, `5 s ago`."""
    far = abs(ms) / 1000
    sizes = ((1, "s", 60), (60, "min", 60), (3_600, "h", 24))
    amount = f"{far / 86_400:.0f} d"
    for size, unit, too_many in reversed(sizes):
        if int(far / size + 0.5) < too_many:
            amount = f"{int(far / size + 0.5)} {unit}"
    return f"in {amount}" if ms >= 0 else f"{amount} ago"


def lateness(ms: int) -> str:
    """How late, in the unit that tells most: `4 ms`, `1.3 s`, `5 min`."""
    if abs(ms) < 1_000:
        return f"{ms} ms"
    if abs(ms) < 60_000:
        return f"{ms / 1_000:.1f} s"
    return ("-" if ms < 0 else "") + distance(abs(ms)).removeprefix("in ")


def size(count: int) -> str:
    """So many bytes, in the unit that tells most: `512 B`, `34 kB`, `1.3 MB`."""
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1_000:.0f} kB" if count < 999_500 else f"{count / 1_000_000:.1f} MB"


def on_terminal(stream: TextIO | None) -> bool:
    """Whether a stream leads to a person; None: whoever started us has closed it."""
    return stream is not None and stream.isatty()


def confirm(question: str, *, default: bool = False) -> None:
    """Goes on where a person says yes. Else says that nothing was written and ends with 1; after Ctrl-C with 130."""
    try:
        wanted = click.confirm(question, default=default, err=True)
    except click.Abort:
        click.echo("\nnothing was written", err=True)
        raise
    if not wanted:
        click.echo("nothing was written", err=True)
        click.get_current_context().exit(1)


def coloured(stream: TextIO | None = None, env: Mapping[str, str] | None = None) -> bool:
    """Whether to use colours: on a terminal that has them, unless NO_COLOR is set."""
    env = os.environ if env is None else env
    stream = sys.stdout if stream is None else stream
    return on_terminal(stream) and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def styled(text: str, **style: Any) -> str:
    """The text in a style where standard output shows it, else as it is."""
    return click.style(text, **style) if coloured() else text


def plain(text: str) -> str:
    """Text that can be printed: what another client wrote in no encoding of ours is shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """Text on one line that moves no cursor: what others wrote may hold line ends and escape sequences."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def note(text: str) -> None:
    """A message beside the data, on one line: to stderr."""
    click.echo(f"note: {printable(text)}", err=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned by spaces, a row a line."""
    cells = [list(heads), *[["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)
