"""`perennial drift`: the monitor's detectors over a history of your own, nothing installed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from services.cli import show

if TYPE_CHECKING:
    from services.monitor.domain.scoring import Found, Verdict

app = typer.Typer(help="Drift: the detectors over a history of your own.", no_args_is_help=True)
SHOWN = 20


@app.callback()
def drift() -> None:
    """A group: `score` is its first command."""


@app.command()
def score(
    path: Annotated[Path, typer.Argument(help="A .npz, .csv or .parquet file.")],
    arl: Annotated[float, typer.Option(help="Events to a false alarm, at least.")] = 10_000.0,
    as_json: Annotated[bool, typer.Option("--json", help="The last line is JSON.")] = False,
) -> None:
    """Compare a stream with its reference, event by event; print when it changed, and how.

    Arrays emb, length, lang, logprob, latency_ms, cost, retrieval_score, guard_block, feedback,
    episode, stratum in time order, each with its twin ref_emb, ... of the reference. In a table
    the embedding is emb_0, emb_1, ... and the column `reference` says which rows are the
    reference's.
    """
    # Here, for the other commands need neither scikit-learn nor pyarrow.
    from services.monitor import offline
    from services.monitor.adapters import history

    found = history.read(path)
    for note in found.notes:
        show.errors.print(f"[yellow]note[/] {escape(note)}", highlight=False)
    verdict = offline.score(found.arrays, arl)
    _report(path, arl, verdict)
    if as_json:
        typer.echo(json.dumps(offline.findings(verdict)))


def _report(path: Path, arl: float, verdict: "Verdict") -> None:
    rows = [
        (
            _name(one.name, one.segment),
            one.reference,
            one.every,
            one.events,
            f"{one.largest:.1f}",
            f"{one.threshold:.1f}",
            one.alarms or "-",
            next((a.t for a in verdict.alarms if _same(a, one.name, one.segment)), "-"),
        )
        for one in verdict.watched
    ]
    columns = ("signal", "ref.", "1 in", "seen", "highest", "rings at", "alarms", "first")
    title = f"{path.name}: at most one false alarm in {arl:,.0f} events on average"
    show.table(title, columns, rows)
    for note in verdict.notes:
        show.console.print(f"[yellow]note[/] {note}", highlight=False)
    for alarm in verdict.alarms[:SHOWN]:
        show.console.print(_sentence(alarm), highlight=False)
    if len(verdict.alarms) > SHOWN:
        show.console.print(f"... and {len(verdict.alarms) - SHOWN} more alarms")
    if not verdict.alarms and verdict.unwatched:
        missed = ", ".join(verdict.unwatched)
        show.console.print(f"[yellow]no alarm[/] in what is watched; not watched: {missed}")
    elif not verdict.alarms:
        show.console.print("[green]no alarm[/]: the stream looks like its reference")


def _sentence(alarm: "Found") -> str:
    return f"[red]event {alarm.t}[/] {alarm.signal} ({alarm.cause}): {escape(alarm.change)}"


def _name(signal: str, segment: str) -> str:
    return f"{signal}, {segment}" if segment else signal


def _same(alarm: "Found", signal: str, segment: str) -> bool:
    return (alarm.signal, alarm.segment) == (signal, segment)
