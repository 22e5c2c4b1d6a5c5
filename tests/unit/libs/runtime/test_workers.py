"""Real processes: they are kept alive, and never outlive the first one."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from libs.runtime.config import DoorSettings
from libs.runtime.ops import OpsServer
from libs.runtime.shared import insist_on, listening
from libs.runtime.workers import Workers
from tests.ports import free_port
from tests.unit.libs.runtime.worker_body import note_and_wait, noted

WITHIN_S = 60.0


@asynccontextmanager
async def worker(notes: Path, ops: int, silent_s: float = WITHIN_S) -> AsyncIterator[None]:
    """One, with its ops port behind ``ops``."""
    body, stop = partial(note_and_wait, notes), asyncio.Event()
    door = DoorSettings(port=ops)
    workers = Workers(body, 2, door, [], look_s=0.05, silent_s=silent_s, restart_s=[0.0])
    async with workers:
        serving = asyncio.create_task(workers.serve(stop))
        yield
        stop.set()
        await serving


async def eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not happened():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_killed_worker_is_started_again_and_ends_with_the_service(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    async with worker(notes, free_port()):
        await eventually(lambda: len(noted(notes)) == 1)
        os.kill(noted(notes)[0].pid, signal.SIGKILL)
        await eventually(lambda: len(noted(notes)) == 2)

    assert [start.number for start in noted(notes)] == [1, 1]
    assert not alive(noted(notes)[1].pid)


async def test_a_worker_whose_ops_port_falls_silent_is_killed(tmp_path: Path) -> None:
    notes, ops = tmp_path / "notes", free_port()

    async with worker(notes, ops - 1, silent_s=0.2):
        async with OpsServer(DoorSettings(port=ops), list):  # its body has none
            await eventually(lambda: len(noted(notes)) == 1)
        await eventually(lambda: not alive(noted(notes)[0].pid))


def test_no_worker_outlives_a_first_process_that_was_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    module = "tests.unit.libs.runtime.worker_body"
    first = subprocess.Popen([sys.executable, "-m", module, notes])
    asyncio.run(eventually(lambda: bool(noted(notes))))

    first.kill()
    first.wait()

    [start] = noted(notes)
    asyncio.run(eventually(lambda: not alive(start.pid)))


def test_processes_share_a_port_but_not_with_another_program() -> None:
    door = DoorSettings(port=free_port())
    insist_on(door)

    with (
        listening(door),
        listening(door),
        pytest.raises(OSError, match=f"cannot listen on .*:{door.port}"),
    ):
        insist_on(door)
