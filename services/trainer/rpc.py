"""The operator's door to training runs and engine builds."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import grpc

from protos.training.v1 import training_service_pb2 as messages
from protos.training.v1 import training_service_pb2_grpc as stubs
from services.trainer.handlers import (
    Cancel,
    CancelEngine,
    Get,
    GetEngine,
    ListEngines,
    Submit,
    SubmitEngine,
)
from services.trainer.wire import training

SERVICE: Final = "perennial.training.v1.TrainingService"
WATCH_S: Final = 0.5
"""How often a watched run is looked at."""

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class TrainingServicer:
    submit: Submit
    get: Get
    cancel: Cancel
    submit_engine: SubmitEngine
    get_engine: GetEngine
    cancel_engine: CancelEngine
    list_engines: ListEngines

    def register(self, server: grpc.aio.Server) -> None:
        stubs.add_TrainingServiceServicer_to_server(self, server)  # type: ignore[arg-type]  # by shape

    async def Submit(  # noqa: N802  # the contract's name
        self, request: messages.SubmitRequest, context: Context
    ) -> messages.SubmitResponse:
        job = await asyncio.to_thread(self.submit, request.request)
        return messages.SubmitResponse(run=training.run(job))

    async def Get(  # noqa: N802
        self, request: messages.GetRequest, context: Context
    ) -> messages.Run:
        return training.run(await asyncio.to_thread(self.get, request.run_id))

    async def Watch(  # noqa: N802
        self, request: messages.WatchRequest, context: Context
    ) -> AsyncIterator[messages.Run]:
        """The run now, and whenever it changes, until it has ended."""
        seen: messages.Run | None = None
        while True:
            job = await asyncio.to_thread(self.get, request.run_id)
            run = training.run(job)
            if run != seen:
                yield run
                seen = run
            if job.state.ended:
                return
            await asyncio.sleep(WATCH_S)

    async def Cancel(  # noqa: N802
        self, request: messages.CancelRequest, context: Context
    ) -> messages.Run:
        return training.run(await asyncio.to_thread(self.cancel, request.run_id))

    async def SubmitEngine(  # noqa: N802
        self, request: messages.SubmitEngineRequest, context: Context
    ) -> messages.EngineBuild:
        return await asyncio.to_thread(self.submit_engine, request.request)

    async def GetEngine(  # noqa: N802
        self, request: messages.GetEngineRequest, context: Context
    ) -> messages.EngineBuild:
        return await asyncio.to_thread(self.get_engine, request.build_id)

    async def CancelEngine(  # noqa: N802
        self, request: messages.CancelEngineRequest, context: Context
    ) -> messages.EngineBuild:
        return await asyncio.to_thread(self.cancel_engine, request.build_id)

    async def ListEngines(  # noqa: N802
        self, request: messages.ListEnginesRequest, context: Context
    ) -> messages.ListEnginesResponse:
        found = await asyncio.to_thread(
            self.list_engines, request.application, request.model_digest, request.page_size
        )
        return messages.ListEnginesResponse(engines=found)
