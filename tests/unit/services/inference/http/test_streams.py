"""Streams of the OpenAI door."""

import json

import httpx
import openai
import pytest

from services.inference.ports import EngineFailed
from tests.unit.services.inference.doors import MESSAGES, Doors
from tests.unit.services.inference.fakes import answer_of, eventually


async def test_a_stream_gives_deltas_a_reason_and_the_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="support", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    deltas = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(deltas) == answer_of()
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12
    assert all(chunk.to_dict()["usage"] is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_without_being_asked_a_stream_tells_no_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    chunks = [chunk async for chunk in stream]
    assert all("usage" not in chunk.to_dict() and chunk.choices for chunk in chunks)


async def test_a_stream_that_breaks_raises_in_the_client(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")
    doors.generator.fail_after = 2
    stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    with pytest.raises(openai.APIError, match="the engine is away"):
        _ = [chunk async for chunk in stream]

    assert doors.events.served[0].error_code == "engine_down"


async def test_several_choices_stream_side_by_side(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="support",
        messages=MESSAGES,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )

    texts, ends = {0: "", 1: ""}, {}
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends[choice.index] = choice.finish_reason
    assert texts == {0: answer_of(), 1: answer_of()}
    assert ends == {0: "stop", 1: "stop"}
    assert chunk.usage is not None
    assert chunk.usage.completion_tokens == 16


async def test_what_fails_before_the_first_token_of_a_stream_is_an_error_status(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")

    with pytest.raises(openai.InternalServerError) as failure:
        await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    assert failure.value.status_code == 503


async def test_a_client_that_leaves_a_stream_frees_the_engine(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.generator.delay_s = 0.2
    body = {"model": "support", "messages": MESSAGES, "stream": True}

    async with plain.stream("POST", "/chat/completions", json=body) as answer:
        await anext(answer.aiter_bytes())

    await eventually(lambda: len(doors.events.served) == 1, "the event of the cancelled answer")
    assert doors.events.served[0].finish_reason == "cancelled"
    assert doors.generator.running == 0


async def test_a_stream_ends_with_done(plain: httpx.AsyncClient) -> None:
    body = {"model": "support", "messages": MESSAGES, "stream": True}

    answer = await plain.post("/chat/completions", json=body)

    lines = [line for line in answer.text.split("\n\n") if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in lines[:-1])
