import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from libs.runtime.child import Exit, run_child

LINES = """print('{"step": 1}'); print("noise"); print("[1]")"""
FAILS = 'import sys; sys.stderr.write("no memory"); sys.exit(3)'
DEAF = """
import json, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(json.dumps({"pid": grandchild.pid}), flush=True)
time.sleep(600)
"""


async def run(code: str, cwd: Path, told: list[dict[str, Any]]) -> Exit:
    return await run_child(
        [sys.executable, "-c", code], cwd=cwd, env=os.environ, on_line=told.append, kill_after_s=0.1
    )


async def test_json_lines_are_told_and_noise_is_not(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    ended = await run(LINES, tmp_path, told)

    assert told == [{"step": 1}]
    assert ended.status == 0


async def test_a_child_that_fails_leaves_its_last_words(tmp_path: Path) -> None:
    assert await run(FAILS, tmp_path, []) == Exit(3, "no memory")


async def test_a_cancelled_child_dies_with_its_children_even_when_deaf(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    running = asyncio.create_task(run(DEAF, tmp_path, told))
    async with asyncio.timeout(20):
        while not told:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.01)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    async with asyncio.timeout(20):
        while alive(told[0]["pid"]):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
