"""report.html: one file, no script, no download."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from infra.demo.pictures import Line, interval_chart, line_chart

RATING_WINDOW: Final = 40
SHORT: Final = 12
"""Cells below this many characters are kept on one line."""
STYLE: Final = """
:root{color-scheme:light dark;--ink:#0f172a;--soft:#64748b;--line:#e2e8f0;--card:#fff;--page:#f8fafc}
@media(prefers-color-scheme:dark){:root{--ink:#e2e8f0;--soft:#94a3b8;--line:#334155;--card:#1e293b;
--page:#0f172a}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:920px;margin:0 auto;padding:32px 20px}h1{margin:0 0 4px;font-size:26px}
h2{font-size:18px;margin:0 0 10px}section{background:var(--card);border:1px solid var(--line);
border-radius:12px;padding:20px;margin:18px 0}table{border-collapse:collapse;width:100%;font-size:13px}
th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.short{white-space:nowrap}code{font-size:12px}svg{width:100%;height:auto}
.figures{display:flex;flex-wrap:wrap;gap:28px}.figures b{display:block;font-size:24px}
.quiet,.figures span,.tick,.legend{color:var(--soft)}.tick,.word{font-size:11px;fill:var(--soft)}
.row{font-size:12px;fill:var(--ink)}.axis{stroke:var(--soft)}.grid{stroke:var(--line)}
.mark{stroke:#dc2626;stroke-dasharray:3 3}.interval{stroke:#2563eb;stroke-width:3}
.legend{font-size:12px;display:flex;gap:18px}.legend i{display:inline-block;width:10px;height:10px;
border-radius:3px;margin-right:6px}.yes{color:#059669}.no{color:#dc2626}
"""

Row = Mapping[str, Any]


def page(report: Row, drift: Sequence[tuple[float, float]], threshold: float) -> str:
    """The report as a page; ``drift`` is (event, statistic) of the signal that rang."""
    verdict = (
        "<span class=yes>The loop closed.</span>"
        if report["closed"]
        else f"<span class=no>It did not close: {escape(report['error'])}</span>"
    )
    sections = [
        _section("Steps", _steps(report["steps"])),
        _section("Drift: the detector's statistic", _drift(report, drift, threshold)),
        _section("Evaluations: answer loss, candidate minus champion", _evaluations(report)),
        _section("Rollout: the candidate's share of the traffic", _shares(report["campaigns"])),
        _section("What users thought", _ratings(report["ratings"], report["shifted_at_request"])),
        *(_section(_title(campaign), _states(campaign)) for campaign in report["campaigns"]),
        _section("Lineage of three answers", "".join(map(_lineage, report["lineage"]))),
        _section("Events", _events(report["events"])),
    ]
    head = f"<h1>Perennial, {escape(report['application'])}</h1><p>{verdict}</p>{_figures(report)}"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>Perennial demo</title><style>{STYLE}</style><main>{head}{''.join(sections)}</main>"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(_cell(str(cell)) for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    short = " class=short" if len(text) < SHORT else ""
    return f"<td{short}>{escape(text)}</td>"


def _figures(report: Row) -> str:
    delays = [
        alarm["at_request"] - alarm["shifted_at_request"] + 1
        for alarm in report["alarms"]
        if alarm["at_request"]
    ]
    requests, events = report["requests"], report["events"]
    seconds = sum(step["seconds"] for step in report["steps"])
    shown = (
        (f"{seconds / 60:.1f} min", "from upload to the last rollback"),
        (f"{min(delays)} requests" if delays else "-", "from the change to the alarm"),
        (f"{requests['answered']} / {requests['sent']}", "requests answered / sent"),
        (f"{requests['failed']}", "failed"),
        (f"{events['settled']} / {events['produced']}", "event deliveries settled / due"),
        (f"{events['dead_lettered']} / {events['lost']}", "dead letters / lost"),
    )
    items = "".join(
        f"<div><b>{escape(value)}</b><span>{what}</span></div>" for value, what in shown
    )
    return f"<div class=figures>{items}</div>"


def _steps(steps: Sequence[Row]) -> str:
    rows = [
        (
            "✓" if step["done"] else "✗",
            step["name"],
            f"{step['seconds']:.0f} s",
            step["detail"],
            f"{len(step['event_ids'])} events",
        )
        for step in steps
    ]
    return _table(("", "step", "took", "what was seen", "decisions and facts"), rows)


def _drift(report: Row, drift: Sequence[tuple[float, float]], threshold: float) -> str:
    if not drift:
        return "<p class=quiet>no statistic was recorded</p>"
    ends = (drift[0][0], drift[-1][0])
    lines = [
        Line("log of the e-detector", drift),
        Line("threshold", [(end, threshold) for end in ends], dashed=True),
    ]
    crossed = next((event for event, statistic in drift if statistic >= threshold), None)
    rang = [(crossed, "alarm")] if crossed is not None else []
    words = [
        f"<p>{escape(alarm['signal'])}: cause {escape(alarm['cause'])}, request "
        f"{alarm['at_request']}, the traffic changed at {alarm['shifted_at_request']}; promised "
        f"average run length {alarm['average_run_length']:,.0f} events.</p>"
        for alarm in report["alarms"]
    ]
    return line_chart(lines, "events of the release", "log statistic", rang) + "".join(words)


def _evaluations(report: Row) -> str:
    roles = {campaign["id"]: campaign["role"] for campaign in report["campaigns"]}
    rows = []
    for one in report["evaluations"]:
        passed = "passed" if one["passed"] else "failed"
        for segment in one["segments"]:
            for metric in segment["metrics"]:
                if metric["metric"] == "answer_loss":
                    gap = metric["difference"]
                    name = f"{roles.get(one['campaign_id'], '?')} ({passed}), {segment['segment']}"
                    rows.append((name, gap["estimate"], gap["lower"], gap["upper"]))
    return interval_chart(rows, "nats per token, 95 % interval; lower is better")


def _shares(campaigns: Sequence[Row]) -> str:
    lines = []
    for campaign in campaigns:
        at = [
            (datetime.fromisoformat(state["at"]).timestamp(), state["share"])
            for state in campaign["states"]
            if state["at"] and state["state"] not in {"requested", "preparing", "training"}
        ]
        if any(share for _, share in at):
            lines.append(Line(campaign["role"], list(_stairs(at))))
    return line_chart(lines, "seconds since evaluation began", "share", y_range=(0.0, 1.0))


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each value held until the next one, time from 0."""
    began = points[0][0]
    held: list[tuple[float, float]] = []
    for at, share in points:
        if held:
            held.append((at - began, held[-1][1]))
        held.append((at - began, share))
    return held


def _ratings(ratings: Sequence[Row], shifted: int) -> str:
    releases = list(dict.fromkeys(row["release"] for row in ratings))
    lines = []
    for release in releases:
        mine = [(row["request"], row["rating"]) for row in ratings if row["release"] == release]
        window = RATING_WINDOW
        means = [
            (float(mine[end][0]), sum(rating for _, rating in mine[end - window : end]) / window)
            for end in range(window, len(mine), 5)
        ]
        if means:
            lines.append(Line(f"release {release}", means))
    marks = [(float(shifted), "the traffic changed")] if shifted else []
    return line_chart(lines, "request", f"mean rating, {RATING_WINDOW} answers", marks)


def _title(campaign: Row) -> str:
    agrees = {True: "replay agrees", False: "REPLAY DIFFERS", None: "not replayed"}
    return f"Campaign “{campaign['role']}”: {campaign['outcome']} ({agrees[campaign['replay_agrees']]})"


def _states(campaign: Row) -> str:
    rows = [
        (
            (state["at"] or "")[11:19],
            state["state"],
            f"{state['share']:.0%}",
            state["reason"],
            state["cause"],
            "; ".join(_evidence(one) for one in state["evidence"]),
        )
        for state in campaign["states"]
    ]
    return _table(("at", "state", "share", "why", "cause", "evidence"), rows)


def _evidence(one: Row) -> str:
    interval = f" [{one['lower']:.3g}, {one['upper']:.3g}]" if one["lower"] != one["upper"] else ""
    return f"{one['name']} {one['value']:.4g}{interval}"


def _lineage(one: Row) -> str:
    rows = [
        ("question", one["question"]),
        ("answer", one["answer"]),
        ("event", one["event"]),
        ("release", one["release"]),
        ("engine", one["engine"]),
        ("adapter", one["adapter"]),
        ("dataset", f"{one['dataset']}, {one['training_rows']} rows"),
        *(("training row", f"{row['question']} ← {row['source']}") for row in one["nearest_rows"]),
    ]
    return _table(("what", "is"), rows)


def _events(events: Row) -> str:
    columns = ("topic", "consumer", "produced", "settled", "lag")
    rows = [[row[column] for column in columns] for row in events["by_topic"]]
    return _table(columns, rows)
