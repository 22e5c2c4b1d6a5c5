import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from libs.rpc.client import channel
from protos.inference.v1 import inference_service_pb2 as messages
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.inference.domain.release import Role, Route
from services.inference.domain.serving import Limits, Serving
from services.inference.ports import EngineFailed
from services.inference.rpc import SERVICE, budget_s
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import (
    CHAMPION,
    CONTEXT_CHARACTERS,
    KEY,
    answer_of,
    eventually,
    release,
    table,
)

if TYPE_CHECKING:
    from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceAsyncStub


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


async def test_a_request_above_a_megabyte_is_refused_unread(doors: Doors) -> None:
    large = messages.GenerateRequest(metadata={"a" * 1024 * 1024: ""})

    async with channel(doors.address, "nobody's key") as opened:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await InferenceServiceStub(opened).Generate(large, timeout=5)

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_ends_with_reason_and_usage(stub: "InferenceServiceAsyncStub") -> None:
    chunks = [chunk async for chunk in stub.GenerateStream(request(), timeout=5)]

    assert "".join(chunk.delta for chunk in chunks) == answer_of()
    assert [chunk.finish_reason for chunk in chunks] == [""] * 8 + ["stop"]
    assert chunks[-1].usage.completion_tokens == 8


async def test_an_unknown_key_is_unauthenticated(doors: Doors) -> None:
    async with channel(doors.address, "wrong") as opened:
        stub: InferenceServiceAsyncStub = InferenceServiceStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Generate(messages.GenerateRequest(), timeout=5)

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


async def test_a_developer_speaks_as_the_system(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    asked = request()
    asked.messages.insert(0, messages.Message(role="developer", content="Be brief."))
    roles = "{% for said in messages %}{{ said.role }} {% endfor %}"
    engine = replace(CHAMPION.engine, chat_template=roles)
    doors.routing.set(table(Route(replace(CHAMPION, engine=engine), Role.CHAMPION, 1.0)))

    await stub.Generate(asked, timeout=5)

    assert doors.generator.prompts == ["system user "]


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


async def test_an_application_whose_first_release_is_not_here_yet_is_asked_to_come_again(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    doors.routing.set(table(Route(release("other"), Role.CHAMPION, 1.0)))

    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Generate(request(), timeout=5)

    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    found = details(failure.value)
    assert found["ErrorInfo"].reason == "NO_RELEASE_READY"
    assert found["RetryInfo"].retry_delay.ToMilliseconds() == 1000


@pytest.mark.parametrize(("left", "given"), [(None, None), (0.4, 0.38), (1.0, 0.95), (60, 59.9)])
def test_a_twentieth_of_a_deadline_is_left_for_saying_that_it_passed(
    left: float | None, given: float | None
) -> None:
    assert budget_s(left) == pytest.approx(given)


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


async def test_several_choices_are_told_apart(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    asked = request()
    asked.n, asked.logprobs = 2, True
    answer = await stub.Generate(asked, timeout=5)
    chunks = [chunk async for chunk in stub.GenerateStream(asked, timeout=5)]

    assert [choice.text for choice in answer.choices] == [answer_of(), answer_of()]
    assert answer.generation_id == answer.choices[0].generation_id
    assert [each.logprob for each in answer.choices[1].logprobs] == [-0.5] * 8
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 16)
    assert {chunk.index for chunk in chunks} == {0, 1}
    assert len({chunk.generation_id for chunk in chunks}) == 2
    assert len(doors.events.served) == 4


async def test_every_parameter_reaches_the_engine(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    asked = request()
    asked.top_k, asked.frequency_penalty, asked.presence_penalty = 7, 0.5, -0.5
    asked.response_format.type = "json_schema"
    asked.response_format.json_schema = '{"type": "object", "required": ["card"]}'
    answer = await stub.Generate(asked, timeout=5)

    (wish,) = doors.generator.samplings
    assert (wish.top_k, wish.frequency_penalty, wish.presence_penalty) == (7, 0.5, -0.5)
    assert wish.form is not None
    assert answer.text == '{"card": "lost"}'


async def test_texts_are_embedded(stub: "InferenceServiceAsyncStub") -> None:
    answer = await stub.Embed(messages.EmbedRequest(texts=["one two", "three"]), timeout=5)

    assert [list(row.values) for row in answer.embeddings] == [[7.0, 0.5, -1.0], [5.0, 0.5, -1.0]]
    assert answer.prompt_tokens == 3


async def test_a_status_names_the_field_that_is_wrong(stub: "InferenceServiceAsyncStub") -> None:
    bad = request()
    bad.response_format.type = "json_schema"
    bad.response_format.json_schema = '{"not": {}}'

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Generate(bad, timeout=5)

    found = details(refusal.value)
    violation = found["BadRequest"].field_violations[0]
    assert (violation.field, found["ErrorInfo"].reason) == (
        "response_format.json_schema",
        "UNSUPPORTED_SCHEMA",
    )
    assert "'not' is not supported" in violation.description


@pytest.mark.parametrize("text", ["my card", "x" * 20_000])
async def test_a_status_names_variables_as_this_door_does(
    stub: "InferenceServiceAsyncStub", text: str
) -> None:
    bad = request()
    bad.variables["thing"] = text

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Generate(bad, timeout=5)

    violation = details(refusal.value)["BadRequest"].field_violations[0]
    assert violation.field == "variables.thing"
    assert violation.description.startswith("variables.thing: ")


@pytest.mark.parametrize("characters", [CONTEXT_CHARACTERS + 1, 70_000])
async def test_a_status_says_that_the_context_is_exceeded(
    stub: "InferenceServiceAsyncStub", characters: int
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Generate(request("x" * characters), timeout=5)

    found = details(refusal.value)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert found["ErrorInfo"].reason == "CONTEXT_LENGTH_EXCEEDED"
    assert found["BadRequest"].field_violations[0].field == "messages"


async def test_a_status_says_when_to_come_again(
    doors: Doors, stub: "InferenceServiceAsyncStub"
) -> None:
    doors.generator.failure = EngineFailed("too many", code="engine_busy", after_s=2.5)

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Generate(request(), timeout=5)

    assert details(refusal.value)["RetryInfo"].retry_delay.ToMilliseconds() == 2500


def details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The rich status's details by the names of their messages."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    found = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        found[name] = getattr(error_details_pb2, name)()
        packed.Unpack(found[name])
    return found


async def test_the_services_are_listed_by_reflection(doors: Doors) -> None:
    def listed() -> tuple[list[str], list[str]]:
        with grpc.insecure_channel(doors.address) as plain:
            database = ProtoReflectionDescriptorDatabase(plain)
            pool = DescriptorPool(database)
            service = pool.FindServiceByName(SERVICE)
            return database.get_services(), [method.name for method in service.methods]

    services, methods = await asyncio.to_thread(listed)

    assert SERVICE in services
    assert methods == ["Generate", "GenerateStream", "Embed"]
