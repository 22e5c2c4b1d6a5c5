"""In-memory twins of inference's ports, and values to test with."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.events.topics import E, Topic
from libs.faults import Retryable
from libs.rpc.auth import digest as key_digest
from protos.inference.v1.inference_events_pb2 import EngineLoaded, GenerationServed
from protos.registry.v1 import registry_events_pb2 as registry
from services.inference.domain.generation import Ask, Delta, Finish, Message, Sampling, Token
from services.inference.domain.release import (
    Decoding,
    Engine,
    File,
    Release,
    Role,
    Route,
    Table,
)
from services.inference.ports import ContextExceeded, EngineFailed

KEY = "key-of-the-support-application"
WORDS = 8
"""Tokens of a whole answer of the fake engine."""
CONTEXT_CHARACTERS = 60_000


def word(index: int) -> str:
    return f"w{index}" if index == 0 else f" w{index}"


JSON_WORDS = ('{"card": ', '"lost"', "}")
"""Tokens of an answer that must be JSON."""


def answer_of(tokens: int = WORDS) -> str:
    return "".join(word(index) for index in range(tokens))


def release(name: str, **changes: Any) -> Release:
    file = File(f"s3://memory/sha256/{name}", name, 1, "application/octet-stream")
    engine = Engine(f"{name:x<32}", file, file, "{{ messages[-1].content }}")
    values: dict[str, Any] = {
        "digest": f"release-{name}",
        "engine": engine,
        "prompt_template": "",
        "decoding": Decoding(max_tokens=64, temperature=0.0, top_p=0.0, seed=0),
    }
    return Release(**(values | changes))


CHAMPION, CANARY, SHADOW = release("champion"), release("canary"), release("shadow")


def table(*routes: Route, **changes: Any) -> Table:
    values: dict[str, Any] = {
        "application": "support",
        "version": 1,
        "key_sha256": frozenset({key_digest(KEY)}),
        "salt": "salt",
        "campaign_id": "campaign-1",
        "routes": routes or (Route(CHAMPION, Role.CHAMPION, 1.0),),
    }
    return Table(**(values | changes))


def ask(text: str = "Where is my card?", **changes: Any) -> Ask:
    return Ask(messages=(Message("user", text),), **changes)


def routing_event(application: str = "support", version: int = 1) -> registry.RoutingTable:
    event = registry.RoutingTable(application=application, version=version, salt="s")
    event.key_sha256.append(key_digest(f"{KEY}-{application}"))
    route = event.routes.add(role=registry.ROLE_CHAMPION, share=1.0)
    route.release.digest = "r" * 64
    route.release.engine.digest = "e" * 64
    return event


@dataclass
class FakeGenerator:
    """Answers ``w0 w1 …``, eight tokens. Passes the contract of the Triton one."""

    engines: set[str] = field(default_factory=set)
    delay_s: float = 0.0
    failure: Exception | None = None
    fail_after: int = 0
    running: int = 0
    prompts: list[str] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    json_words: Sequence[str] = JSON_WORDS

    async def generate(
        self, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        if digest not in self.engines:
            raise EngineFailed("the engine is away", code="engine_down")
        if len(prompt) > CONTEXT_CHARACTERS:
            raise ContextExceeded("the engine refuses: too long")
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        self.running += 1
        try:
            async with asyncio.timeout(timeout_s):
                words = [word(index) for index in range(WORDS)]
                words = list(self.json_words) if sampling.form else words
                tokens = min(sampling.max_tokens, len(words))
                for index in range(tokens):
                    if self.failure is not None and index == self.fail_after:
                        raise self.failure
                    if self.delay_s:
                        await asyncio.sleep(self.delay_s)
                    token = Token(words[index].encode(), -0.5)
                    yield Delta(words[index], (token,) if sampling.logprobs else ())
                reason = "stop" if tokens == len(words) else "length"
                yield Finish(reason, len(prompt.split()), tokens, -0.5 * tokens)
        except TimeoutError as error:
            raise EngineFailed("the answer took too long", code="deadline") from error
        finally:
            self.running -= 1


@dataclass
class MemoryJournal:
    events: list[Any] = field(default_factory=list)

    def append(self, topic: Topic[E], event: E) -> None:
        self.events.append(event)

    @property
    def served(self) -> list[GenerationServed]:
        return [event for event in self.events if isinstance(event, GenerationServed)]

    @property
    def loaded(self) -> list[EngineLoaded]:
        return [event for event in self.events if isinstance(event, EngineLoaded)]


@dataclass
class MemoryRouting:
    known: list[Table] = field(default_factory=list)
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def find(self, key_sha256: str) -> Table | None:
        return next((table for table in self.known if key_sha256 in table.key_sha256), None)

    def tables(self) -> Sequence[Table]:
        return self.known

    def on_change(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def set(self, *tables: Table) -> None:
        self.known = list(tables)
        for callback in self.callbacks:
            callback()


@dataclass
class FakeHost:
    """Loads engines into a `FakeGenerator`."""

    generator: FakeGenerator
    failures: list[Exception] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    unloads: list[str] = field(default_factory=list)
    reuse: dict[str, bool] = field(default_factory=dict)

    def suits(self, digest: str, *, reuse: bool) -> bool:
        return self.reuse.get(digest, False) == reuse

    async def load(self, engine: Engine, *, reuse: bool = False) -> None:
        self.loads.append(engine.digest)
        if self.failures:
            raise self.failures.pop(0)
        self.generator.engines.add(engine.digest)
        self.reuse[engine.digest] = reuse

    async def unload(self, digest: str) -> None:
        self.unloads.append(digest)
        self.generator.engines.discard(digest)

    async def present(self) -> frozenset[str]:
        if self.failures:
            raise self.failures.pop(0)
        return frozenset(digest[:16] for digest in self.generator.engines)


@dataclass
class FakeEmbedder:
    away: bool = False
    calls: int = 0
    running: int = 0
    held: asyncio.Event | None = None
    """Callers' texts wait for it."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        if self.away:
            raise Retryable("embedding: away")
        return np.array([[len(text), 0.5, -1.0] for text in texts], dtype=np.float32)

    async def embed_all(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], int]:
        self.running += 1
        try:
            if self.held is not None:
                await self.held.wait()
            return await self.embed(texts), sum(len(text.split()) for text in texts)
        finally:
            self.running -= 1


async def eventually(holds: Callable[[], bool], what: str, within_s: float = 5.0) -> None:
    """Turn the loop until ``holds``."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.002)
    except TimeoutError as error:
        raise AssertionError(f"not within {within_s} s: {what}") from error
