"""How instants, durations and tables look."""

from collections.abc import Sequence
from datetime import UTC, datetime


def instant(ms: int | None) -> str | None:
    """RFC 3339 UTC with Z, milliseconds only when not zero."""
    if ms is None:
        return None
    text = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms % 1000:03d}Z" if ms % 1000 else f"{text}Z"


def distance(ms: int) -> str:
    """How far away, in the largest unit that fits: `in 3 h`, `5 s ago`."""
    far = abs(ms) / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if far >= size:
            amount = f"{far / size:.0f} {unit}"
            break
    else:
        amount = f"{far:.0f} s"
    return f"in {amount}" if ms >= 0 else f"{amount} ago"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned by spaces."""
    cells = [list(heads), *[["-" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)
