from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from libs.rpc.client import channel
from libs.rpc.server import Doorkeeper
from protos.common.v1.common_pb2 import ModelVersion
from protos.training.v1 import training_service_pb2 as messages
from protos.training.v1.training_events_pb2 import EngineOrder, EngineRequested
from protos.training.v1.training_service_pb2_grpc import TrainingServiceStub
from services.trainer.handlers import (
    Cancel,
    CancelEngine,
    Get,
    GetEngine,
    ListEngines,
    Submit,
    SubmitEngine,
)
from services.trainer.rpc import TrainingServicer
from tests.unit.services.trainer.fakes import ScriptedJob, Trainer, succeeds
from tests.unit.services.trainer.foundry import Foundry

TOKEN = "an operator's token"


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, ScriptedJob([succeeds]))


@pytest.fixture
async def address(trainer: Trainer) -> AsyncIterator[str]:
    runs = trainer.runs
    server = grpc.aio.server(interceptors=[Doorkeeper(TOKEN)])
    builds, versions = trainer.builds, {"openvino-genai": "2"}
    servicer = TrainingServicer(
        Submit(runs),
        Get(runs),
        Cancel(runs),
        SubmitEngine(builds, versions, Foundry(trainer).benches),
        GetEngine(builds, versions),
        CancelEngine(builds, versions),
        ListEngines(builds, versions),
    )
    servicer.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_a_submitted_run_is_watched_to_its_end(trainer: Trainer, address: str) -> None:
    async with channel(address, TOKEN) as connection:
        stub = TrainingServiceStub(connection)
        answer = await stub.Submit(messages.SubmitRequest(request=trainer.request()))
        await trainer.work()

        seen = [run async for run in stub.Watch(messages.WatchRequest(run_id="run-1"))]

    assert answer.run.state == messages.RUN_STATE_QUEUED
    assert seen[-1].state == messages.RUN_STATE_COMPLETED
    assert seen[-1].application == "bank"


async def test_the_door_is_closed_without_the_token(address: str) -> None:
    async with channel(address, "wrong") as connection:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await TrainingServiceStub(connection).Get(messages.GetRequest(run_id="run-1"))

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_unknown_run_is_not_found(address: str) -> None:
    async with channel(address, TOKEN) as connection:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await TrainingServiceStub(connection).Cancel(messages.CancelRequest(run_id="nobody"))

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_build_is_submitted_from_what_an_earlier_one_was_built_of(
    trainer: Trainer, address: str, tmp_path: Path
) -> None:
    foundry = Foundry(trainer)
    foundry.submit(foundry.request("build-1"))
    await foundry.work()
    again = EngineRequested(
        build_id="build-2",
        application="bank",
        model=ModelVersion(digest=foundry.model.digest),
        order=EngineOrder(precision="f16"),
    )

    async with channel(address, TOKEN) as connection:
        stub = TrainingServiceStub(connection)
        answer = await stub.SubmitEngine(messages.SubmitEngineRequest(request=again))
        await foundry.work()
        listed = await stub.ListEngines(messages.ListEnginesRequest(application="bank"))

    assert answer.state == messages.RUN_STATE_QUEUED
    newest, oldest = listed.engines
    assert (newest.build_id, newest.built.engine.precision) == ("build-2", "f16")
    assert oldest.built.passed
    assert oldest.stale  # built for version 1, and 2 is here
    assert oldest.current_version == "2"


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (EngineOrder(precision="q9"), "q9: only q8_0, f16"),
        (EngineOrder(runtime="tensorrt-llm"), "tensorrt-llm, only openvino-genai"),
    ],
)
async def test_a_build_that_nobody_here_does_is_refused_and_not_kept(
    trainer: Trainer, address: str, order: EngineOrder, told: str
) -> None:
    request = Foundry(trainer).request("build-1")
    request.order.CopyFrom(order)

    async with channel(address, TOKEN) as connection:
        stub = TrainingServiceStub(connection)
        with pytest.raises(grpc.aio.AioRpcError, match=told) as refused:
            await stub.SubmitEngine(messages.SubmitEngineRequest(request=request))
        listed = await stub.ListEngines(messages.ListEnginesRequest(application="bank"))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not listed.engines


async def test_a_build_of_a_model_that_nobody_knows_is_refused(address: str) -> None:
    request = EngineRequested(
        build_id="build-1", application="bank", model=ModelVersion(digest="a" * 64)
    )
    async with channel(address, TOKEN) as connection:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await TrainingServiceStub(connection).SubmitEngine(
                messages.SubmitEngineRequest(request=request)
            )

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
