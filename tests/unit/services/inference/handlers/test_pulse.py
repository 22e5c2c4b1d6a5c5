"""How soon an engine that died or hangs is found, and that a busy one is left alone."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.inference.domain.generation import Delta, Finish, Sampling
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.pace import Pace
from services.inference.handlers.follow import FollowRouting
from services.inference.ports import EngineFailed
from tests.unit.services.inference import fast_forward
from tests.unit.services.inference.fakes import (
    CHAMPION,
    FakeGenerator,
    FakeHost,
    MemoryJournal,
    MemoryRouting,
    table,
)

DIGEST = CHAMPION.engine.digest
FOUND_S = 5.0
HANGS_S = 1e6
PIECE_EVERY_S = 1.0


@dataclass
class Full(FakeGenerator):
    """Takes nothing while ``full``."""

    full: bool = False

    async def generate(
        self, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        if self.full:
            raise EngineFailed("64 requests are running", code="engine_busy")
        async for piece in super().generate(digest, prompt, sampling, timeout_s):
            yield piece


@dataclass
class World:
    generator: Full = field(default_factory=Full)
    loaded: LoadedEngines = field(default_factory=LoadedEngines)
    dropped: list[str] = field(default_factory=list)
    host: FakeHost = field(init=False)

    def __post_init__(self) -> None:
        self.host = FakeHost(self.generator)

    @asynccontextmanager
    async def following(self, after_s: float) -> AsyncIterator[None]:
        """With an engine that has been ready for ``after_s`` seconds."""
        routing = MemoryRouting([table()])
        follow = FollowRouting(
            routing=routing,
            host=self.host,
            generator=self.generator,
            loaded=self.loaded,
            journal=MemoryJournal(),
            replica="replica-1",
            clock=fast_forward.clock(),
            pace=Pace(),
            drop=self.dropped.append,
        )
        stop = asyncio.Event()
        serving = asyncio.create_task(follow.serve(stop))
        await asyncio.sleep(after_s)
        assert self.loaded.lively(DIGEST)
        yield
        stop.set()
        await serving

    async def pieces(self, seconds: int) -> None:
        """What others get of the engine, and that there is no doubt of it meanwhile."""
        for _ in range(seconds):
            self.loaded.count(DIGEST)
            await asyncio.sleep(PIECE_EVERY_S)
            assert self.loaded.lively(DIGEST)


PHASES = [10 + tenth / 10 for tenth in range(31)]
"""When something happens, seconds: at any point between two looks."""


@pytest.mark.parametrize("at_s", PHASES)
def test_a_hung_engine_comes_last_within_5_s_and_is_then_loaded_again(at_s: float) -> None:
    async def story() -> None:
        world = World()
        async with world.following(after_s=at_s):
            world.generator.delay_s = HANGS_S
            await asyncio.sleep(FOUND_S)
            assert not world.loaded.lively(DIGEST)
            assert world.dropped == []
            await asyncio.sleep(Pace().hung_s)
            assert (len(world.host.loads), world.dropped) == (2, [DIGEST])

    fast_forward.run(story())


@pytest.mark.parametrize("at_s", PHASES)
def test_an_engine_that_dies_while_it_answers_is_found_within_5_s(at_s: float) -> None:
    """Also where a probe was on its way, which then only waits."""

    async def story() -> None:
        world = World()
        async with world.following(after_s=at_s):
            world.generator.delay_s = HANGS_S
            await asyncio.sleep(0.2)
            world.loaded.count(DIGEST)
            world.generator.engines.clear()
            await asyncio.sleep(FOUND_S)
            assert world.dropped == [DIGEST]

    fast_forward.run(story())


def test_one_probe_finds_a_death_whatever_the_engine_gave_just_before_it() -> None:
    async def story() -> None:
        world = World()
        async with world.following(after_s=10):
            world.loaded.count(DIGEST)
            world.generator.engines.clear()
            await asyncio.sleep(Pace().probe_every_s)
            assert world.dropped == [DIGEST]

    fast_forward.run(story())


def test_an_engine_too_slow_for_a_probe_is_trusted_while_it_gives_others_pieces() -> None:
    async def story() -> None:
        world = World()
        async with world.following(after_s=10):
            world.generator.delay_s = HANGS_S
            await world.pieces(60)

    fast_forward.run(story())


def test_a_full_engine_is_trusted_while_it_gives_others_pieces() -> None:
    async def story() -> None:
        world = World()
        async with world.following(after_s=10):
            world.generator.full = True
            await world.pieces(60)

    fast_forward.run(story())


def test_an_engine_full_for_ever_that_gives_nothing_is_found() -> None:
    async def story() -> None:
        world = World()
        async with world.following(after_s=10):
            world.generator.full = True
            await asyncio.sleep(FOUND_S)
            assert not world.loaded.lively(DIGEST)
            await asyncio.sleep(Pace().hung_s)
            assert world.dropped == [DIGEST]

    fast_forward.run(story())


def test_a_doubted_engine_that_answers_after_all_loses_nothing() -> None:
    async def story() -> None:
        world = World()
        async with world.following(after_s=10):
            world.generator.delay_s = 4.0
            await asyncio.sleep(FOUND_S)
            assert world.loaded.ready(DIGEST)
            assert not world.loaded.lively(DIGEST)
            world.generator.delay_s = 0.0
            await asyncio.sleep(FOUND_S)
            assert world.loaded.lively(DIGEST)
        assert (len(world.host.loads), world.dropped) == (1, [])

    fast_forward.run(story())
