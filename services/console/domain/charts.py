"""ECharts options. Series wear the same colour in both themes; text and grid follow it."""

import math
from collections.abc import Sequence
from typing import Any, Final

from services.console.domain.drift_view import title
from services.console.domain.snapshot import Signal, Window
from services.console.domain.view import short

PALETTE: Final = ("#0d9488", "#6366f1", "#d97706", "#db2777", "#0284c7", "#65a30d")
ALARM: Final = "#dc2626"
MINUTE_MS: Final = 60_000
FONT: Final = "Inter, Roboto, system-ui, sans-serif"


def drift(signals: Sequence[Signal], dark: bool) -> dict[str, Any]:
    """Each detector's statistic as a share of its threshold: 1 is the alarm for all."""
    series = []
    for number, signal in enumerate(signals):
        points = [[event, round(signal.level_of(value), 4)] for event, value in signal.history]
        series.append(line(_signal_name(signal), points, PALETTE[number % len(PALETTE)]))
    if series:
        series[0]["markLine"] = _threshold(dark)
    top = max((point[1] for one in series for point in one["data"]), default=0.0)
    options = frame(dark, "events since the reference", "of the alarm threshold")
    options["xAxis"]["type"] = "value"
    options["yAxis"] |= {"min": 0, **_steps(max(1.25, 1.05 * top))}
    return {**options, "series": series}


def latency(windows: Sequence[Window], dark: bool) -> dict[str, Any]:
    """Median and 95th percentile per release and minute, in seconds; broken where none answered."""
    series = []
    releases = list(dict.fromkeys(window.release_digest for window in windows))
    for number, digest in enumerate(releases):
        rows = [w for w in windows if w.release_digest == digest and w.answered]
        colour = PALETTE[number % len(PALETTE)]
        for label, field in (("p50", "latency_p50_s"), ("p95", "latency_p95_s")):
            points = [[1000 * w.start.timestamp(), round(getattr(w, field), 3)] for w in rows]
            one = line(f"{short(digest)} {label}", _broken(points), colour)
            one["showSymbol"] = _alone(points)
            if label == "p95":
                one["lineStyle"]["type"] = "dashed"
            series.append(one)
    options = frame(dark, "", "seconds")
    options["xAxis"]["type"] = "time"
    options["yAxis"]["min"] = 0
    return {**options, "series": series}


def _broken(points: Sequence[Sequence[float]]) -> list[Sequence[float | None]]:
    """``points`` with an empty one wherever a minute is missing."""
    drawn: list[Sequence[float | None]] = []
    for before, point in zip([None, *points], points, strict=False):
        if before is not None and point[0] - before[0] > MINUTE_MS:
            drawn.append([before[0] + MINUTE_MS, None])
        drawn.append(point)
    return drawn


def _alone(points: Sequence[Sequence[float]]) -> bool:
    """Whether one of the minutes has no neighbour: no line would show it."""
    minutes = {point[0] for point in points}
    return any(minutes.isdisjoint((one - MINUTE_MS, one + MINUTE_MS)) for one in minutes)


def _steps(top: float) -> dict[str, float]:
    """The axis' end and interval: five equal steps that reach ``top``."""
    step = math.ceil(top / 5 * 20) / 20
    return {"max": round(5 * step, 2), "interval": step}


def _signal_name(signal: Signal) -> str:
    return f"{title(signal)} · {short(signal.release_digest)}"


def line(name: str, points: Sequence[Sequence[float | None]], colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "data": list(points),
        "showSymbol": False,
        "symbolSize": 6,
        "lineStyle": {"width": 2, "color": colour},
        "itemStyle": {"color": colour},
    }


def _threshold(dark: bool) -> dict[str, Any]:
    return {
        "symbol": "none",
        "silent": True,
        "data": [{"yAxis": 1}],
        "lineStyle": {"color": ALARM, "type": "dashed", "width": 1.5},
        "label": {
            "formatter": "alarm",
            "position": "insideEndTop",
            "color": "#f87171" if dark else ALARM,
            "fontFamily": FONT,
        },
    }


def frame(dark: bool, x_name: str, y_name: str) -> dict[str, Any]:
    text, grid = ("#cbd5e1", "#334155") if dark else ("#475569", "#e2e8f0")
    label = {"color": text, "fontFamily": FONT, "fontSize": 11}
    axis = {
        "nameTextStyle": {**label, "align": "left"},
        "axisLabel": {**label, "hideOverlap": True},
        "axisLine": {"lineStyle": {"color": grid}},
        "axisTick": {"show": False},
    }
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"fontFamily": FONT},
        "color": list(PALETTE),
        "grid": {
            "left": 8,
            "right": 20,
            "top": 62,
            "bottom": 26 if x_name else 6,
            "containLabel": True,
        },
        "legend": {
            "type": "scroll",
            "top": 0,
            "left": 0,
            "textStyle": label,
            "icon": "roundRect",
            "itemWidth": 14,
            "itemHeight": 4,
            "pageTextStyle": {"color": text},
            "pageIconColor": text,
        },
        "tooltip": {
            "trigger": "axis",
            "backgroundColor": "#0f172a" if dark else "#ffffff",
            "borderColor": grid,
            "textStyle": {"color": "#f1f5f9" if dark else "#0f172a", "fontSize": 12},
        },
        "xAxis": {
            **axis,
            "name": x_name,
            "nameLocation": "middle",
            "nameGap": 26,
            "nameTextStyle": label,
            "splitLine": {"show": False},
        },
        "yAxis": {
            **axis,
            "type": "value",
            "name": y_name,
            "nameGap": 12,
            "splitLine": {"lineStyle": {"color": grid}},
        },
    }
