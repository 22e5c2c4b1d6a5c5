import asyncio
from dataclasses import dataclass, field

import pytest

from libs.runtime.clock import SystemClock
from services.inference.adapters.fleet import Endpoint, FleetEngines, FleetGenerator
from services.inference.domain.generation import Finish
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.pace import Pace
from services.inference.domain.replicas import Replicas
from services.inference.handlers.follow import FollowRouting
from services.inference.ports import EngineFailed
from tests.unit.services.inference.fakes import (
    CHAMPION,
    FakeGenerator,
    FakeHost,
    MemoryJournal,
    MemoryRouting,
    eventually,
    table,
)
from tests.unit.services.inference.generator_contract import (
    GeneratorContract,
    Subject,
    collect,
)

DIGEST = CHAMPION.engine.digest


@dataclass
class World:
    generators: tuple[FakeGenerator, FakeGenerator] = field(
        default_factory=lambda: (FakeGenerator({DIGEST}), FakeGenerator({DIGEST}))
    )
    loaded: tuple[LoadedEngines, LoadedEngines] = field(
        default_factory=lambda: (LoadedEngines(), LoadedEngines())
    )
    suspected: list[str] = field(default_factory=list)
    fleet: FleetGenerator = field(init=False)

    def __post_init__(self) -> None:
        endpoints = [
            Endpoint(generator, loaded, self.suspected.append)
            for generator, loaded in zip(self.generators, self.loaded, strict=True)
        ]
        for loaded in self.loaded:
            loaded.mark(DIGEST, ready=True)
        self.fleet = FleetGenerator(endpoints, Replicas(2), SystemClock())

    @property
    def subject(self) -> Subject:
        return Subject(self.fleet, DIGEST, self._slow)

    def _slow(self) -> None:
        for generator in self.generators:
            generator.delay_s = 1.0


class TestFleetGenerator(GeneratorContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return World().subject


async def test_both_endpoints_answer_at_once() -> None:
    world = World()
    for generator in world.generators:
        generator.delay_s = 0.002

    await asyncio.gather(*(collect(world.subject) for _ in range(8)))

    assert [len(generator.prompts) for generator in world.generators] == [4, 4]


async def test_an_endpoint_that_died_is_passed_over_and_suspected() -> None:
    world = World()
    world.generators[0].engines.clear()

    ends = [(await collect(world.subject))[-1] for _ in range(10)]

    assert all(isinstance(end, Finish) for end in ends)
    assert set(world.suspected) == {DIGEST}


async def test_an_endpoint_in_doubt_is_asked_only_where_there_is_no_other() -> None:
    world = World()
    world.loaded[0].doubt(DIGEST)

    for _ in range(5):
        await collect(world.subject)
    asked = [len(generator.prompts) for generator in world.generators]
    world.loaded[1].doubt(DIGEST)
    assert not FleetEngines(world.loaded).lively(DIGEST)
    end = (await collect(world.subject))[-1]

    assert asked == [0, 5]
    assert isinstance(end, Finish)


async def test_an_endpoint_that_breaks_midway_is_not_replaced() -> None:
    world = World()
    for generator in world.generators:
        generator.failure = EngineFailed("broken", code="engine_down")
        generator.fail_after = 2

    with pytest.raises(EngineFailed):
        await collect(world.subject)

    assert sum(len(generator.prompts) for generator in world.generators) == 1


async def test_an_engine_is_ready_while_any_endpoint_has_it_and_held_on_all() -> None:
    world = World()
    engines = FleetEngines(world.loaded)
    world.loaded[0].mark(DIGEST, ready=False)

    with engines.lease(DIGEST):
        assert engines.ready(DIGEST)
        assert [loaded.busy(DIGEST) for loaded in world.loaded] == [1, 1]

    world.loaded[1].mark(DIGEST, ready=False)
    assert not engines.ready(DIGEST)


async def test_each_endpoint_is_loaded_probed_and_revived_by_a_follower_of_its_own() -> None:
    world, routing, journal = World(), MemoryRouting([table()]), MemoryJournal()
    hosts = [FakeHost(generator) for generator in world.generators]
    stop = asyncio.Event()
    for generator, loaded in zip(world.generators, world.loaded, strict=True):
        generator.engines.clear()
        loaded.mark(DIGEST, ready=False)
    follows = [
        FollowRouting(
            routing=routing,
            host=hosts[number],
            generator=world.generators[number],
            loaded=world.loaded[number],
            journal=journal,
            replica=f"r/{number}",
            clock=SystemClock(),
            pace=Pace(probe_every_s=0.01, hung_s=1.0, probe_s=1.0),
        )
        for number in range(2)
    ]
    serving = [asyncio.create_task(follow.serve(stop)) for follow in follows]
    await eventually(lambda: all(one.ready(DIGEST) for one in world.loaded), "both ready")

    world.generators[1].engines.clear()
    await eventually(lambda: len(hosts[1].loads) == 2, "the second one revived")

    assert len(hosts[0].loads) == 1
    assert {event.replica for event in journal.loaded} == {"r/0", "r/1"}
    stop.set()
    await asyncio.gather(*serving)
