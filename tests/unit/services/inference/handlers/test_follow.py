import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from libs.faults import Poison, Retryable
from libs.runtime.clock import SystemClock
from services.inference.adapters.borrowed import Borrowed
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.pace import Pace
from services.inference.domain.release import Provider, Role, Route
from services.inference.domain.serving import Caching, Serving
from services.inference.handlers.follow import FollowRouting
from services.inference.ports import EngineHost
from tests.unit.services.inference.fakes import (
    CANARY,
    CHAMPION,
    FakeGenerator,
    FakeHost,
    MemoryJournal,
    MemoryRouting,
    eventually,
    release,
    table,
)

DIGEST = CHAMPION.engine.digest
FAST = Pace(
    probe_every_s=0.01,
    sign_s=1.0,
    hung_s=1.0,
    probe_s=1.0,
    away_s=0.01,
    refused_s=0.02,
    grace_s=5.0,
    busy_poll_s=0.005,
)


@dataclass
class World:
    routing: MemoryRouting = field(default_factory=MemoryRouting)
    generator: FakeGenerator = field(default_factory=FakeGenerator)
    loaded: LoadedEngines = field(default_factory=LoadedEngines)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    host: FakeHost = field(init=False)
    why_not: Callable[[Provider], str | None] = lambda _: None
    pace: Pace = FAST

    def __post_init__(self) -> None:
        self.host = FakeHost(self.generator)

    @asynccontextmanager
    async def following(self, host: EngineHost | None = None) -> AsyncIterator[FollowRouting]:
        follow = FollowRouting(
            routing=self.routing,
            host=host or self.host,
            generator=self.generator,
            loaded=self.loaded,
            journal=self.journal,
            replica="replica-1",
            clock=SystemClock(),
            pace=self.pace,
            why_not=self.why_not,
        )
        stop = asyncio.Event()
        serving = asyncio.create_task(follow.serve(stop))
        await asyncio.sleep(0)
        yield follow
        stop.set()
        await serving

    async def ready(self, digest: str = DIGEST) -> None:
        await eventually(lambda: self.loaded.ready(digest), f"{digest} ready")


@pytest.fixture
def world() -> World:
    return World()


async def test_a_routed_engine_is_loaded_probed_and_reported(world: World) -> None:
    world.routing.set(table())

    async with world.following() as follow:
        await world.ready()
        assert follow.unready() is None

    assert world.host.loads == [DIGEST]
    (report,) = world.journal.loaded
    assert (report.application, report.release_digest) == ("support", CHAMPION.digest)
    assert (report.ready, report.replica, report.campaign_id) == (True, "replica-1", "campaign-1")


async def test_an_engine_that_answers_already_is_adopted_without_a_load(world: World) -> None:
    world.generator.engines.add(DIGEST)
    world.routing.set(table())

    async with world.following():
        await world.ready()

    assert world.host.loads == []
    assert len(world.journal.loaded) == 1


async def test_an_engine_that_cannot_be_loaded_is_reported_once_with_its_reason(
    world: World,
) -> None:
    world.host.failures = [Poison("no such file", code="artifact_missing") for _ in range(3)]
    world.routing.set(table())

    async with world.following() as follow:
        await eventually(lambda: len(world.host.loads) == 3, "three tries")
        assert follow.unready() == "artifact_missing: no such file"
        await world.ready()

    failed, mended = world.journal.loaded
    assert (failed.ready, failed.reason) == (False, "artifact_missing: no such file")
    assert mended.ready


async def test_a_store_that_is_away_is_waited_for_without_a_report(world: World) -> None:
    world.host.failures = [Retryable("s3 is away") for _ in range(3)]
    world.routing.set(table())

    async with world.following():
        await world.ready()

    assert len(world.host.loads) == 4
    assert [report.ready for report in world.journal.loaded] == [True]


async def test_a_dead_engine_is_noticed_and_loaded_again(world: World) -> None:
    world.routing.set(table())

    async with world.following():
        await world.ready()
        world.generator.engines.clear()
        await eventually(lambda: len(world.host.loads) == 2, "a reload")
        await world.ready()


async def test_an_engine_that_dies_again_and_again_is_loaded_later_and_later(
    world: World,
) -> None:
    world.pace = replace(FAST, away_s=600.0, revive_s=600.0)
    world.routing.set(table())

    async with world.following() as follow:
        await world.ready()
        world.generator.engines.clear()
        await eventually(lambda: len(world.host.loads) == 2, "a reload at once")
        await world.ready()
        world.generator.engines.clear()
        await eventually(lambda: not world.loaded.ready(DIGEST), "another death")
        follow.suspect(DIGEST)
        await asyncio.sleep(0.05)

    assert len(world.host.loads) == 2


def test_pauses_before_a_revival_grow_up_to_their_bound() -> None:
    pauses = [Pace().before_revival_s(deaths) for deaths in (1, 2, 3, 4, 5, 2000)]

    assert pauses == [0, 2, 4, 8, 15, 15]


async def test_an_engine_is_unloaded_only_after_its_requests_have_ended(world: World) -> None:
    world.routing.set(table())

    async with world.following():
        await world.ready()
        with world.loaded.lease(DIGEST):
            world.routing.set()
            await eventually(lambda: not world.loaded.ready(DIGEST), "no new requests")
            await asyncio.sleep(0.05)
            assert world.host.unloads == []
        await eventually(lambda: world.host.unloads == [DIGEST], "unloaded")


async def test_an_engine_routed_again_while_it_retires_stays(world: World) -> None:
    world.routing.set(table())

    async with world.following():
        await world.ready()
        with world.loaded.lease(DIGEST):
            world.routing.set()
            await eventually(lambda: not world.loaded.ready(DIGEST), "retiring")
            world.routing.set(table(version=2))
        await world.ready()

    assert world.host.unloads == []
    assert world.host.loads == [DIGEST]


async def test_an_engine_keeps_beginnings_while_one_application_alone_wants_that(
    world: World,
) -> None:
    keeping = table(serving=Serving(caching=Caching(prefix=True)))
    world.routing.set(keeping)

    async with world.following():
        await world.ready()
        assert world.host.reuse == {DIGEST: True}
        world.host.failures = [Poison("no room for both", code="no_memory")]
        world.routing.set(keeping, table(application="other"))
        await eventually(lambda: world.host.reuse == {DIGEST: False}, "loaded otherwise")
        assert world.loaded.ready(DIGEST)

    assert len(world.host.loads) == 3
    assert all(report.ready for report in world.journal.loaded)


async def test_each_release_of_a_new_campaign_is_reported(world: World) -> None:
    world.routing.set(table())

    async with world.following():
        await world.ready()
        world.routing.set(
            table(
                Route(CHAMPION, Role.CHAMPION, 1.0),
                Route(CANARY, Role.CANARY, 0.05),
                campaign_id="campaign-2",
            )
        )
        await world.ready(CANARY.engine.digest)

    told = {(report.release_digest, report.campaign_id) for report in world.journal.loaded}
    assert (CANARY.digest, "campaign-2") in told


async def test_an_external_release_is_reported_ready_without_a_load(world: World) -> None:
    plain = release("outside")
    provider = Provider("outside", "https://example.org/v1", "m")
    outside = replace(plain, engine=replace(plain.engine, provider=provider))
    world.routing.set(table(Route(outside, Role.CHAMPION, 1.0)))

    async with world.following() as follow:
        await eventually(lambda: bool(world.journal.loaded), "the report")
        assert follow.unready() is None

    (report,) = world.journal.loaded
    assert (report.release_digest, report.ready) == ("release-outside", True)
    assert world.host.loads == []


async def test_an_external_release_without_a_key_is_reported_with_the_reason(
    world: World,
) -> None:
    plain = release("outside")
    provider = Provider("outside", "https://example.org/v1", "m")
    outside = replace(plain, engine=replace(plain.engine, provider=provider))
    world.why_not = lambda _: "no key"

    world.routing.set(table(fallbacks=(outside,)))
    async with world.following():
        await world.ready()

    told = {report.release_digest: report.reason for report in world.journal.loaded}
    assert told == {CHAMPION.digest: "", "release-outside": "no key"}


async def test_an_engine_that_other_processes_may_still_ask_has_its_whole_grace(
    world: World,
) -> None:
    world.pace = replace(FAST, sure_grace_s=0.1)
    world.routing.set(table())

    async with world.following():
        await world.ready()
        began_s = time.monotonic()
        world.routing.set()
        await eventually(lambda: world.host.unloads == [DIGEST], "unloaded")

    assert time.monotonic() - began_s > 0.09


async def test_an_engine_that_is_wanted_again_answers_before_its_grace_is_over(
    world: World,
) -> None:
    world.pace = replace(FAST, sure_grace_s=600.0)
    world.routing.set(table())

    async with world.following():
        await world.ready()
        world.routing.set()
        await eventually(lambda: not world.loaded.ready(DIGEST), "no new requests")
        world.routing.set(table())
        await world.ready()

    assert world.host.unloads == []


async def test_a_borrowed_engine_is_asked_once_its_owner_has_loaded_it(world: World) -> None:
    world.routing.set(table())

    async with world.following(Borrowed()) as follow:
        await eventually(lambda: len(follow.unready() or "") > 0, "waiting")
        world.generator.engines.add(DIGEST)  # the owner's work
        await world.ready()
        world.generator.engines.clear()
        await eventually(lambda: not world.loaded.ready(DIGEST), "seen dead")
        world.generator.engines.add(DIGEST)
        await world.ready()
        world.routing.set()
        await eventually(lambda: not world.loaded.ready(DIGEST), "let go")

    assert world.generator.engines == {DIGEST}
