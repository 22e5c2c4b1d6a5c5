"""What the trainer asks of the outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from libs.events.topics import E, Topic
from libs.runtime.child import Exit
from libs.sql.job import Job
from protos.common.v1.common_pb2 import Artifact
from services.trainer.domain.engine import Target


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


Told = Callable[[str, float], None]
"""A step's name and the share of it that is done, 0 to 1. Never blocks."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an engine is built of, as files.

    Args:
        weights: merged safetensors, under the names of transformers.
        base_model: directory with ``config.json``, ``tokenizer.json``, ``chat_template.jinja``,
            ``tokenizer_config.json``.
        adapter: the adapter alone, safetensors, for runtimes that load it beside its base.
        build_id: whose work it is, for what outlives a killed process and is found by name.
    """

    weights: Path
    base_model: Path
    adapter: Path | None = None
    build_id: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """How a model is asked.

    Args:
        template: jinja2 over ``messages``, ``add_generation_prompt`` and the two tokens.
        bos_token, eos_token: "" for none.
    """

    template: str
    bos_token: str = ""
    eos_token: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """What a builder leaves in its work directory.

    Args:
        weights: one file: GGUF, or a tar of an engine's directory.
        media_type: of ``weights``.
    """

    weights: Path
    media_type: str
    tokenizer: Path
    chat: Chat


class EngineBuilder(Protocol):
    """Makes the engines of one runtime."""

    @property
    def runtime(self) -> str:
        """``openvino-genai``, ``tensorrt-llm``."""

    @property
    def current_version(self) -> str:
        """`Target.runtime_version` of everything that it builds now."""

    def target(self, precision: str) -> Target:
        """What it would build for. Raises Poison ``no_builder``: not in this precision."""

    async def build(self, source: Source, target: Target, work: Path, told: Told) -> Built:
        """Build in ``work``, an empty directory; ``work/*.log`` is kept as the build's log.

        Cancelled, it leaves nothing running. Raises:
            Poison: no attempt could succeed; its code and words are announced.
            Retryable: this attempt died.
        """


@dataclass(frozen=True, slots=True)
class Asked:
    """How a release asks its engine: ``decoding`` are the parameters of
    `services.trainer.adapters.speech.Sampling`."""

    prompt_template: str
    decoding: Mapping[str, float]


class EngineMeter(Protocol):
    """Measures the engines of one runtime beside their weights."""

    async def __call__(
        self, engine: Path, source: Source, held_out: Path, asked: Asked, work: Path
    ) -> str:
        """``measured.json`` as `services.trainer.wire.building` reads it.

        Raises:
            Poison: ``bad_dataset``: nobody can measure on these rows.
            Retryable: this attempt died.
        """


class Shelf(Protocol):
    """Results of steps by what they are the result of. Raises Retryable."""

    def keep(self, key: str, value: bytes) -> None: ...

    def kept(self, key: str) -> bytes | None: ...

    def drop(self, key: str) -> None: ...


class Builds(Protocol):
    """The durable engine builds, by build id. Raises Retryable."""

    def submit(self, key: str, payload: bytes) -> bool: ...

    def get(self, key: str) -> Job | None: ...

    def cancel(self, key: str, reason: str) -> Job | None: ...

    def newest(self, application: str, model_digest: str, limit: int) -> list[Job]:
        """Builds of an application, newest first; "" is of every model."""


class Campaigns(Protocol):
    """Which campaigns have ended. Raises Retryable."""

    def end(self, campaign_id: str) -> list[str]:
        """Remember it; cancel its runs and builds. Returns the keys of those."""

    def ended(self, campaign_id: str) -> bool: ...
