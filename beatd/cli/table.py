"""Tables that fit a terminal: columns of little worth go, long texts are cut; elsewhere nothing is."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from beatd.cli.show import printable

GAP: Final = "  "
CUT: Final = "…"
Style = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. least: it may be cut down to so many places, None: it stays as wide as it is.

    rank: those of the lowest rank go first where there is no room; None: it stays. wish: so many places are worth more
    than a spare column.
    """

    head: str
    least: int | None = None
    rank: int | None = None
    wish: int | None = None
    spare: bool = False


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    styles: Sequence[Sequence[Style | None]] = (),
    head: Style | None = None,
) -> list[str]:
    """Lines, the first with the heads. width: the terminal's, None: nothing is cut. styles: of each cell."""
    cells = [[printable(text) for text in row] for row in rows]
    natural = [max(places(row[i]) for row in ([each.head for each in columns], *cells)) for i in range(len(columns))]
    widths = fitting(columns, natural, width)
    lines = [_line([(column.head, widths[i], head) for i, column in enumerate(columns) if widths[i] is not None])]
    for number, row in enumerate(cells):
        style = styles[number] if styles else [None] * len(columns)
        lines.append(_line([(text, widths[i], style[i]) for i, text in enumerate(row) if widths[i] is not None]))
    return lines


def fitting(columns: Sequence[Column], natural: Sequence[int], width: int | None) -> list[int | None]:
    """How wide each column becomes, None for one that goes."""
    found: list[int | None] = list(natural)
    if width is None:
        return found
    least = [
        wide if column.least is None else min(wide, column.least) for column, wide in zip(columns, natural, strict=True)
    ]
    by_rank = sorted((column.rank, i) for i, column in enumerate(columns) if column.rank is not None)

    wished = [min(wide, column.wish or wide) for column, wide in zip(columns, natural, strict=True)]

    def too_wide(i: int) -> bool:
        """With column i: for any of them to be told, or, where that one is spare, for the others to be read."""
        least_of = wished if columns[i].spare else least
        return _total([least_of[k] for k, wide in enumerate(found) if wide is not None]) > width

    for _, i in by_rank:
        if too_wide(i):
            found[i] = None
    for _, i in reversed(by_rank):  # a narrow one may fit where a wide one of more worth did not
        if found[i] is None:
            found[i] = natural[i]
            if too_wide(i):
                found[i] = None
    while (excess := _total([wide for wide in found if wide is not None]) - width) > 0:
        room = {i: wide - least[i] for i, wide in enumerate(found) if wide is not None and wide > least[i]}
        if not room:
            break
        widest = max(room, key=lambda i: found[i] or 0)
        others = [found[i] or 0 for i in room if i != widest]
        step = min(excess, room[widest], max(1, (found[widest] or 0) - max(others, default=0)))
        found[widest] = (found[widest] or 0) - step
    return found


def places(text: str) -> int:
    """How many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_places_of(char) for char in text)


def cut(text: str, width: int) -> str:
    """A text in so many places at most, with a mark where something is missing."""
    if places(text) <= width:
        return text
    taken, room = [], width - 1
    for char in text:
        room -= _places_of(char)
        if room < 0:
            break
        taken.append(char)
    return "".join(taken) + CUT


def _places_of(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * max(0, len(widths) - 1)


def _line(cells: Sequence[tuple[str, int | None, Style | None]]) -> str:
    """The cells of one line; blanks at its end are left out."""
    parts = []
    for number, (text, width, style) in enumerate(cells):
        short = cut(text, width or 0)
        blanks = " " * ((width or 0) - places(short)) if number < len(cells) - 1 else ""
        parts.append((style(short) if style else short) + blanks)
    return GAP.join(parts).rstrip()
