"""ECharts options of the drift page."""

import math
from collections.abc import Sequence
from typing import Any, Final

from services.console.domain.charts import ALARM, PALETTE, frame, line
from services.console.domain.drift_view import title
from services.console.domain.snapshot import Scatter, Signal
from services.console.domain.view import short

LN10: Final = math.log(10)


def evidence(signals: Sequence[Signal], dark: bool) -> dict[str, Any]:
    """Each detector's e-value by event on a log scale, and its threshold, dashed, beside it."""
    series = []
    releases = {one.release_digest for one in signals}
    for number, signal in enumerate(signals):
        colour = PALETTE[number % len(PALETTE)]
        points = [[event, _power(value)] for event, value in signal.history]
        name = title(signal)
        if len(releases) > 1:
            name += f" · {short(signal.release_digest)}"
        one = line(name, points, colour)
        one["markLine"] = {
            "symbol": "none",
            "silent": True,
            "data": [{"yAxis": _power(signal.threshold)}],
            "lineStyle": {"color": colour, "type": "dashed", "width": 1.5},
            "label": {"show": False},
        }
        series.append(one)
    options = frame(dark, "events since the reference", "evidence of a change, power of ten")
    options["xAxis"]["type"] = "value"
    top = max((_power(one.threshold) for one in signals), default=1.0)
    high = max((point[1] for one in series for point in one["data"]), default=0.0)
    options["yAxis"] |= {"min": 0, "max": math.ceil(max(top, high) + 0.5)}
    return {**options, "series": series}


def plane(scatter: Scatter, dark: bool) -> dict[str, Any]:
    """The reference's prompts and recent ones in two dimensions."""
    options = frame(dark, "", "")
    options["tooltip"] = {"show": False}
    options["xAxis"] |= {"type": "value", "scale": True, "axisLabel": {"show": False}}
    options["yAxis"] |= {"scale": True, "axisLabel": {"show": False}}
    clouds = (
        ("reference", scatter.reference, PALETTE[1], 0.35),
        ("recent", scatter.recent, ALARM, 0.6),
    )
    series = [
        {
            "name": name,
            "type": "scatter",
            "symbolSize": 6,
            "data": [[round(x, 4), round(y, 4)] for x, y in points],
            "itemStyle": {"color": colour, "opacity": opacity},
        }
        for name, points, colour, opacity in clouds
        if points
    ]
    return {**options, "series": series}


def _power(log: float) -> float:
    """A natural logarithm as a power of ten, not below 0."""
    return round(max(log, 0.0) / LN10, 3)
