"""The stack on a terminal: progress while it starts, a table of what runs."""

import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from infra.local.stack import Parts

STYLES: Final = {
    "ready": "green",
    "starting": "yellow",
    "restarting": "bold yellow",
    "stopping": "yellow",
    "waiting": "dim",
    "failed": "bold red",
    "stopped": "dim",
}


class Progress:
    """Shows starting parts: a live table on a terminal, one line a change elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._shown: dict[str, str] = {}

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, parts: Parts) -> None:
        if self._console.is_terminal:
            self._live.update(_progress(parts))
            return
        for name, part in parts.items():
            seen = self._shown.get(name, "stopped")
            if part["state"] == seen or part["wanted"] is None:
                continue
            self._shown[name] = part["state"]
            took = f" in {part['ready_s']} s" if part["state"] == "ready" else ""
            self._console.print(f"{name}: {part['state']}{took} {part['why']}".rstrip())


def _progress(parts: Parts) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, part in parts.items():
        if part["wanted"] is None:
            continue
        state = part["state"]
        sign = (
            Spinner("dots")
            if state in {"starting", "restarting", "stopping"}
            else Text("●", STYLES[state])
        )
        seconds = part["ready_s"] if state == "ready" else time.time() - part["since"]
        table.add_row(
            sign,
            name,
            Text(state, STYLES[state]),
            f"{seconds:.1f} s" if state != "waiting" else "",
            Text(part["why"][:80], "dim"),
        )
    return table


def overview(parts: Parts, live: dict[str, str | None]) -> Table:
    """Parts and addresses; ``live`` is what each part's probe says now."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("part", "state", "start", "again", "pid", "address"):
        table.add_column(column, no_wrap=True)
    for name, part in parts.items():
        state = part["state"]
        if state == "ready" and live.get(name):
            state = "unready"
        table.add_row(
            name,
            Text(state, STYLES.get(state, "bold red")),
            f"{part['ready_s']:.1f} s" if part["ready_s"] is not None else "",
            str(part["restarts"] or ""),
            str(part["pid"] or ""),
            "\n".join(f"{_door(key)} {value}" for key, value in part["addresses"].items()),
        )
    return table


def remarks(parts: Parts, live: dict[str, str | None]) -> list[str]:
    """What is worth a line under the table."""
    directories = {str(_short(Path(part["log"]).parent)) for part in parts.values()}
    lines = [f"logs: {', '.join(sorted(directories))}/<part>.log"]
    notes = dict.fromkeys(part["note"] for part in parts.values() if part["note"])
    lines += [f"{', '.join(_with_note(parts, note))}: {note}" for note in notes]
    lines += [f"{name}: {part['why']}" for name, part in parts.items() if part["why"]]
    return lines + [f"{name}: {why}" for name, why in live.items() if why]


def _with_note(parts: Parts, note: str) -> list[str]:
    return [name for name, part in parts.items() if part["note"] == note]


def _door(endpoint: str) -> str:
    return endpoint.rpartition(".")[2]


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
