"""The training job as a child process in the model environment."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.artifacts.weights import RefusedFile, check_safetensors
from libs.faults import Poison, Retryable
from libs.runtime.child import Exit, run_child
from libs.runtime.config import RUNNER_VARIABLES

ROOT: Final = Path(__file__).resolve().parents[3]
AGAIN_S: Final = 1.0
_INHERITED: Final = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", *RUNNER_VARIABLES)


def environment(threads: int) -> dict[str, str]:
    """What a job in the model environment may know of this process."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin while they wait make a step ten times longer on busy cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


@dataclass(frozen=True, slots=True)
class SftProcess:
    """Runs ``services.trainer.adapters.sft``; the service's secrets stay with the service."""

    python: Path
    threads: int

    async def __call__(self, work: Path, on_line: Callable[[Mapping[str, Any]], None]) -> Exit:
        command = [str(self.python), "-m", "services.trainer.adapters.sft", str(work)]
        return await run_child(command, cwd=work, env=environment(self.threads), on_line=on_line)


def guard(path: Path) -> None:
    """Refuse what is not safetensors, before anybody opens it.

    Raises:
        Poison: ``refused_file``.
    """
    try:
        check_safetensors(path)
    except RefusedFile as error:
        raise Poison(str(error), code="refused_file") from error


def succeeded(work: Path, ended: Exit) -> None:
    """Of a child that leaves ``error.json`` in ``work`` where no attempt can succeed.

    Raises:
        Poison: what the child said itself.
        Retryable: it died.
    """
    if not ended.status:
        return
    try:
        told = json.loads((work / "error.json").read_text())
    except (OSError, ValueError):
        words = ended.stderr_tail[-500:]
        raise Retryable(f"died with status {ended.status}: {words}", after_s=AGAIN_S) from None
    raise Poison(told["reason"], code=told["code"])


@asynccontextmanager
async def patience(seconds: float, what: str) -> AsyncIterator[None]:
    """
    Raises:
        Retryable: the time for ``what`` is over.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Retryable(f"{what} took longer than {seconds:g} s") from error
