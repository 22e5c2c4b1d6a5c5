"""Serving policies as a caller meets them, at both doors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import httpx
import openai
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.runtime.clock import SystemClock
from protos.inference.v1 import inference_service_pb2 as rpc
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.inference.adapters import openai_api
from services.inference.adapters.keys import Keys
from services.inference.domain.admission import Admission
from services.inference.domain.cache import Cache
from services.inference.domain.release import Table
from services.inference.domain.serving import Caching, Limits, Serving
from services.inference.handlers.external import External
from tests.unit.services.inference.doors import MESSAGES, Doors
from tests.unit.services.inference.fakes import (
    KEY,
    FakeGenerator,
    MemoryRouting,
    answer_of,
    eventually,
    release,
    table,
)
from tests.unit.services.inference.provider import LocalProvider

REQUEST = rpc.GenerateRequest(messages=[rpc.Message(role="user", content="Where is my card?")])
METADATA = (("authorization", f"Bearer {KEY}"),)


@asynccontextmanager
async def falling_back() -> AsyncIterator[Doors]:
    """The engine is gone; an external provider stands in."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(openai_api.client())
        server = await stack.enter_async_context(LocalProvider().open())
        plain = release("outside", digest="f" * 64)
        outside = replace(plain, engine=replace(plain.engine, provider=server.provider))
        providers = openai_api.OpenAiProviders(http, Keys({"outside": ""}))
        doors = Doors(
            generator=FakeGenerator(),
            routing=MemoryRouting([table(fallbacks=(outside,))]),
            external=External(providers, SystemClock()),
        )
        yield await stack.enter_async_context(doors.open())


@asynccontextmanager
async def client_of(doors: Doors) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=doors.url, api_key=KEY, max_retries=0) as made:
        yield made


@asynccontextmanager
async def stub_of(doors: Doors) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(doors.address) as channel:
        yield InferenceServiceStub(channel)


async def test_an_answer_says_which_provider_stood_in() -> None:
    async with falling_back() as doors, client_of(doors) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="support", messages=MESSAGES
        )
        answer = raw.parse()

    assert answer.choices[0].message.content == "Hello from outside"
    assert raw.headers["x-perennial-provider"] == "outside"
    assert raw.headers["x-perennial-release"] == "f" * 64
    assert answer.system_fingerprint == "f" * 16


async def test_a_stream_says_it_as_well() -> None:
    async with falling_back() as doors, client_of(doors) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="support", messages=MESSAGES, stream=True
        )
        chunks = [chunk async for chunk in raw.parse()]

    assert raw.headers["x-perennial-provider"] == "outside"
    assert {chunk.system_fingerprint for chunk in chunks} == {"f" * 16}


async def test_over_grpc_it_is_in_the_trailing_metadata() -> None:
    async with falling_back() as doors, stub_of(doors) as stub:
        whole = stub.Generate(REQUEST, metadata=METADATA)
        answer = await whole
        stream = stub.GenerateStream(REQUEST, metadata=METADATA)
        chunks = [chunk async for chunk in stream]
        trailers = [dict(await call.trailing_metadata()) for call in (whole, stream)]

    assert [one["x-perennial-provider"] for one in trailers] == ["outside", "outside"]
    assert answer.release_digest == chunks[-1].release_digest == "f" * 64


def narrow() -> Table:
    return table(serving=Serving(limits=Limits(concurrency=1, queue=1)))


async def test_too_many_requests_are_told_when_to_come_again_at_both_doors() -> None:
    doors = Doors(routing=MemoryRouting([narrow()]), admission=Admission(4))
    async with doors.open(), client_of(doors) as client, stub_of(doors) as stub:
        doors.generator.delay_s = 0.05
        begun = [
            asyncio.create_task(client.chat.completions.create(model="support", messages=MESSAGES))
            for _ in range(2)
        ]
        await eventually(
            lambda: (doors.admission.under_way, doors.admission.waiting()) == (1, 1), "all full"
        )

        with pytest.raises(openai.RateLimitError) as refusal:
            await client.chat.completions.create(model="support", messages=MESSAGES)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(REQUEST, metadata=METADATA)
        await asyncio.gather(*begun)

    assert int(refusal.value.response.headers["retry-after"]) >= 1
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(refused.value)
    kinds = [detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details]
    assert any(kinds)


async def test_a_deadline_that_passes_in_the_queue_is_a_deadline() -> None:
    doors = Doors(routing=MemoryRouting([narrow()]))
    async with doors.open(), client_of(doors) as client, stub_of(doors) as stub:
        doors.generator.delay_s = 0.1
        first = asyncio.create_task(
            client.chat.completions.create(model="support", messages=MESSAGES)
        )
        await eventually(lambda: doors.admission.under_way == 1, "the first under way")

        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(REQUEST, metadata=METADATA, timeout=0.2)
        await first

    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_caller_that_hangs_up_in_the_queue_frees_its_place() -> None:
    doors = Doors(routing=MemoryRouting([narrow()]))
    async with doors.open(), client_of(doors) as client:
        doors.generator.delay_s = 0.05
        first = asyncio.create_task(
            client.chat.completions.create(model="support", messages=MESSAGES)
        )
        await eventually(lambda: doors.admission.under_way == 1, "the first under way")
        with pytest.raises(httpx.ReadTimeout):
            async with httpx.AsyncClient(timeout=0.05) as impatient:
                await impatient.post(
                    f"{doors.url}/chat/completions",
                    json={"model": "support", "messages": MESSAGES},
                    headers={"authorization": f"Bearer {KEY}"},
                )
        await first
        await eventually(
            lambda: (doors.admission.under_way, doors.admission.waiting()) == (0, 0), "all free"
        )


async def test_a_kept_answer_is_given_again_whole_or_as_a_stream() -> None:
    serving = Serving(caching=Caching(enabled=True))
    doors = Doors(routing=MemoryRouting([table(serving=serving)]), cache=Cache(10**6))
    async with doors.open(), client_of(doors) as client:
        for stream in (False, False, True):
            told: Any = await client.chat.completions.create(
                model="support", messages=MESSAGES, temperature=0, stream=stream
            )
            if not stream:
                assert told.choices[0].message.content == answer_of()
                continue
            chunks = [chunk async for chunk in told]
            deltas = [chunk.choices[0].delta.content or "" for chunk in chunks]
            assert "".join(deltas) == answer_of()

    assert [event.cached for event in doors.events.served] == [False, True, True]
    assert len({event.generation_id for event in doors.events.served}) == 3
    assert len(doors.generator.prompts) == 1


async def test_without_the_policy_nothing_is_kept() -> None:
    doors = Doors(cache=Cache(10**6))
    async with doors.open(), client_of(doors) as client:
        for _ in range(2):
            await client.chat.completions.create(model="support", messages=MESSAGES, temperature=0)

    assert len(doors.generator.prompts) == 2


async def test_embeddings_take_places_and_tokens_as_answers_do() -> None:
    limits = Limits(concurrency=1, queue=1, tokens_per_s=1.0, burst_tokens=2.0)
    doors = Doors(routing=MemoryRouting([table(serving=Serving(limits))]))
    doors.embedder.held = asyncio.Event()
    async with doors.open(), client_of(doors) as client, stub_of(doors) as stub:
        whole = rpc.EmbedRequest(texts=["word " * 100])
        first = asyncio.create_task(client.embeddings.create(model="support", input=["one two"]))
        await eventually(lambda: doors.embedder.running == 1, "the first under way")
        second = asyncio.ensure_future(stub.Embed(whole, metadata=METADATA))
        await eventually(lambda: doors.admission.waiting() == 1, "the second in the queue")

        with pytest.raises(openai.RateLimitError):
            await client.embeddings.create(model="support", input="one")
        doors.embedder.held.set()
        await first
        await second
        with pytest.raises(openai.RateLimitError) as spent:
            await client.chat.completions.create(model="support", messages=MESSAGES)

    assert "token_rate" in str(spent.value)
    assert doors.admission.under_way == 0


async def test_a_client_that_leaves_its_embedding_frees_its_place() -> None:
    doors = Doors()
    doors.embedder.held = asyncio.Event()
    async with doors.open():
        with pytest.raises(httpx.ReadTimeout):
            async with httpx.AsyncClient(timeout=httpx.Timeout(10.0, read=0.1)) as impatient:
                await impatient.post(
                    f"{doors.url}/embeddings",
                    json={"model": "support", "input": "one two"},
                    headers={"authorization": f"Bearer {KEY}"},
                )

        await eventually(
            lambda: (doors.embedder.running, doors.admission.under_way) == (0, 0), "all free"
        )


def few(concurrency: int) -> Doors:
    limits = Limits(concurrency=concurrency, queue=8)
    return Doors(routing=MemoryRouting([table(serving=Serving(limits))]))


async def test_more_choices_than_places_are_refused_at_once_by_name() -> None:
    doors = few(2)
    async with doors.open(), client_of(doors) as client:
        with pytest.raises(openai.BadRequestError) as refusal:
            await client.chat.completions.create(model="support", messages=MESSAGES, n=3)

    assert (refusal.value.param, doors.admission.under_way) == ("n", 0)


async def test_requests_for_several_choices_are_answered_in_turn() -> None:
    doors = few(3)
    async with doors.open(), client_of(doors) as client:
        doors.generator.delay_s = 0.001
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="support", messages=MESSAGES, n=n)
                for n in (3, 2, 3, 1, 2)
            )
        )

    assert [len(answer.choices) for answer in answers] == [3, 2, 3, 1, 2]
    assert doors.admission.under_way == 0


async def test_above_its_bound_of_connections_the_door_says_when_to_come_again() -> None:
    doors = Doors(connections=1)
    async with doors.open(), client_of(doors) as first, client_of(doors) as second:
        await first.models.list()

        with pytest.raises(openai.InternalServerError) as refusal:
            await second.models.list()

    assert refusal.value.status_code == 503
    assert refusal.value.response.headers["retry-after"] == "1"
    assert (refusal.value.type, refusal.value.code) == ("server_error", "unavailable")
