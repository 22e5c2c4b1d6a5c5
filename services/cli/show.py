"""How results are shown: a table for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SHARED: Final = ("application", "release")
SQUEEZED: Final = 2
"""Rows that are so many times as wide as the screen are no table."""
console = Console()
errors = Console(stderr=True)


def as_dict(message: Message) -> dict[str, Any]:
    """A message with its proto field names; unset fields are shown with their defaults."""
    shown: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return shown


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))  # brackets of a prompt are no markup
    console.print(drawn)


def _blocks(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """What a table would squeeze to a word a line: a line for each field."""
    console.print(title, style="italic")
    for row in rows:
        drawn = Table.grid(padding=(0, 2))
        drawn.add_column(style="bold")
        for name, cell in zip(columns, row, strict=True):
            if cell:
                drawn.add_row(name, Text(cell))
        console.print(drawn, "")


def rows(title: str, found: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """A list of like things: all as JSON, or their fields as columns.

    There is no room to spare: what nobody has is left out, and an application or release that
    all of them share stands in the title.
    """
    if as_json:
        print_json(list(found))
    elif not found:
        console.print(f"no {title}")
    else:
        values = {name: {row[name] for row in found} for name in found[0]}
        shared = [name for name in SHARED if len(values.get(name, ())) == 1]
        columns = [name for name in values if name not in shared and values[name] != {""}]
        title = " · ".join([title, *(str(found[0][name]) for name in shared)])
        cells = [[str(row[name]) for name in columns] for row in found]
        widest = [max(map(len, column)) for column in zip(*cells, strict=True)]
        draw = _blocks if sum(widest) > SQUEEZED * console.width else table
        draw(title, columns, cells)
