"""What rounds say together, and how it is told: JSON, a table, a chart."""

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison.

    Args:
        ratio: median over rounds of ours by peer's, each of one round; None without a peer.
        spread: interquartile range of the rounds' ratios.
        goal: what ``ratio`` (or ``ours``, without a peer) should be, e.g. ">= 2".
        met: None when there was nothing to compare with; ``note`` says why.
    """

    name: str
    ours: float | None
    peer: float | None
    unit: str
    ratio: float | None
    spread: float | None
    n: int
    goal: str
    met: bool | None
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; not a number of nothing."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, math.ceil(share * len(ranked)) - 1))]


def compared(
    name: str, ours: Sequence[float], peer: Sequence[float], unit: str, goal: str, note: str = ""
) -> Result:
    """Rounds of ours and of the peer, pairwise."""
    pairs = [a / b for a, b in zip(ours, peer, strict=True) if b > 0 and math.isfinite(a)]
    if not pairs:
        return Result(name, _median(ours), _median(peer), unit, None, None, 0, goal, None, note)
    ratio = statistics.median(pairs)
    return Result(
        name, _median(ours), _median(peer), unit, ratio, spread(pairs), len(pairs), goal,
        met(goal, ratio), note,
    )  # fmt: skip


def alone(name: str, ours: Sequence[float], unit: str, goal: str, note: str = "") -> Result:
    middle = _median(ours)
    verdict = met(goal, middle) if middle is not None else None
    return Result(name, middle, None, unit, None, spread(ours), len(ours), goal, verdict, note)


def impossible(name: str, goal: str, why: str) -> Result:
    return Result(name, None, None, "", None, None, 0, goal, None, why)


def met(goal: str, value: float) -> bool | None:
    if not goal:
        return None
    sign, _, bound = goal.partition(" ")
    return value >= float(bound) if sign == ">=" else value <= float(bound)


def spread(values: Sequence[float]) -> float:
    """Interquartile range."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def _median(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return statistics.median(finite) if finite else None


def write(path: Path, results: Sequence[Result], versions: Mapping[str, str]) -> None:
    """The file, with cells of earlier runs that this one did not repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = {result.name: asdict(result) for result in results}
    kept: list[dict[str, Any]] = []
    if path.exists():
        before = json.loads(path.read_text())
        kept = [each for each in before["results"] if each["name"] not in fresh]
        versions = {**before["versions"], **versions}
    rows = [*kept, *fresh.values()]
    told = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "versions": dict(versions),
        "results": rows,
    }
    path.write_text(json.dumps(told, indent=1) + "\n")
    path.with_suffix(".svg").write_text(chart(rows))


def show(results: Sequence[Result]) -> None:
    table = Table(title="bench-serving")
    for column in ("cell", "ours", "peer", "unit", "ratio", "spread", "n", "goal", "met"):
        table.add_column(column, overflow="fold")
    for result in results:
        verdict = {True: "yes", False: "NO", None: f"- {result.note}"}[result.met]
        table.add_row(
            result.name, _short(result.ours), _short(result.peer), result.unit,
            _short(result.ratio), _short(result.spread), str(result.n), result.goal, verdict,
        )  # fmt: skip
    Console(width=150).print(table)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def chart(results: Sequence[Mapping[str, Any]]) -> str:
    """Ratios as bars on a logarithmic scale; the line is the goal. Green: met."""
    rows = [each for each in results if each["ratio"]]
    height = 26 * len(rows) + 40

    def x(value: float) -> float:
        return 430 + 90 * max(-2.0, min(3.0, math.log10(max(value, 1e-6))))

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
        'font-family="sans-serif" font-size="12">'
    ]
    for number, row in enumerate(rows):
        y = 26 * number + 20
        left, right = sorted((x(1.0), x(row["ratio"])))
        colour = {True: "#2a8f4f", False: "#c0392b", None: "#888"}[row["met"]]
        goal = x(float(row["goal"].split()[1])) if row["goal"] else x(1.0)
        lines += [
            f'<text x="8" y="{y + 13}">{row["name"]}</text>',
            f'<rect x="{left:.0f}" y="{y}" width="{max(right - left, 1):.0f}" height="16" '
            f'fill="{colour}"/>',
            f'<line x1="{goal:.0f}" x2="{goal:.0f}" y1="{y - 3}" y2="{y + 19}" stroke="#222"/>',
            f'<text x="{right + 6:.0f}" y="{y + 13}">{row["ratio"]:.3g}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
