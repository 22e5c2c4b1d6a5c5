"""Charts as inline SVG: no script, no download, readable on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 860
HEIGHT: Final = 240
LEFT: Final = 56
BOTTOM: Final = 34
TOP: Final = 14
COLOURS: Final = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626", "#0891b2")


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def _scale(low: float, high: float, start: float, end: float, value: float) -> float:
    return start + (value - low) / ((high - low) or 1.0) * (end - start)


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, str]] = (),
    y_range: tuple[float, float] | None = None,
) -> str:
    """Lines over one pair of axes; ``marks`` are vertical lines with a word."""
    points = [point for line in lines for point in line.points]
    if not points:
        return "<p class=quiet>nothing to draw</p>"
    x_low, x_high = min(p[0] for p in points), max(p[0] for p in points)
    y_low, y_high = y_range or (min(p[1] for p in points), max(p[1] for p in points))

    def x_at(value: float) -> float:
        return _scale(x_low, x_high, LEFT, WIDTH - 16, value)

    def y_at(value: float) -> float:
        return _scale(y_low, y_high, HEIGHT - BOTTOM, TOP, value)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    parts += _axes(x_low, x_high, y_low, y_high, x_label, y_label)
    for value, word in marks:
        x = x_at(value)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="mark"/>'
            f'<text x="{x + 4:.1f}" y="{TOP + 10}" class="word">{escape(word)}</text>'
        )
    for number, line in enumerate(lines):
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line.points)
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>'
        )
    parts.append("</svg>")
    return "".join(parts) + _legend([line.name for line in lines])


def _axes(
    x_low: float, x_high: float, y_low: float, y_high: float, x_label: str, y_label: str
) -> list[str]:
    floor = HEIGHT - BOTTOM
    parts = [f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{floor}" y2="{floor}" class="axis"/>']
    for step in range(5):
        y_value = y_low + (y_high - y_low) * step / 4
        y = _scale(y_low, y_high, floor, TOP, y_value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="tick" text-anchor="end">{y_value:.3g}</text>'
        )
        x_value = x_low + (x_high - x_low) * step / 4
        x = _scale(x_low, x_high, LEFT, WIDTH - 16, x_value)
        parts.append(
            f'<text x="{x:.1f}" y="{floor + 14}" class="tick" text-anchor="middle">{x_value:.0f}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - 16}" y="{HEIGHT - 4}" class="tick" text-anchor="end">{escape(x_label)}</text>'
        f'<text x="{LEFT}" y="{TOP - 3}" class="tick">{escape(y_label)}</text>'
    )
    return parts


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f"<div class=legend>{items}</div>"


def interval_chart(rows: Sequence[tuple[str, float, float, float]], label: str) -> str:
    """One line for each (name, estimate, lower, upper), around zero."""
    if not rows:
        return "<p class=quiet>nothing to draw</p>"
    low = min(0.0, *(row[2] for row in rows))
    high = max(0.0, *(row[3] for row in rows))
    left, step = 330, 26
    height = step * len(rows) + 40

    def at(value: float) -> float:
        return _scale(low, high, left, WIDTH - 90, value)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">']
    parts.append(
        f'<line x1="{at(0):.1f}" x2="{at(0):.1f}" y1="6" y2="{height - 24}" class="axis"/>'
        f'<text x="{at(0):.1f}" y="{height - 8}" class="tick" text-anchor="middle">0</text>'
        f'<text x="{WIDTH - 16}" y="{height - 8}" class="tick" text-anchor="end">{escape(label)}</text>'
    )
    for number, (name, estimate, lower, upper) in enumerate(rows):
        y = 20 + number * step
        parts.append(
            f'<text x="{left - 12}" y="{y + 4}" class="row" text-anchor="end">{escape(name)}</text>'
            f'<line x1="{at(lower):.1f}" x2="{at(upper):.1f}" y1="{y}" y2="{y}" class="interval"/>'
            f'<circle cx="{at(estimate):.1f}" cy="{y}" r="4" fill="{COLOURS[0]}"/>'
            f'<text x="{WIDTH - 16}" y="{y + 4}" class="tick" text-anchor="end">{estimate:+.3f}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)
