"""The OpenAI door, through the `openai` client and through plain HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from services.inference.domain.serving import Limits, Serving
from services.inference.ports import EngineFailed
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import CHAMPION, KEY, answer_of, eventually, table

MESSAGES: list[Any] = [{"role": "user", "content": "Where is my card?"}]


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with Doors().open() as opened:
        yield opened


@pytest.fixture
async def client(doors: Doors) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=doors.url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def plain(doors: Doors) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=doors.url, headers=headers) as made:
        yield made


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
    assert len({chunk.id for chunk in chunks}) == 1


async def test_without_being_asked_a_stream_tells_no_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    chunks = [chunk async for chunk in stream]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_a_stream_that_breaks_raises_in_the_client(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")
    doors.generator.fail_after = 2
    stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    with pytest.raises(openai.APIError, match="the engine is away"):
        _ = [chunk async for chunk in stream]

    assert doors.events.served[0].error_code == "engine_down"


async def test_the_models_of_a_key_are_its_application(client: openai.AsyncOpenAI) -> None:
    listed = await client.models.list()

    assert [model.id for model in listed.data] == ["support"]
    assert (await client.models.retrieve("support")).id == "support"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4")


async def test_a_foreign_model_is_not_found(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        await client.chat.completions.create(model="gpt-4", messages=MESSAGES)

    assert refusal.value.code == "model_not_found"


async def test_a_wrong_key_is_refused(doors: Doors) -> None:
    async with openai.AsyncOpenAI(base_url=doors.url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="support", messages=MESSAGES)


async def test_no_key_is_refused(doors: Doors) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{doors.url}/chat/completions", json={})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True, "top_logprobs": 2}, "top_logprobs"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"frequency_penalty": 2.5}, "frequency_penalty"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"logit_bias": {"50": 100}}, "logit_bias"),
        ({"extra_body": {"top_k": -1}}, "top_k"),
        ({"extra_body": {"best_of": 3}}, "best_of"),
        ({"extra_body": {"best": 3}}, "best"),
        ({"metadata": {"retrieval_score": "high"}}, "metadata.retrieval_score"),
        ({"metadata": {"guard_verdict": "maybe"}}, "metadata.guard_verdict"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x" * 70_000}]}, "messages"),
        ({"messages": MESSAGES * 65}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(
    client: openai.AsyncOpenAI, parameters: dict[str, Any], param: str
) -> None:
    wanted: dict[str, Any] = {"model": "support", "messages": MESSAGES} | parameters

    with pytest.raises(openai.BadRequestError) as refusal:
        await client.chat.completions.create(**wanted)

    assert refusal.value.param == param


async def test_parameters_that_ask_for_nothing_are_taken(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="support",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
        n=1,
        logprobs=False,
        response_format={"type": "text"},
        presence_penalty=0,
        max_completion_tokens=3,
    )

    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"model": 7, "messages": "hi"}', 400),
        (b'{"model":"support","messages":[{"role":"user","content":"\\ud800"}]}', 400),
        (b'{"a":' * 100_000, 400),
        (b'"' + b"x" * 2_000_000 + b'"', 413),
        (b"\xff\xfe", 400),
        (b'{"model":"support","temperature":NaN,"messages":[{"role":"user","content":"x"}]}', 400),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    plain: httpx.AsyncClient, body: bytes, status: int
) -> None:
    answer = await plain.post("/chat/completions", content=body)

    assert answer.status_code == status
    assert (await plain.get("/models")).status_code == 200


async def test_a_body_that_grows_too_long_while_it_is_sent_is_refused(
    plain: httpx.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    answer = await plain.post("/chat/completions", content=endless())

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


async def test_too_many_requests_are_told_when_to_come_again(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.admission.most = 0
    doors.routing.set(table(serving=Serving(Limits(queue=0))))

    answer = await plain.post("/chat/completions", json={"model": "support", "messages": MESSAGES})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["type"] == "rate_limit_error"


async def test_an_application_that_is_not_loaded_is_unavailable(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.loaded.mark(CHAMPION.engine.digest, ready=False)

    answer = await plain.post("/chat/completions", json={"model": "support", "messages": MESSAGES})

    assert answer.status_code == 503


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
