import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY

from libs.runtime.clock import SystemClock
from protos.registry.v1.registry_events_pb2 import ROLE_CANARY, ROLE_CHAMPION
from services.inference.domain.admission import Admission
from services.inference.domain.assignment import Assignment
from services.inference.domain.generation import Delta, Finish, Served
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.release import Role, Route
from services.inference.domain.serving import Limits, Serving
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.choices import Choices
from services.inference.handlers.generation import Generation
from services.inference.handlers.runner import Runner
from services.inference.ports import EngineFailed, Overloaded
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


@dataclass
class World:
    generator: FakeGenerator = field(
        default_factory=lambda: FakeGenerator({CHAMPION.engine.digest, CANARY.engine.digest})
    )
    loaded: LoadedEngines = field(default_factory=LoadedEngines)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    admission: Admission = field(default_factory=lambda: Admission(2))
    mirrored: list[str] = field(default_factory=list)
    suspected: list[str] = field(default_factory=list)
    answer: Answer = field(init=False)

    def __post_init__(self) -> None:
        for digest in self.generator.engines:
            self.loaded.mark(digest, ready=True)
        runner = Runner(
            self.generator, self.loaded, self.journal, SystemClock(), self.suspected.append
        )
        self.answer = Answer(runner, Admit(self.admission, SystemClock()), self._mirror, 30.0)

    def _mirror(self, generation: Generation, served: Served) -> None:
        self.mirrored.append(served.generation_id)


def tokens_counted() -> tuple[float, float]:
    """Input and output of the champion's, ever."""
    name = "perennial_generation_tokens_total"
    found = [
        REGISTRY.get_sample_value(name, {"role": "champion", "token_type": side})
        for side in ("input", "output")
    ]
    return found[0] or 0.0, found[1] or 0.0


@pytest.fixture
def world() -> World:
    return World()


async def test_an_answer_leaves_one_whole_event(world: World) -> None:
    request = ask(episode_id="episode-9", subject="alice", labels={"shop": "7"})
    generation = await world.answer.begin(table(), request)

    text, finish = await world.answer.whole(generation)

    assert (text, finish.reason) == (answer_of(), "stop")
    (event,) = world.journal.served
    assert event.generation_id == generation.id
    assert event.release_digest == CHAMPION.digest
    assert (event.role, event.canary_share, event.campaign_id) == (ROLE_CHAMPION, 0.0, "")
    assert (event.prompt, event.answer) == ("Where is my card?", answer_of())
    assert (event.episode_id, event.subject, event.labels["shop"]) == ("episode-9", "alice", "7")
    assert (event.prompt_tokens, event.completion_tokens) == (4, 8)
    assert event.mean_logprob == -0.5
    assert 0 < event.time_to_first_token_s <= event.latency_s
    assert (event.finish_reason, event.error_code) == ("stop", "")
    assert world.mirrored == [generation.id]


async def test_the_event_is_kept_before_the_last_piece_is_given_out(world: World) -> None:
    generation = await world.answer.begin(table(), ask())

    seen = [
        (isinstance(piece, Finish), len(world.journal.served))
        async for piece in world.answer.stream(generation)
    ]

    assert seen == [(False, 0)] * 8 + [(True, 1)]


async def test_the_tokens_of_an_answer_are_counted(world: World) -> None:
    before = tokens_counted()

    await world.answer.whole(await world.answer.begin(table(), ask()))

    after = tokens_counted()
    assert (after[0] - before[0], after[1] - before[1]) == (4, 8)


async def test_a_canary_answer_names_its_campaign_and_share(world: World) -> None:
    routes = (Route(CHAMPION, Role.CHAMPION, 0.0), Route(CANARY, Role.CANARY, 1.0))

    await world.answer.whole(await world.answer.begin(table(*routes), ask()))

    (event,) = world.journal.served
    assert (event.role, event.canary_share) == (ROLE_CANARY, 1.0)
    assert event.campaign_id == "campaign-1"


async def test_a_canary_in_doubt_leaves_its_share_to_the_champion(world: World) -> None:
    routes = (Route(CHAMPION, Role.CHAMPION, 0.0), Route(CANARY, Role.CANARY, 1.0))
    world.loaded.doubt(CANARY.engine.digest)

    beside_the_champion = await world.answer.begin(table(*routes), ask())
    world.loaded.mark(CHAMPION.engine.digest, ready=False)
    alone = await world.answer.begin(table(*routes), ask())

    assert beside_the_champion.assignment == Assignment(CHAMPION, Role.CHAMPION, 0.0)
    assert alone.assignment == Assignment(CANARY, Role.CANARY, 1.0)


async def test_choices_that_had_to_wait_are_all_of_one_release(world: World) -> None:
    routes = (Route(CHAMPION, Role.CHAMPION, 0.0), Route(CANARY, Role.CANARY, 1.0))
    held = await world.answer.begin(table(), ask())
    begun = asyncio.create_task(Choices.begin(world.answer, table(*routes), ask(), 2))
    await asyncio.sleep(0)

    world.loaded.mark(CANARY.engine.digest, ready=False)
    await world.answer.whole(held)
    choices = await begun

    assert [one.release_digest for one in choices.generations] == [CHAMPION.digest] * 2
    assert len({one.ask.episode_id for one in choices.generations}) == 1
    await choices.whole()
    assert world.admission.under_way == 0


async def test_an_engine_that_breaks_midway_leaves_a_failed_event(world: World) -> None:
    world.generator.failure = EngineFailed("the engine is away", code="engine_down")
    world.generator.fail_after = 3
    generation = await world.answer.begin(table(), ask())

    with pytest.raises(EngineFailed):
        await world.answer.whole(generation)

    (event,) = world.journal.served
    assert (event.finish_reason, event.error_code) == ("error", "engine_down")
    assert event.answer == answer_of(3)
    assert not event.HasField("mean_logprob")
    assert world.suspected == [CHAMPION.engine.digest]
    assert world.mirrored == []


async def test_a_caller_that_closes_the_stream_leaves_a_cancelled_event(world: World) -> None:
    generation = await world.answer.begin(table(), ask())
    async with aclosing(world.answer.stream(generation)) as pieces:
        assert isinstance(await anext(pieces), Delta)

    (event,) = world.journal.served
    assert (event.finish_reason, event.error_code) == ("cancelled", "cancelled")
    assert world.generator.running == 0
    assert world.admission.under_way == 0


async def test_a_cancelled_task_frees_the_engine_and_leaves_an_event(world: World) -> None:
    world.generator.delay_s = 0.05
    task = asyncio.create_task(world.answer.whole(await world.answer.begin(table(), ask())))
    await asyncio.sleep(0.08)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    (event,) = world.journal.served
    assert event.finish_reason == "cancelled"
    assert world.loaded.busy(CHAMPION.engine.digest) == 0


async def test_beyond_the_bounds_requests_wait_and_then_are_refused(world: World) -> None:
    limits = Limits(concurrency=2, queue=1)
    narrow = table(serving=Serving(limits=limits))
    world.generator.delay_s = 0.005
    begun = [await world.answer.begin(narrow, ask()) for _ in range(2)]
    waiting = asyncio.create_task(world.answer.begin(narrow, ask()))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as refusal:
        await world.answer.begin(narrow, ask())

    assert (refusal.value.code, refusal.value.after_s) == ("resource_exhausted", 1.0)
    for generation in begun:
        await world.answer.whole(generation)
    await world.answer.whole(await waiting)
    assert [event.queue_s > 0 for event in world.journal.served] == [False, False, True]
    assert world.admission.under_way == 0


async def test_an_application_without_a_loaded_release_is_told_so(world: World) -> None:
    with pytest.raises(EngineFailed) as refusal:
        await world.answer.begin(table(Route(release("other"), Role.CHAMPION, 1.0)), ask())

    assert (refusal.value.code, refusal.value.after_s) == ("no_release_ready", 1.0)
    assert world.journal.served == []


async def test_a_release_whose_template_fails_is_a_failed_answer(world: World) -> None:
    broken = release("champion", prompt_template="{{ nothing }}")

    with pytest.raises(EngineFailed) as failure:
        await world.answer.whole(
            await world.answer.begin(table(Route(broken, Role.CHAMPION, 1.0)), ask())
        )

    assert failure.value.code == "bad_template"
    assert world.journal.served[0].error_code == "bad_template"
