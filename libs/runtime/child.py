"""A long-running child process that tells its progress as JSON lines."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LINE_LIMIT: Final = 1 << 20
STDERR_TAIL: Final = 2_000


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended: its exit status (negative: the signal) and its last words."""

    status: int
    stderr_tail: str


async def run_child(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_line: Callable[[dict[str, Any]], None],
    kill_after_s: float = 3.0,
) -> Exit:
    """Run ``argv`` to its end in a process group of its own.

    Each line of its standard output that is a JSON object goes to ``on_line``; other lines
    are ignored. Standard error goes to ``cwd/stderr.log``. When this coroutine is cancelled
    the whole group gets SIGTERM, and SIGKILL after ``kill_after_s``. On Linux the child also
    dies with this process, so that a killed service leaves nothing running.
    """
    with (cwd / "stderr.log").open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *_dying_with_its_parent(argv),
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            if (told := _object(line)) is not None:
                on_line(told)
        status = await process.wait()
    finally:
        await _end_group(process, kill_after_s)
    tail = (cwd / "stderr.log").read_bytes()[-STDERR_TAIL:]
    return Exit(status, tail.decode(errors="replace").strip())


def _dying_with_its_parent(argv: Sequence[str]) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *argv]


def _object(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        told = json.loads(line)
        return told if isinstance(told, dict) else None
    return None


async def _end_group(process: asyncio.subprocess.Process, kill_after_s: float) -> None:
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), kill_after_s)
    _signal_group(process.pid, signal.SIGKILL)  # grandchildren too, and a deaf child
    await process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
