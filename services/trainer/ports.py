"""What the trainer asks of the outside."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from libs.events.topics import E, Topic
from libs.runtime.child import Exit
from libs.sql.job import Job
from protos.common.v1.common_pb2 import Artifact


class Runs(Protocol):
    """The durable runs, by run id."""

    def submit(self, key: str, payload: bytes) -> bool:
        """Queue a run; False when the run is known already, whatever became of it."""

    def get(self, key: str) -> Job | None: ...

    def cancel(self, key: str, reason: str) -> Job | None:
        """Ask a run to stop, and announce it when it ends by that at once."""


class Diary(Protocol):
    """What must be remembered and told of an attempt while it goes on. Raises Retryable."""

    def tell(self, topic: Topic[E], event: E) -> None: ...

    def keep_checkpoint(self, run_id: str, step: int, artifact: Artifact) -> None: ...

    def checkpoint(self, run_id: str) -> Artifact | None:
        """The checkpoint with the most steps."""


class Child(Protocol):
    """The training job as a process of its own."""

    async def __call__(self, work: Path, on_line: Callable[[Mapping[str, Any]], None]) -> Exit:
        """Run the job in ``work`` to its end; cancelled, it leaves nothing running."""


class Guard(Protocol):
    """The check of a weights file that was written by somebody else."""

    def __call__(self, path: Path) -> None:
        """Raises Poison ``refused_file``: a pickle, or not safetensors."""
