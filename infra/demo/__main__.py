"""``make demo``: start the stack, play the story, write the report; exit 0 if all happened."""

import argparse
import asyncio
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from infra.demo import data
from infra.demo.page import page
from infra.demo.report import read, report
from infra.demo.scale import FULL, QUICK
from infra.demo.story import Step, Story
from infra.local import stack
from infra.local.home import Home
from services.cli.session import Session

console = Console()


class Screen:
    """The steps as a table that lives: a mark, the name, seconds, what is going on."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._began: dict[str, float] = {}
        self.live = Live(get_renderable=self._draw, console=console, refresh_per_second=4)
        self._said: set[str] = set()

    def show(self, step: Step) -> None:
        if step not in self._steps:
            self._steps.append(step)
            self._began[step.name] = time.monotonic()
        if not console.is_terminal and step.seconds and step.name not in self._said:
            self._said.add(step.name)
            mark = "ok" if step.done else "FAILED"
            told = f"{mark}  {step.name}: {step.seconds:.0f} s, {step.detail}"
            console.print(told, markup=False)

    def _draw(self) -> Table:
        drawn = Table.grid(padding=(0, 2))
        for step in self._steps if console.is_terminal else []:
            seconds = step.seconds or time.monotonic() - self._began[step.name]
            mark = ("[green]✓", "[red]✗")[bool(step.error)] if step.seconds else "[cyan]…"
            detail = Text(step.error or step.detail, style="red" if step.error else "dim")
            drawn.add_row(mark, step.name, f"{seconds:4.0f} s", detail)
        return drawn


async def play(story: Story) -> str:
    """Play it; the error's text, or nothing."""
    try:
        await story.play()
    except Exception as error:
        (story.session.home / "demo" / "error.txt").write_text(traceback.format_exc())
        return str(error) or type(error).__name__
    return ""


def drift_history(story: Story) -> tuple[list[tuple[float, float]], float]:
    """(event, log statistic) of the prompt detector that rang, and its threshold."""
    rang = [signal for signal in story.observer.signals() if signal.alarms and signal.history]
    if not rang:
        return [], 0.0
    history = [(float(point.event), point.statistic) for point in rang[0].history]
    return history, rang[0].threshold


def write(story: Story, error: str, folder: Path) -> dict[str, Any]:
    """report.json and report.html."""
    found = report(read(story), not error, error)
    found["shifted_at_request"] = story.shifted_at_request
    (folder / "report.json").write_text(json.dumps(found, indent=2, ensure_ascii=False))
    history, threshold = drift_history(story)
    (folder / "report.html").write_text(page(found, history, threshold))
    return found


def close(found: dict[str, Any], story: Story, folder: Path) -> None:
    """The last lines on the screen."""
    requests, events = found["requests"], found["events"]
    console.print(
        f"\n{requests['sent']} requests sent, {requests['answered']} answered, "
        f"{requests['failed']} failed; {events['produced']} event deliveries due, "
        f"{events['settled']} settled, {events['dead_lettered']} dead-lettered, "
        f"{events['lost']} lost"
    )
    console.print(f"report   {folder / 'report.html'}")
    console.print(f"console  http://{story.session.address('console.http')}")
    console.print(f"sign in  with the operator_token in {story.session.home / 'credentials.json'}")
    console.print("stop     make down")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--quick", action="store_true", help="a smaller story, for tests")
    chosen = parser.parse_args()
    home = Home.of()
    folder = home.path / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    with console.status("Starting the stack"):
        stack.up(home.path)
    screen = Screen()
    story = Story(
        session=Session(home.path),
        scale=QUICK if chosen.quick else FULL,
        application=f"support-{int(time.time()):x}",
        bank=data.ordered(data.bank_pairs(data.SITE_PACKAGES), "bank"),
        python=data.ordered(data.python_pairs(), "python"),
        show=screen.show,
    )
    with screen.live:
        error = asyncio.run(play(story))
    found = write(story, error, folder)
    close(found, story, folder)
    if error:
        console.print(f"[red]the loop did not close[/]: {escape(str(error))}")
        return 1
    console.print("[green]the loop closed[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
