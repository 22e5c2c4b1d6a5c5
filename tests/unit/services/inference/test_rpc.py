from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from libs.rpc.client import channel
from protos.inference.v1 import inference_service_pb2 as messages
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.inference.domain.serving import Limits, Serving
from services.inference.ports import EngineFailed
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import CHAMPION, KEY, answer_of, eventually, table

if TYPE_CHECKING:
    from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceAsyncStub


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with Doors().open() as opened:
        yield opened


@pytest.fixture
async def stub(doors: Doors) -> AsyncIterator["InferenceServiceAsyncStub"]:
    async with channel(doors.address, KEY) as opened:
        yield InferenceServiceStub(opened)


def request(text: str = "Where is my card?") -> messages.GenerateRequest:
    return messages.GenerateRequest(messages=[messages.Message(role="user", content=text)])


async def test_a_request_is_answered(doors: Doors, stub: "InferenceServiceAsyncStub") -> None:
    answer = await stub.Generate(request(), timeout=5)

    assert answer.text == answer_of()
    assert (answer.finish_reason, answer.release_digest) == ("stop", CHAMPION.digest)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 8)
    assert [event.generation_id for event in doors.events.served] == [answer.generation_id]


async def test_a_stream_ends_with_reason_and_usage(stub: "InferenceServiceAsyncStub") -> None:
    chunks = [chunk async for chunk in stub.GenerateStream(request(), timeout=5)]

    assert "".join(chunk.delta for chunk in chunks) == answer_of()
    assert [chunk.finish_reason for chunk in chunks] == [""] * 8 + ["stop"]
    assert chunks[-1].usage.completion_tokens == 8


async def test_an_unknown_key_is_unauthenticated(doors: Doors) -> None:
    async with channel(doors.address, "wrong") as opened:
        stub: InferenceServiceAsyncStub = InferenceServiceStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Generate(request(), timeout=5)

    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "bad",
    [
        messages.GenerateRequest(),
        messages.GenerateRequest(messages=[messages.Message(role="pilot", content="x")]),
        request("x" * 70_000),
        messages.GenerateRequest(messages=request().messages, temperature=float("nan")),
        messages.GenerateRequest(messages=request().messages, max_tokens=0),
        messages.GenerateRequest(messages=request().messages, seed=2**64 - 1),
        messages.GenerateRequest(messages=request().messages, episode_id="x" * 200),
        messages.GenerateRequest(
            messages=request().messages, metadata={str(n): "x" for n in range(17)}
        ),
    ],
)
async def test_a_bad_request_is_an_invalid_argument(
    stub: "InferenceServiceAsyncStub", bad: messages.GenerateRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Generate(bad, timeout=5)

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_too_many_requests_are_exhausted(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    doors.admission.most = 0
    doors.routing.set(table(serving=Serving(Limits(queue=0))))

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Generate(request(), timeout=5)

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_engine_that_is_away_is_unavailable(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")

    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Generate(request(), timeout=5)

    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_callers_deadline_is_the_engines(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    doors.generator.delay_s = 1.0

    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Generate(request(), timeout=0.4)

    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: len(doors.events.served) == 1, "the event of the failed answer")
    assert doors.events.served[0].error_code in {"deadline", "cancelled"}
    assert doors.generator.running == 0


async def test_a_stream_that_the_client_cancels_frees_the_engine(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    doors.generator.delay_s = 0.1
    call = stub.GenerateStream(request(), timeout=5)
    await call.read()

    call.cancel()

    await eventually(lambda: len(doors.events.served) == 1, "the event of the cancelled answer")
    assert doors.events.served[0].finish_reason == "cancelled"
    assert doors.generator.running == 0
