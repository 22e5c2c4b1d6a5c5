"""Chat completions of the OpenAI door, through the `openai` client and through plain HTTP."""

import httpx
import openai
import pytest

from services.inference.ports import EngineFailed
from tests.unit.services.inference.doors import MESSAGES, Doors
from tests.unit.services.inference.fakes import CHAMPION, answer_of, eventually


async def test_a_completion_is_answered(doors: Doors, client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="support",
        messages=MESSAGES,
        temperature=0,
        max_tokens=20,
        seed=3,
        stop=["END"],
        user="alice",
        metadata={"episode_id": "episode-1", "shop": "7"},
    )
    answer = raw.parse()

    (event,) = doors.events.served
    assert answer.choices[0].message.content == answer_of()
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 8)
    assert (answer.model, answer.system_fingerprint) == ("support", CHAMPION.digest[:16])
    assert answer.id == event.generation_id == raw.headers["x-perennial-generation-id"]
    assert raw.headers["x-perennial-release"] == CHAMPION.digest
    assert (event.episode_id, event.subject) == ("episode-1", "alice")
    assert dict(event.labels) == {"shop": "7"}
    assert doors.generator.samplings[0].stop == ("END",)


async def test_the_models_of_a_key_are_its_application(client: openai.AsyncOpenAI) -> None:
    listed = await client.models.list()

    assert [model.id for model in listed.data] == ["support"]
    assert (await client.models.retrieve("support")).id == "support"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4")


async def test_several_choices_are_generations_of_one_episode_and_one_release(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    answer = await client.chat.completions.create(model="support", messages=MESSAGES, n=3, seed=5)

    ids = [(choice.model_extra or {})["generation_id"] for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(choice.message.content == answer_of() for choice in answer.choices)
    assert sorted(ids) == sorted(event.generation_id for event in doors.events.served)
    assert len({event.episode_id for event in doors.events.served}) == 1
    assert sorted(each.seed for each in doors.generator.samplings) == [5, 6, 7]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 24)


async def test_one_choice_that_fails_cancels_the_others(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")
    doors.generator.fail_after = 2

    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="support", messages=MESSAGES, n=3)

    await eventually(lambda: len(doors.events.served) == 3, "an event of every choice")
    assert doors.generator.running == 0


async def test_a_client_that_leaves_frees_the_engine(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.generator.delay_s = 0.2
    body = {"model": "support", "messages": MESSAGES}

    with pytest.raises(httpx.ReadTimeout):
        await plain.post("/chat/completions", json=body, timeout=0.3)

    await eventually(lambda: len(doors.events.served) == 1, "the event of the cancelled answer")
    assert doors.events.served[0].finish_reason == "cancelled"
    assert doors.generator.running == 0
