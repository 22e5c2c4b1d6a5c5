"""The training job as a child process in the model environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.faults import Poison
from libs.runtime.child import Exit, run_child
from libs.runtime.config import RUNNER_VARIABLES
from services.trainer.adapters.weights import RefusedFile, check_safetensors

ROOT: Final = Path(__file__).resolve().parents[3]
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
