"""``python -m infra.local up | down | status | logs [--only kafka,s3]``."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer
from rich.console import Console

from infra.local import stack
from infra.local.display import Progress, overview, remarks
from infra.local.home import Home, Unusable
from infra.local.probes import unready
from infra.local.process import Probe
from infra.local.runner import supervise as run_supervisor

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
Only = Annotated[str, typer.Option(help="Parts, comma separated, with what they need. All else.")]


@app.command()
def up(only: Only = "") -> None:
    """Start the stack and return when every part is ready."""
    names = [name.strip() for name in only.split(",") if name.strip()] or None
    try:
        with Progress(console) as progress:
            stack.up(only=names, on_change=progress)
    except (Unusable, stack.PartFailed, TimeoutError) as error:
        console.print(str(error), style="bold red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print("interrupted: what did not run before is stopped again")
        raise typer.Exit(130) from error
    _show()
    where = Home.of().credentials_file
    console.print(f"the console asks for the operator_token in {where}", soft_wrap=True)
    console.print("stop it with [bold]make down")


@app.command()
def down() -> None:
    """Stop everything of this stack."""
    killed = stack.down()
    console.print("stopped" + (f"; {killed} had to be killed" if killed else ""))


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Parts, their state now, addresses and logs."""
    parts = stack.status()
    if as_json:
        print(json.dumps(parts, indent=1))
    elif not parts:
        console.print("nothing runs; start it with [bold]make up")
    else:
        _show()


@app.command()
def logs(only: Only = "") -> None:
    """Follow the logs."""
    home = Home.of()
    names = [name.strip() for name in only.split(",") if name.strip()] or list(stack.status())
    files = [str(home.log(name)) for name in names if home.log(name).exists()]
    if not files:
        console.print("no logs yet")
        raise typer.Exit(1)
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606, S607


@app.command(hidden=True)
def supervise() -> None:
    """Be the runner (``up`` starts it)."""
    sys.exit(run_supervisor(Home.of()))


def _show() -> None:
    parts = {name: part for name, part in stack.status().items() if part["wanted"] is not None}
    probes = {n: Probe(**p["probe"]) for n, p in parts.items() if p["state"] == "ready"}
    with ThreadPoolExecutor(max_workers=8) as pool:
        live = dict(zip(probes, pool.map(unready, probes.values()), strict=True))
    console.print(overview(parts, live))
    for remark in remarks(parts, live):
        console.print(f"[yellow]{remark}", highlight=False)


if __name__ == "__main__":
    app()
