"""Several Tritons behind one gateway, as if they were one."""

import random
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass

from libs.faults import Poison
from libs.runtime.clock import Clock
from services.inference.domain.generation import Delta, Finish, Sampling
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.replicas import Replicas
from services.inference.ports import EngineFailed, Generator


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One Triton: ``loaded`` is kept by its own follower, by probes."""

    generator: Generator
    loaded: LoadedEngines
    suspect: Callable[[str], None]


class FleetEngines(LoadedEngines):
    """Ready where any endpoint is. A lease holds the engine everywhere: which of them answers
    is not known before."""

    def __init__(self, endpoints: Sequence[LoadedEngines]) -> None:
        super().__init__()
        self._endpoints = endpoints

    def ready(self, digest: str) -> bool:
        return any(one.ready(digest) for one in self._endpoints)

    def lively(self, digest: str) -> bool:
        return any(one.lively(digest) for one in self._endpoints)

    def count(self, digest: str) -> None:
        """Signs of life are the endpoints' own: `FleetGenerator` notes them."""

    @contextmanager
    def lease(self, digest: str) -> Iterator[None]:
        with ExitStack() as leases:
            for one in self._endpoints:
                leases.enter_context(one.lease(digest))
            yield


@dataclass(frozen=True, slots=True)
class FleetGenerator:
    """The less busy of two endpoints answers; another one, where it fails before its first
    piece."""

    endpoints: Sequence[Endpoint]
    replicas: Replicas
    clock: Clock
    drawn: Callable[[], float] = random.random

    async def generate(
        self, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        ends_s = self.clock.monotonic() + timeout_s
        left = [n for n, one in enumerate(self.endpoints) if one.loaded.ready(digest)]
        while True:
            now_s = self.clock.monotonic()
            lively = [n for n in left if self.endpoints[n].loaded.lively(digest)]
            number = self.replicas.choose(lively or left, now_s, (self.drawn(), self.drawn()))
            if number is None:
                raise EngineFailed("the engine is away", code="engine_down")
            left.remove(number)
            begun = False
            pieces = self._on(number, digest, prompt, sampling, ends_s - now_s)
            try:
                async with aclosing(pieces):
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except EngineFailed as failure:
                if begun or not left or failure.code not in {"engine_down", "engine_busy"}:
                    raise

    async def _on(
        self, number: int, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        endpoint = self.endpoints[number]
        self.replicas.begin(number)
        well: bool | None = None
        pieces = endpoint.generator.generate(digest, prompt, sampling, timeout_s)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    endpoint.loaded.count(digest)
                    if isinstance(piece, Finish):
                        well = True
                    yield piece
        except Poison:
            well = True
            raise
        except EngineFailed as failure:
            well = False
            if failure.code == "engine_down":
                endpoint.suspect(digest)
            raise
        finally:
            self.replicas.end(number, self.clock.monotonic(), well=well)
