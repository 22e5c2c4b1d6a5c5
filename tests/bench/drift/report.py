"""``python -m tests.bench.drift.report``: the runs as a table, `drift.json` and `drift.svg`."""

import json
import math
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.monitor.domain.signal import JOINT
from tests.bench.drift import cache, measure
from tests.bench.drift.chart import Bar, bars
from tests.bench.drift.streams import LONG, QUIETS, SCENARIOS

OUT = cache.HOME.parent
MIXES = ("far25", "near25", "far10", "near10", "held_far25", "held_near25")
QUARTERS = ("far25", "near25", "held_far25", "held_near25")

Kept = dict[str, dict[int, cache.Run]]


@dataclass(frozen=True, slots=True)
class Result:
    """One line. ``met`` is None where no goal is set."""

    name: str
    ours: float | None
    peer: float | None
    unit: str
    ratio: float | None
    spread: list[float | None] | None
    n: int
    goal: str
    met: bool | None
    note: str = ""


def results(systems: dict[str, Kept]) -> list[Result]:
    found = [*_kept_promises(systems), *_against_adwin(systems), *_against_alibi(systems)]
    return [*found, *_speeds(systems), *_others(systems), *_sizes(systems)]


def _kept_promises(systems: dict[str, Kept]) -> Iterator[Result]:
    for promised in (10_000, 100_000):
        for scenario in (*QUIETS, LONG):
            if runs := systems[f"monitor@{promised}"].get(scenario.name):
                yield _kept_promise(scenario.name, promised, measure.heard_run_length(runs))
    for promised in (10_000, 100_000):
        if runs := systems["embedding"].get(LONG.name):
            seen = measure.run_length(runs, math.log(JOINT * promised))
            yield _kept_promise(f"{LONG.name}, embedding", promised, seen)


def _kept_promise(name: str, promised: int, seen: measure.RunLength) -> Result:
    return Result(
        f"run length on {name}, {promised:,} promised",
        _number(seen.mean),
        float(promised),
        "events",
        _number(seen.mean / promised),
        [seen.low, _number(seen.high)],
        seen.seeds,
        "interval >= the promise",
        seen.low >= promised,
        f"{seen.alarms} alarms in {seen.events:,} events, "
        f"{seen.per_thousand_windows:.1f} per 1,000 windows"
        + ("; too few events to tell" if seen.low < promised <= seen.high else ""),
    )


def _against_adwin(systems: dict[str, Kept]) -> Iterator[Result]:
    monitor, adwin = systems["monitor@100000"], systems["adwin"]
    for name in (name for name, scenario in SCENARIOS.items() if not scenario.quiet):
        if name not in monitor or name not in adwin:
            continue
        mine, peer = measure.heard_delay(monitor[name]), measure.heard_delay(adwin[name])
        goal = "<= 0.5x ADWIN" if name == "far25" else ""
        yield _delays(
            f"delay on {name}, run length 100,000 promised",
            mine,
            peer,
            goal,
            mine.median <= 0.5 * peer.median if goal else None,
            f"ADWIN; missed {mine.missed}/{mine.seeds} and {peer.missed}/{peer.seeds}",
        )
    missed = [measure.heard_delay(monitor[name]) for name in QUARTERS if name in monitor]
    if missed:
        total, seeds = sum(one.missed for one in missed), sum(one.seeds for one in missed)
        share = 100 * total / seeds
        yield Result(
            "missed 25 % mixes within 3,000 events, run length 100,000 promised",
            share, None, "%", None, None, seeds, "<= 1 %", share <= 1,
        )  # fmt: skip


def _against_alibi(systems: dict[str, Kept]) -> Iterator[Result]:
    ours, alibi = systems["embedding"], systems["alibi"]
    if "no_change" not in ours or "no_change" not in alibi:
        return
    seen = measure.heard_run_length(alibi["no_change"])
    equal = seen.mean if seen.alarms else seen.events / 1.0
    for system in ("embedding", "partition", "kernel"):
        quiet = systems[system].get("no_change")
        if not quiet:
            continue
        threshold = measure.threshold_at(quiet, equal)
        for name in MIXES:
            if name not in systems[system] or name not in alibi:
                continue
            mine = measure.delay(systems[system][name], threshold)
            peer = measure.heard_delay(alibi[name])
            goal = "<= 1x alibi-detect" if system == "embedding" else ""
            yield _delays(
                f"delay on {name}, {system}, measured run length {equal:,.0f} both",
                mine,
                peer,
                goal,
                math.isfinite(mine.median) and mine.median <= peer.median if goal else None,
                f"alibi-detect n {peer.seeds}; missed {mine.missed}/{mine.seeds} and "
                f"{peer.missed}/{peer.seeds}; rung before the change, left out: {mine.early}",
            )


def _speeds(systems: dict[str, Kept]) -> Iterator[Result]:
    """Of one core, setting up left out; for Evidently as its users run it, and its test alone."""
    goals = {
        "alibi": (20.0, ">= 20x alibi-detect"),
        "evidently_report": (1000.0, ">= 1,000x Evidently"),
        "evidently": (math.inf, ""),
    }
    for peer, (least, goal) in goals.items():
        for system in ("embedding", "partition", "kernel"):
            if not systems[peer] or not systems[system]:
                continue
            mine = measure.events_per_second(systems[system].values())
            theirs = measure.events_per_second(systems[peer].values())
            aimed = bool(goal) and system == "embedding"
            yield Result(
                f"events/s of one core, {system}, {peer}",
                mine,
                theirs,
                "events/s",
                mine / theirs,
                None,
                sum(len(runs) for runs in systems[system].values()),
                goal if aimed else "",
                mine / theirs >= least if aimed else None,
            )


def _others(systems: dict[str, Kept]) -> Iterator[Result]:
    """What the peers do on quiet streams, and the windows that Evidently's test flags."""
    for system in ("adwin", "alibi"):
        for scenario in QUIETS:
            if runs := systems[system].get(scenario.name):
                seen = measure.heard_run_length(runs)
                yield Result(
                    f"run length on {scenario.name}, {system}, not promised",
                    None, _number(seen.mean), "events", None, [seen.low, _number(seen.high)],
                    seen.seeds, "", None, f"{seen.alarms} alarms in {seen.events:,} events",
                )  # fmt: skip
    for name, runs in systems["evidently"].items():
        flagged = sum(len(run.alarms) for run in runs.values())
        windows = sum(run.events for run in runs.values()) // 100
        yield Result(
            f"windows of 100 flagged on {name}, evidently",
            None, 1000 * flagged / windows, "per 1,000 windows", None, None, len(runs), "", None,
        )  # fmt: skip


def _sizes(systems: dict[str, Kept]) -> Iterator[Result]:
    for system in ("partition", "kernel", "embedding"):
        sizes = [run.state for runs in systems[system].values() for run in runs.values()]
        if sizes:
            most = max(sizes) / 1e6
            yield Result(
                f"state, {system}", most, None, "MB", None, None, len(sizes), "<= 10 MB", most <= 10
            )


def _delays(
    name: str, mine: measure.Delay, peer: measure.Delay, goal: str, met: bool | None, note: str
) -> Result:
    return Result(
        name,
        _number(mine.median),
        _number(peer.median),
        "events",
        _ratio(mine, peer),
        _finite(mine.quartiles),
        mine.seeds,
        goal,
        met,
        note,
    )


def _ratio(mine: measure.Delay, peer: measure.Delay) -> float | None:
    """None where either was missed by more than half of the seeds."""
    known = math.isfinite(mine.median) and math.isfinite(peer.median)
    return mine.median / peer.median if known else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite(pair: tuple[float, float]) -> list[float | None]:
    return [_number(value) for value in pair]


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(found: list[Result]) -> Table:
    made = Table(title="drift", show_lines=False)
    for column in ("result", "ours", "peer", "unit", "ratio", "n", "goal", "met"):
        made.add_column(
            column, justify="right" if column in ("ours", "peer", "ratio", "n") else "left"
        )
    words = {True: "yes", False: "NO", None: ""}
    for one in found:
        cells = (one.name, shown(one.ours), shown(one.peer), one.unit, shown(one.ratio))
        made.add_row(*cells, str(one.n), one.goal, words[one.met])
    return made


def markdown(found: list[Result]) -> str:
    words = {True: "yes", False: "**no**", None: ""}
    lines = [
        "| result | ours | peer | unit | ratio | spread | n | goal | met | note |",
        "|" + "---|" * 10,
    ]
    for one in found:
        spread = " to ".join(shown(value) for value in one.spread) if one.spread else ""
        cells = (one.name, shown(one.ours), shown(one.peer), one.unit, shown(one.ratio), spread)
        lines.append(
            "| " + " | ".join([*cells, str(one.n), one.goal, words[one.met], one.note]) + " |"
        )
    return "\n".join(lines) + "\n"


def chart(found: list[Result]) -> str:
    wanted = [
        one for one in found if one.name.startswith("delay on ") and one.goal.endswith("detect")
    ]
    groups = []
    for one in wanted:
        label = one.name.split(",")[0].removeprefix("delay on ")
        groups.append(Bar(label, {"Perennial": one.ours, "alibi-detect": one.peer}))
    return bars("Events from the change to the alarm, at one measured run length", groups)


def main() -> None:
    names = ("embedding", "partition", "kernel", "monitor@10000", "monitor@100000")
    systems = {
        name: cache.kept(name)
        for name in (*names, "adwin", "alibi", "evidently", "evidently_report")
    }
    found = results(systems)
    packages = Path(".venv-bench/lib/python3.11/site-packages")
    peers = {p.name.split("-")[0]: p.name.split("-")[1] for p in packages.glob("*.dist-info")}
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {name: version(name) for name in ("numpy", "scikit-learn")} | {
        name: peers.get(name, "").removesuffix(".dist")
        for name in ("river", "alibi_detect", "evidently")
    }
    document = {
        "machine": machine,
        "versions": {"python": platform.python_version()} | versions,
        "results": [asdict(one) for one in found],
    }
    (OUT / "drift.json").write_text(json.dumps(document, indent=1) + "\n")
    (OUT / "drift.svg").write_text(chart(found))
    (OUT / "drift.md").write_text(markdown(found))
    Console(width=150).print(table(found))


if __name__ == "__main__":
    main()
