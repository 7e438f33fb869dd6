"""A picture of how shares grow over time, as SVG: text that every browser draws, and no library to install."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 860
HEIGHT: Final = 420
LEFT: Final = 60
RIGHT: Final = 190
TOP: Final = 40
BOTTOM: Final = 50
COLOURS: Final = ("#0b6e4f", "#1b998b", "#56c5a9", "#c1121f", "#e5616b", "#003f88", "#5b8fd6", "#8a5a00", "#d09a2a")


@dataclass(frozen=True, slots=True)
class Line:
    """One growing count: (ms, count) in order, out of ``total``."""

    label: str
    total: int
    points: Sequence[tuple[float, int]]


def plot(lines: Sequence[Line], title: str) -> str:
    """An SVG with milliseconds on a logarithmic axis."""
    high = max([1000.0, *(point[0] for line in lines for point in line.points)])
    decades = math.ceil(math.log10(high))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>',
        *_grid(decades),
    ]
    for number, line in enumerate(sorted(lines, key=lambda line: line.points[-1][0] if line.points else math.inf)):
        colour = COLOURS[number % len(COLOURS)]
        path = _path(line, decades)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        y = TOP + 14 + 18 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{colour}">{line.label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _grid(decades: int) -> list[str]:
    found = []
    for decade in range(decades + 1):
        x = _x(10.0**decade, decades)
        found.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        text = f"{10**decade:,} ms"
        found.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    for share in (0, 25, 50, 75, 100):
        y = _y(share / 100)
        found.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#ddd"/>')
        found.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{share}%</text>')
    return found


def _path(line: Line, decades: int) -> str:
    """A staircase: a count stays until the next one was seen."""
    steps, before = [], 0.0
    for ms, count in line.points:
        share = min(1.0, count / line.total)
        steps += [f"{_x(ms, decades)},{_y(before)}", f"{_x(ms, decades)},{_y(share)}"]
        before = share
    return " ".join(steps)


def _x(ms: float, decades: int) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log10(max(1.0, ms)) / decades, 1)


def _y(share: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)
