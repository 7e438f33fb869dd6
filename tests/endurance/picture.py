"""Memory and descriptors over time, as SVG: text that every browser draws."""

from collections.abc import Callable, Sequence
from typing import Final

from tests.endurance.measure import Sample

WIDTH: Final = 860
HEIGHT: Final = 400
LEFT: Final = 60
RIGHT: Final = 20
PANELS: Final = ((40, 190), (240, 360))  # top and bottom: memory above, descriptors below
COLOURS: Final = ("#0b6e4f", "#c1121f", "#003f88", "#8a5a00")
MOST_POINTS: Final = 600  # of a line: more can't be told apart


def picture(instances: Sequence[Sequence[Sample]], title: str) -> str:
    """Two panels over the same minutes, a line for each instance, both beginning at zero."""
    longest = max(sample.at for samples in instances for sample in samples)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>',
    ]
    readings: list[tuple[str, Callable[[Sample], float]]] = [
        ("MB", lambda sample: sample.memory),
        ("open descriptors", lambda sample: float(sample.descriptors)),
    ]
    for (unit, reading), (top, bottom) in zip(readings, PANELS, strict=True):
        high = 1.15 * max(reading(sample) for samples in instances for sample in samples)
        parts += _axes(unit, high, top, bottom)
        for number, samples in enumerate(instances):
            thinned = samples[:: max(1, len(samples) // MOST_POINTS)]
            points = " ".join(
                f"{_x(sample.at, longest)},{_y(reading(sample), high, top, bottom)}" for sample in thinned
            )
            colour = COLOURS[number % len(COLOURS)]
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
    for minute in range(0, int(longest // 60) + 1, max(1, int(longest // 600))):
        x = _x(60.0 * minute, longest)
        parts.append(f'<text x="{x}" y="{HEIGHT - 20}" text-anchor="middle">{minute} min</text>')
    return "\n".join([*parts, "</svg>\n"])


def _axes(unit: str, high: float, top: int, bottom: int) -> list[str]:
    found = [f'<text x="{LEFT}" y="{top - 4}">{unit}</text>']
    for share in (0.0, 0.5, 1.0):
        y = _y(share * high, high, top, bottom)
        found.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#ddd"/>')
        found.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{share * high:.0f}</text>')
    return found


def _x(at: float, longest: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * at / max(longest, 1.0), 1)


def _y(value: float, high: float, top: int, bottom: int) -> float:
    return round(bottom - (bottom - top) * value / high, 1)
