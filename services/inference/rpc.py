"""The gRPC door: `perennial.inference.v1.InferenceService`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc

from libs.rpc import auth
from libs.runtime import tracing
from protos.inference.v1 import inference_service_pb2 as messages
from protos.inference.v1 import inference_service_pb2_grpc as services
from services.inference.domain.generation import Finish
from services.inference.domain.release import Table
from services.inference.handlers.answer import Answer
from services.inference.handlers.choices import Choices
from services.inference.handlers.embed import Embed
from services.inference.handlers.generation import Generation
from services.inference.ports import EngineFailed, Routing
from services.inference.wire import messages as wire
from services.inference.wire.embeddings import checked_texts
from services.inference.wire.spans import in_trace

SERVICE: Final = messages.DESCRIPTOR.services_by_name["InferenceService"].full_name
RETURN_MARGIN_S: Final = 0.1
RETURN_SHARE: Final = 0.05
"""Left of the caller's deadline for saying that it has passed: the smaller of both."""


@dataclass(frozen=True, slots=True)
class InferenceRpc(services.InferenceServiceServicer):
    routing: Routing
    answer: Answer
    embed: Embed

    def register(self, server: grpc.aio.Server) -> None:
        services.add_InferenceServiceServicer_to_server(self, server)

    async def Generate(  # noqa: N802
        self, request: messages.GenerateRequest, context: Any
    ) -> messages.GenerateResponse:
        wanted = wire.wanted(request)
        try:
            choices = await self._begin(wanted, context)
            answers = await choices.whole(budget_s(context.time_remaining()))
        except EngineFailed as failure:
            _give_up(failure)
        _say_who(choices.first, context)
        return wire.response(choices.first.release_digest, answers, detailed=wanted.detailed)

    async def GenerateStream(  # noqa: N802
        self, request: messages.GenerateRequest, context: Any
    ) -> AsyncGenerator[messages.GenerateChunk, None]:
        wanted = wire.wanted(request)
        try:
            choices = await self._begin(wanted, context)
            async with aclosing(choices.stream(budget_s(context.time_remaining()))) as pieces:
                async for index, piece in pieces:
                    made = choices.generations[index]
                    if isinstance(piece, Finish):
                        _say_who(choices.first, context)
                    yield wire.chunk(made.id, made.release_digest, index, piece)
        except EngineFailed as failure:
            _give_up(failure)

    async def Embed(  # noqa: N802
        self, request: messages.EmbedRequest, context: Any
    ) -> messages.EmbedResponse:
        table, texts = self._table(context), checked_texts("texts", tuple(request.texts))
        try:
            left_s = budget_s(context.time_remaining())
            rows, tokens = await self.embed(table, texts, left_s)
        except EngineFailed as failure:
            _give_up(failure)
        embeddings = [messages.Embedding(values=row.tolist()) for row in rows]
        return messages.EmbedResponse(embeddings=embeddings, prompt_tokens=tokens)

    async def _begin(self, wanted: wire.Wanted, context: Any) -> Choices:
        table = self._table(context)
        ask = in_trace(wanted.ask, dict(tracing.outgoing()).get("traceparent"))
        return await Choices.begin(
            self.answer, table, ask, wanted.n, budget_s(context.time_remaining())
        )

    def _table(self, context: Any) -> Table:
        key = auth.bearer(context.invocation_metadata())
        table = self.routing.find(auth.digest(key)) if key else None
        if table is None:
            raise auth.no_application(key)
        return table


def _say_who(generation: Generation, context: Any) -> None:
    if generation.provider:
        context.set_trailing_metadata((("x-perennial-provider", generation.provider),))


def budget_s(left_s: float | None) -> float | None:
    """Of a caller's time for its answer; None for no deadline."""
    if left_s is None:
        return None
    return max(left_s - min(RETURN_MARGIN_S, RETURN_SHARE * left_s), 0.001)


def _give_up(failure: EngineFailed) -> NoReturn:
    if failure.code == "deadline":
        raise TimeoutError(str(failure)) from failure
    raise failure
