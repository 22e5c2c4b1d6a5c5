"""What a worker process does in `test_workers`; run by itself, the process with the workers."""

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from libs.runtime.config import DoorSettings
from libs.runtime.workers import Workers, end_with_parent


def note_and_wait(notes: Path, number: int) -> None:
    """One line for each start: number and pid."""
    end_with_parent()
    with notes.open("a") as file:
        file.write(f"{number} {os.getpid()}\n")
    signal.pause()


class Start(NamedTuple):
    number: int
    pid: int


def noted(notes: Path) -> list[Start]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [Start(*map(int, line.split())) for line in lines]


async def main(notes: Path) -> None:
    nobody = DoorSettings(port=9)
    async with Workers(partial(note_and_wait, notes), 2, nobody, []) as workers:
        await workers.serve(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
