"""The commands, put together."""

import runpy
from pathlib import Path
from typing import Annotated, Final

import typer

from libs.faults import NOT_FOUND, Poison
from services.cli import (
    VERSION,
    answers,
    applications,
    campaigns,
    drift,
    engines,
    keys,
    letters,
    lineage,
    monitor,
    prompts,
    providers,
    reconcile,
    status,
)

SERVICES: Final = Path(__file__).resolve().parents[1]

app = typer.Typer(
    name="perennial",
    help="Keeps a language model in production good.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


app.command("status")(status.status)
app.command("apply")(applications.apply)
app.command("applications")(applications.applications)
app.add_typer(keys.app, name="key")
app.command("ingest")(applications.ingest)
app.command("generate")(answers.generate)
app.command("feedback")(answers.feedback)
app.command("releases")(applications.releases)
app.add_typer(campaigns.app, name="campaign")
app.add_typer(prompts.app, name="prompt")
app.add_typer(providers.app, name="provider")
app.add_typer(drift.app, name="drift")
app.add_typer(engines.app, name="engine")
app.command("signals")(monitor.signals)
app.command("alarms")(monitor.alarms)
app.command("slo")(monitor.slo)
app.command("decisions")(monitor.decisions)
app.command("trace")(lineage.trace)
app.add_typer(letters.app, name="dlq")
app.command("reconcile")(reconcile.reconcile)


@app.command()
def run(service: Annotated[str, typer.Argument(help="registry, ingest, ...")]) -> None:
    """Run one service in the foreground, as `python -m services.NAME` does."""
    known = sorted(path.parent.name for path in SERVICES.glob("*/compose.py"))
    if service not in known:
        raise Poison(f"no service {service!r}; there are {', '.join(known)}", code=NOT_FOUND)
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)
