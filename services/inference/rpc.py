"""The gRPC door: `perennial.inference.v1.InferenceService`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc

from libs.faults import UNAUTHENTICATED, Poison
from libs.rpc import auth
from protos.inference.v1 import inference_service_pb2 as messages
from protos.inference.v1 import inference_service_pb2_grpc as services
from services.inference.domain.release import Table
from services.inference.handlers.answer import Answer
from services.inference.handlers.generation import Generation
from services.inference.ports import EngineFailed, Routing
from services.inference.wire import messages as wire

SERVICE: Final = messages.DESCRIPTOR.services_by_name["InferenceService"].full_name
RETURN_MARGIN_S: Final = 0.1
"""Left of the caller's deadline for saying that it has passed."""


@dataclass(frozen=True, slots=True)
class InferenceRpc(services.InferenceServiceServicer):
    routing: Routing
    answer: Answer

    def register(self, server: grpc.aio.Server) -> None:
        services.add_InferenceServiceServicer_to_server(self, server)

    async def Generate(  # noqa: N802
        self, request: messages.GenerateRequest, context: Any
    ) -> messages.GenerateResponse:
        table = self._table(context)
        generation = await self._begin(table, request, context)
        try:
            text, finish = await self.answer.whole(generation, _budget_s(context))
        except EngineFailed as failure:
            _give_up(failure)
        return wire.response(generation.id, generation.release_digest, text, finish)

    async def GenerateStream(  # noqa: N802
        self, request: messages.GenerateRequest, context: Any
    ) -> AsyncGenerator[messages.GenerateChunk, None]:
        table = self._table(context)
        generation = await self._begin(table, request, context)
        pieces = self.answer.stream(generation, _budget_s(context))
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    yield wire.chunk(generation.id, generation.release_digest, piece)
        except EngineFailed as failure:
            _give_up(failure)

    async def _begin(
        self, table: Table, request: messages.GenerateRequest, context: Any
    ) -> Generation:
        try:
            return await self.answer.begin(table, wire.ask(request), _budget_s(context))
        except EngineFailed as failure:
            _give_up(failure)

    def _table(self, context: Any) -> Table:
        key = auth.bearer(context.invocation_metadata())
        table = self.routing.find(auth.digest(key)) if key else None
        if table is None:
            raise Poison(
                "send an application's key: authorization: Bearer KEY", code=UNAUTHENTICATED
            )
        return table


def _budget_s(context: Any) -> float | None:
    left_s = context.time_remaining()
    return None if left_s is None else max(left_s - RETURN_MARGIN_S, 0.001)


def _give_up(failure: EngineFailed) -> NoReturn:
    if failure.code == "deadline":
        raise TimeoutError(str(failure)) from failure
    raise failure
