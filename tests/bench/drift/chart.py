"""Grouped bars on a log scale, as SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
ROW: Final = 18
LEFT: Final = 130
TOP: Final = 56
COLOURS: Final = ("#2563eb", "#d97706", "#059669", "#7c3aed")


@dataclass(frozen=True, slots=True)
class Bar:
    """A group; a value that is None was not reached."""

    label: str
    values: Mapping[str, float | None]


def bars(title: str, groups: Sequence[Bar]) -> str:
    names = list(dict.fromkeys(name for group in groups for name in group.values))
    numbers = [value for group in groups for value in group.values.values() if value]
    top = max(numbers, default=10.0)
    height = TOP + sum((len(names) + 1) * ROW for _ in groups) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for place, name in enumerate(names):
        x = 10 + 150 * place
        parts.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{COLOURS[place]}"/>')
        parts.append(f'<text x="{x + 18}" y="41">{escape(name)}</text>')
    y = TOP
    for group in groups:
        parts.append(f'<text x="10" y="{y + ROW}">{escape(group.label)}</text>')
        for place, name in enumerate(names):
            value = group.values.get(name)
            length = (WIDTH - LEFT - 80) * math.log(max(value or top, 1.0) + 1) / math.log(top + 1)
            fill = COLOURS[place] if value else "#d4d4d4"
            parts.append(
                f'<rect x="{LEFT}" y="{y + 4}" width="{length:.1f}" height="{ROW - 4}" '
                f'fill="{fill}"/>'
            )
            shown = f"{value:,.0f}" if value else "not seen"
            parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + ROW - 2}">{shown}</text>')
            y += ROW
        y += ROW
    return "\n".join([*parts, "</svg>"]) + "\n"
