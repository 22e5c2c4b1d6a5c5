"""What inference asks of the outside."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from libs.events.topics import E, Topic
from libs.faults import RESOURCE_EXHAUSTED, Poison, Retryable
from services.inference.domain.generation import Delta, Finish, Message, Sampling
from services.inference.domain.release import Engine, Provider, Table
from services.inference.domain.sentinel import Known

REFUSED_BY_ENGINE: Final = "refused_by_engine"
"""Poison's code for a request that this engine or provider will never answer."""
CONTEXT_EXCEEDED: Final = "context_length_exceeded"
"""Poison's code for a prompt that is longer than what can be read, as OpenAI's API has it."""
INVALID_JSON_ANSWER: Final = "invalid_json_answer"
"""Poison's code for an answer that is not the JSON that was asked for."""


class EngineFailed(Retryable):
    """An engine did not answer. ``code``: engine_error, engine_down, engine_busy, deadline,
    bad_template or no_release_ready."""

    def __init__(self, message: str, *, code: str, after_s: float = 1.0) -> None:
        super().__init__(message, after_s=after_s)
        self.code = code


class ContextExceeded(Poison):
    """The prompt, with the answer's tokens, is more than is read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=CONTEXT_EXCEEDED, param="messages")


class Overloaded(Poison):
    """The request is not answered now; it may be after ``after_s`` seconds."""

    def __init__(self, message: str, *, after_s: float) -> None:
        super().__init__(message, code=RESOURCE_EXHAUSTED)
        self.after_s = after_s


class Generator(Protocol):
    """Runs engines."""

    def generate(
        self, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        """Deltas in order, then exactly one `Finish`. Closing it early frees the engine.

        Raises:
            EngineFailed: it broke, is away, or took longer than ``timeout_s``.
            Poison: ``refused_by_engine``, `ContextExceeded`: this will never be answered.
        """


class Providers(Protocol):
    """External APIs."""

    def why_not(self, provider: Provider) -> str | None:
        """Why ``provider`` cannot be called: no key is set. None when it can."""

    def generate(
        self,
        provider: Provider,
        messages: Sequence[Message],
        sampling: Sampling,
        timeout_s: float,
    ) -> AsyncGenerator[Delta | Finish, None]:
        """One attempt, as of a `Generator`.

        Raises:
            EngineFailed: ``engine_busy`` with the time that it asks for, ``engine_down``,
                ``engine_error`` for what is no answer, ``deadline`` after ``timeout_s``.
            Poison: ``refused_by_engine``, `ContextExceeded`: this will never be answered.
        """


class EngineHost(Protocol):
    """Puts engines in place."""

    def suits(self, digest: str, *, reuse: bool) -> bool:
        """Whether the engine, if it is loaded, was loaded with this ``reuse``."""

    async def load(self, engine: Engine, *, reuse: bool = False) -> None:
        """Have ``engine`` loaded, from the artifact store where its files are not here yet. One
        that is loaded answers until the new one does.

        ``reuse``: it keeps the beginnings of prompts for those that begin alike.

        Raises:
            Retryable: the store or Triton is away.
            Poison: the files are wrong or Triton cannot load them.
        """

    async def unload(self, digest: str) -> None:
        """Free what the engine holds. Unknown engines are fine, and its digest's beginning.

        Raises:
            Retryable: Triton is away.
        """

    async def present(self) -> frozenset[str]:
        """The beginnings, 16 characters, of the digests of engines that are loaded or laid out.

        Raises:
            Retryable: Triton is away.
            Poison: it refuses to tell.
        """


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``(len(texts), dimensions)`` float32; long texts are cut at the model's bound.

        Raises:
            Retryable: the model is away or slow.
        """

    async def embed_all(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], int]:
        """The same of whole texts, and how many tokens they have.

        Raises:
            Poison: ``too_long``, names the first text above the model's bound.
            Retryable: the model is away or slow.
        """


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way to Kafka."""

    topic: str
    event_id: str
    event: bytes


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Behind an entry: segment number and byte offset."""

    segment: int
    offset: int


class SpoolFull(Exception):
    """The bound is reached: the entry was not kept."""


class Backlog(Protocol):
    """Events that are kept but not delivered, in order."""

    def read(self, most: int) -> tuple[list[Entry], Position]:
        """Up to ``most`` undelivered entries, and the position to `commit` after them."""

    def commit(self, position: Position) -> None:
        """What lies before ``position`` is delivered."""

    def pending_bytes(self) -> int: ...

    def sync(self) -> None:
        """Have what was kept on the disk itself."""


class Journal(Protocol):
    """The event log, as far as a request waits for it."""

    def append(self, topic: Topic[E], event: E) -> None:
        """Keep ``event`` for delivery; returns at once. What cannot be kept is counted lost."""


class Memory(Protocol):
    """What the sentinel knows, kept between two starts as well as it can be."""

    def load(self, case: str) -> Known | None: ...

    def save(self, case: str, known: Known) -> None: ...


class Routing(Protocol):
    def find(self, key_sha256: str) -> Table | None:
        """The routing table of the application with this API key."""

    def tables(self) -> Sequence[Table]: ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop after each change."""
