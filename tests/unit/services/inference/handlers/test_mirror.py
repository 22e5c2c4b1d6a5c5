import asyncio

from libs.runtime.clock import SystemClock
from protos.registry.v1.registry_events_pb2 import ROLE_SHADOW
from services.inference.domain.admission import Admission
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.release import Role, Route
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.mirror import Mirror
from services.inference.handlers.runner import Runner
from services.inference.ports import EngineFailed
from tests.unit.services.inference.fakes import (
    CHAMPION,
    SHADOW,
    FakeGenerator,
    MemoryJournal,
    ask,
    eventually,
    table,
)

TABLE = table(Route(CHAMPION, Role.CHAMPION, 1.0), Route(SHADOW, Role.SHADOW, 1.0))


class World:
    def __init__(self, waiting: int = 8) -> None:
        self.generator = FakeGenerator({CHAMPION.engine.digest, SHADOW.engine.digest})
        self.loaded = LoadedEngines()
        for digest in self.generator.engines:
            self.loaded.mark(digest, ready=True)
        self.journal = MemoryJournal()
        runner = Runner(self.generator, self.loaded, self.journal, SystemClock(), lambda _: None)
        self.mirror = Mirror(runner, waiting, 30.0)
        self.answer = Answer(runner, Admit(Admission(8), SystemClock()), self.mirror, 30.0)

    async def ask(self) -> str:
        generation = await self.answer.begin(TABLE, ask())
        await self.answer.whole(generation)
        return generation.id

    async def settle(self, until: int) -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(self.mirror.serve(stop))
        await eventually(lambda: len(self.journal.served) >= until, f"{until} events")
        stop.set()
        await serving


async def test_a_sampled_answer_is_asked_again_of_the_shadow() -> None:
    world = World()

    answered = await world.ask()
    await world.settle(until=2)

    mirrored = world.journal.served[1]
    assert (mirrored.role, mirrored.shadow_of) == (ROLE_SHADOW, answered)
    assert mirrored.release_digest == SHADOW.digest
    assert mirrored.campaign_id == "campaign-1"
    assert mirrored.generation_id != answered


async def test_a_full_queue_drops_mirrors_and_never_waits() -> None:
    world = World(waiting=1)

    for _ in range(5):
        await world.ask()
    await world.settle(until=6)

    assert [event.role for event in world.journal.served].count(ROLE_SHADOW) == 1


async def test_a_shadow_that_fails_harms_nobody_and_is_on_the_log() -> None:
    world = World()
    await world.ask()

    world.generator.failure = EngineFailed("broken", code="engine_error")
    await world.settle(until=2)

    assert world.journal.served[1].error_code == "engine_error"
    assert world.journal.served[0].error_code == ""
