"""Answers by external providers: retries, the breaker, and who stands in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from libs.faults import Poison
from libs.runtime.clock import ManualClock
from protos.registry.v1.registry_events_pb2 import ROLE_CANARY, ROLE_CHAMPION, ROLE_UNSPECIFIED
from services.inference.adapters import openai_api
from services.inference.adapters.keys import Keys
from services.inference.domain.admission import Admission
from services.inference.domain.breaker import REST_S
from services.inference.domain.generation import Ask
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.release import Provider, Release, Role, Route, Table
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.external import External
from services.inference.handlers.generation import Generation
from services.inference.handlers.runner import Runner
from services.inference.ports import EngineFailed
from tests.unit.services.inference import provider as bad
from tests.unit.services.inference.fakes import (
    CANARY,
    CHAMPION,
    FakeGenerator,
    MemoryJournal,
    answer_of,
    ask,
    release,
    table,
)
from tests.unit.services.inference.provider import LocalProvider

OUTSIDE = "Hello from outside"
QUESTION = ask()


def external(name: str, provider: Provider) -> Release:
    plain = release(name)
    return replace(plain, engine=replace(plain.engine, provider=provider))


@dataclass
class World:
    generator: FakeGenerator = field(
        default_factory=lambda: FakeGenerator({CHAMPION.engine.digest, CANARY.engine.digest})
    )
    loaded: LoadedEngines = field(default_factory=LoadedEngines)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    clock: ManualClock = field(default_factory=ManualClock)
    first: LocalProvider = field(default_factory=LocalProvider)
    second: LocalProvider = field(default_factory=lambda: LocalProvider(model="large-1"))
    slept: list[float] = field(default_factory=list)
    answer: Answer = field(init=False)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["World"]:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(openai_api.client())
            await stack.enter_async_context(self.first.open())
            await stack.enter_async_context(self.second.open())
            keys = Keys({"first": "", "second": "sk-2"})
            providers = openai_api.OpenAiProviders(http, keys)
            outside = External(providers, self.clock, self._sleep, lambda: 0.0)
            for digest in self.generator.engines:
                self.loaded.mark(digest, ready=True)
            runner = Runner(
                self.generator, self.loaded, self.journal, self.clock, lambda _: None, outside
            )
            admit = Admit(Admission(8), self.clock)
            self.answer = Answer(runner, admit, lambda *_: None, 30.0)
            yield self

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def releases(self, timeout_s: float = 5.0, **changes: Any) -> tuple[Release, Release]:
        """``changes`` are the first's."""
        return (
            external("first", self.first.named("first", timeout_s=timeout_s, **changes)),
            external("second", self.second.named("second")),
        )

    def table(self, timeout_s: float = 5.0) -> Table:
        """The first provider as champion, the second in its place."""
        first, second = self.releases(timeout_s)
        return table(Route(first, Role.CHAMPION, 1.0), fallbacks=(second,))

    async def ask(self, routing: Table, asked: Ask = QUESTION) -> tuple[str, Generation]:
        generation = await self.answer.begin(routing, asked)
        text, _ = await self.answer.whole(generation)
        return text, generation


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World().open() as opened:
        yield opened


async def test_an_external_release_answers_and_its_event_says_who_and_for_how_much(
    world: World,
) -> None:
    text, generation = await world.ask(world.table())

    assert (text, generation.provider) == (OUTSIDE, "first")
    (event,) = world.journal.served
    assert (event.provider, event.request_model, event.response_model) == (
        "first",
        "small",
        "small-001",
    )
    assert event.role == ROLE_CHAMPION
    assert event.cost == pytest.approx((10 * 2.0 + 3 * 10.0) / 1e6)


async def test_a_short_failure_is_tried_once_more(world: World) -> None:
    world.first.script = [bad.fails]

    text, generation = await world.ask(world.table())

    assert (text, generation.provider) == (OUTSIDE, "first")
    assert len(world.first.requests) == 2


async def test_retries_of_a_provider_that_keeps_failing_stay_within_their_budget(
    world: World,
) -> None:
    world.first.script = [bad.fails, bad.answers] * 40

    for _ in range(60):
        await world.ask(world.table())
        world.clock.advance(REST_S)

    assert len(world.first.requests) <= 60 + 8
    assert len(world.journal.served) == 60


@pytest.mark.parametrize(
    "behave", [bad.fails, bad.closes, bad.sends_garbage, bad.cuts_at_once, bad.is_busy, bad.hangs]
)
async def test_the_next_in_order_answers_for_a_provider_that_cannot(
    world: World, behave: bad.Handler
) -> None:
    world.first.behave = behave

    text, generation = await world.ask(world.table(timeout_s=0.05))

    assert (text, generation.provider) == (OUTSIDE, "second")
    (event,) = world.journal.served
    assert (event.provider, event.response_model) == ("second", "large-1")
    assert (event.role, event.canary_share, event.campaign_id) == (ROLE_UNSPECIFIED, 0.0, "")
    assert event.release_digest == generation.release_digest == "release-second"


async def test_after_the_first_piece_nothing_is_tried_again(world: World) -> None:
    world.first.behave = bad.cuts

    with pytest.raises(EngineFailed) as failure:
        await world.ask(world.table())

    assert failure.value.code == "engine_error"
    assert (len(world.first.requests), len(world.second.requests)) == (1, 0)
    (event,) = world.journal.served
    assert (event.error_code, event.answer, event.provider) == ("engine_error", "one two", "first")


async def test_a_provider_that_fails_again_and_again_is_left_alone_and_then_tried(
    world: World,
) -> None:
    world.first.behave = bad.fails
    for _ in range(10):
        await world.ask(world.table())
    calls = len(world.first.requests)
    assert calls < 10

    world.first.behave = bad.answers
    world.clock.advance(REST_S)
    _, generation = await world.ask(world.table())

    assert generation.provider == "first"
    assert len(world.first.requests) == calls + 1


@pytest.mark.parametrize("refuses", [bad.refuses_max_tokens, bad.refuses_the_length])
async def test_what_one_provider_refuses_another_may_answer(
    world: World, refuses: bad.Handler
) -> None:
    world.first.behave = refuses

    text, generation = await world.ask(world.table())

    assert (text, generation.provider) == (OUTSIDE, "second")
    assert len(world.first.requests) == 1


async def test_what_all_providers_refuse_is_the_callers_error(world: World) -> None:
    world.first.behave = world.second.behave = bad.refuses

    with pytest.raises(Poison) as refusal:
        await world.ask(world.table())

    assert (refusal.value.code, str(refusal.value)) == (
        "refused_by_engine",
        "first refuses the request",
    )


async def test_a_provider_is_spoken_to_as_it_declares(world: World) -> None:
    world.first.behave = bad.refuses_max_tokens
    first, second = world.releases(
        max_tokens_parameter="max_completion_tokens", omit=frozenset({"temperature"})
    )

    routing = table(Route(first, Role.CHAMPION, 1.0), fallbacks=(second,))
    _, generation = await world.ask(routing)

    assert generation.provider == "first"


async def test_a_fallback_answers_without_what_only_the_release_wants_of_an_engine(
    world: World,
) -> None:
    world.generator.engines.clear()
    _, second = world.releases()
    keen = replace(second, decoding=replace(second.decoding, top_k=40))

    text, _ = await world.ask(table(fallbacks=(keen,)))

    assert text == OUTSIDE
    assert "top_k" not in world.second.requests[0]


async def test_what_the_caller_asks_and_no_provider_can_do_is_refused_by_name(
    world: World,
) -> None:
    with pytest.raises(Poison) as refusal:
        await world.ask(world.table(), ask(top_k=5))

    assert (refusal.value.code, refusal.value.param) == ("refused_by_engine", "top_k")
    assert world.first.requests == world.second.requests == []


async def test_what_the_caller_asks_and_one_provider_cannot_do_the_next_one_does(
    world: World,
) -> None:
    first, second = world.releases(omit=frozenset({"stop"}))
    routing = table(Route(first, Role.CHAMPION, 1.0), fallbacks=(second,))

    _, generation = await world.ask(routing, ask(stop=("END",)))

    assert generation.provider == "second"
    assert world.first.requests == []


async def test_a_fallback_that_refuses_leaves_the_failure_that_will_pass(world: World) -> None:
    world.generator.engines.clear()
    world.second.behave = bad.refuses
    _, second = world.releases()

    with pytest.raises(EngineFailed) as failure:
        await world.ask(table(fallbacks=(second,)))

    assert failure.value.code == "engine_down"


async def test_when_no_engine_is_loaded_the_fallback_answers(world: World) -> None:
    _, second = world.releases()
    away = table(Route(release("away"), Role.CHAMPION, 1.0), fallbacks=(second,))

    text, generation = await world.ask(away)

    assert (text, generation.provider) == (OUTSIDE, "second")


async def test_when_the_engine_dies_the_fallback_answers(world: World) -> None:
    world.generator.engines.clear()
    _, second = world.releases()

    text, generation = await world.ask(table(fallbacks=(second,)))

    assert (text, generation.provider) == (OUTSIDE, "second")


async def test_the_champion_answers_for_a_canary_that_cannot_and_the_failure_is_on_the_log(
    world: World,
) -> None:
    world.generator.engines.discard(CANARY.engine.digest)
    routes = (Route(CHAMPION, Role.CHAMPION, 0.0), Route(CANARY, Role.CANARY, 1.0))

    text, _ = await world.ask(table(*routes))

    assert text == answer_of()
    failed, answered = world.journal.served
    assert (failed.role, failed.error_code) == (ROLE_CANARY, "engine_down")
    assert failed.campaign_id == "campaign-1"
    assert (answered.role, answered.release_digest) == (ROLE_UNSPECIFIED, CHAMPION.digest)
    assert failed.generation_id != answered.generation_id


async def test_the_callers_deadline_ends_the_search(world: World) -> None:
    world.first.behave = world.second.behave = bad.hangs
    generation = await world.answer.begin(world.table(), ask(), 0.1)

    with pytest.raises(EngineFailed) as failure:
        await world.answer.whole(generation, 0.1)

    assert failure.value.code == "deadline"
