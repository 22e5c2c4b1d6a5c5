"""The sentinel before a provider that changes its model without a word."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from libs.runtime.clock import ManualClock
from protos.inference.v1.inference_events_pb2 import ProviderProbed
from protos.monitor.v1.monitor_events_pb2 import ProbeRequested
from services.inference.adapters import openai_api
from services.inference.adapters.keys import Keys
from services.inference.adapters.memory import FileMemory
from services.inference.domain.release import Role, Route
from services.inference.domain.sentinel import KEPT_PER_PROMPT, LEARNT, PROMPTS
from services.inference.domain.serving import Serving, Watching
from services.inference.handlers.burst import Burst
from services.inference.handlers.external import External
from services.inference.handlers.probing import Prober
from services.inference.handlers.sentinel import Sentinel
from tests.unit.services.inference import provider as bad
from tests.unit.services.inference.fakes import MemoryJournal, MemoryRouting, release, table
from tests.unit.services.inference.provider import LocalProvider

LEARNING = LEARNT + KEPT_PER_PROMPT * len(PROMPTS)
SOON = 12
"""Probes within which another model must have been noticed."""


def author(name: str) -> Any:
    """A model: to each prompt its own words, one of them drawn anew each time."""
    noise = random.Random(name)

    def say(asked: dict[str, Any]) -> list[str]:
        words = random.Random(f"{name} {asked['messages'][-1]['content']}")
        told = [f"{words.randrange(10**6)} " for _ in range(8)]
        return [*told[:7], f"{noise.randrange(10)} "]

    return say


@dataclass
class World:
    directory: Path
    server: LocalProvider = field(default_factory=lambda: LocalProvider(say=author("first")))
    routing: MemoryRouting = field(default_factory=MemoryRouting)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    clock: ManualClock = field(default_factory=ManualClock)
    sentinel: Sentinel = field(init=False)
    burst: Burst = field(init=False)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["World"]:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(openai_api.client())
            await stack.enter_async_context(self.server.open())
            self.external = External(
                openai_api.OpenAiProviders(http, Keys({"outside": ""})), self.clock
            )
            plain = release("outside")
            outside = replace(plain, engine=replace(plain.engine, provider=self.server.provider))
            watched = Serving(watching=Watching(every_s=60.0))
            self.routing.set(table(Route(outside, Role.CHAMPION, 1.0), serving=watched))
            self.start()
            yield self

    def start(self) -> None:
        """As after a restart: what is not in files is gone."""
        prober = Prober(self.routing, self.external, FileMemory(self.directory))
        drawn = random.Random(7).random
        self.sentinel = Sentinel(prober, self.journal, self.clock, drawn)
        self.burst = Burst(prober, self.journal, self.clock, drawn)

    async def probe(self, times: int) -> None:
        for _ in range(times):
            await self.sentinel.step()
            self.clock.advance(60.0)

    @property
    def told(self) -> list[ProviderProbed]:
        return [event for event in self.journal.events if isinstance(event, ProviderProbed)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path).open() as opened:
        yield opened


async def test_a_provider_that_stays_what_it_is_raises_nothing(world: World) -> None:
    await world.probe(LEARNING + 50)

    assert world.told == []
    assert len(world.server.requests) == LEARNING + 50


async def test_other_answers_under_the_same_name_are_noticed_within_a_few_probes(
    world: World,
) -> None:
    await world.probe(LEARNING)

    world.server.say = author("second")
    await world.probe(SOON)

    (event,) = world.told
    assert (event.changed, event.drift_event_id, event.release_digest) == (
        True,
        "",
        "release-outside",
    )
    assert event.p_value <= 1e-4
    assert LEARNING < event.probes <= LEARNING + SOON


async def test_another_name_is_noticed_at_once(world: World) -> None:
    await world.probe(3)

    world.server.model = "small-2"
    await world.probe(1)

    (event,) = world.told
    assert (event.changed, event.request_model, event.response_model) == (True, "small", "small-2")


async def test_another_model_than_was_asked_for_is_noticed_at_the_first_probe(world: World) -> None:
    world.server.model = "tiny"

    await world.probe(3)

    (event,) = world.told
    assert (event.changed, event.request_model, event.response_model) == (True, "small", "tiny")
    assert event.probes == 1


async def test_what_was_learnt_outlives_another_prompt(world: World) -> None:
    await world.probe(LEARNING)
    (route,) = world.routing.known[0].routes
    prompts = [
        replace(route.release, digest=f"release-{name}", prompt_template="{{ question }}!")
        for name in ("new", "newer")
    ]
    routes = [
        Route(prompt, role, 0.5)
        for prompt, role in zip(prompts, (Role.CHAMPION, Role.CANARY), strict=True)
    ]
    world.routing.set(table(*routes, serving=world.routing.known[0].serving))

    world.server.say = author("second")
    await world.probe(SOON)

    assert [event.release_digest for event in world.told] == ["release-new", "release-newer"]
    assert len(world.server.requests) == LEARNING + SOON


async def test_what_was_learnt_outlives_a_restart(world: World) -> None:
    await world.probe(LEARNING)
    world.start()

    world.server.say = author("second")
    await world.probe(SOON)

    assert [event.changed for event in world.told] == [True]


async def test_after_a_change_the_new_model_is_the_usual_one(world: World) -> None:
    await world.probe(2)
    world.server.model = "small-2"

    await world.probe(LEARNING + 30)

    assert len(world.told) == 1


async def test_a_provider_that_fails_has_not_changed(world: World) -> None:
    await world.probe(LEARNING)

    world.server.behave = bad.sends_garbage
    await world.probe(10)

    assert world.told == []


async def test_while_it_learns_probes_follow_each_other_sooner(world: World) -> None:
    for _ in range(10):
        await world.sentinel.step()
        world.clock.advance(5.0)

    assert len(world.server.requests) == 10


@pytest.mark.parametrize(("now", "changed"), [("first", False), ("second", True)])
async def test_a_burst_that_the_monitor_asks_for_is_answered_by_one_event(
    world: World, now: str, changed: bool
) -> None:
    await world.probe(LEARNING)
    world.server.say = author(now)
    request = ProbeRequested(
        application="support", release_digest="release-outside", drift_event_id="d", probes=40
    )

    await world.burst(request)

    (event,) = world.told
    assert (event.drift_event_id, event.probes, event.changed) == ("d", 40, changed)
    assert (event.p_value < 0.01) == changed


async def test_a_burst_at_a_release_of_our_own_cannot_tell(world: World) -> None:
    await world.burst(ProbeRequested(application="support", release_digest="other", probes=40))

    (event,) = world.told
    assert (event.probes, event.p_value, event.changed) == (0, 1.0, False)
