"""The gRPC door: `perennial.inference.v1.InferenceService`."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc

from libs.faults import Poison
from libs.rpc import auth
from libs.runtime import tracing
from protos.inference.v1 import inference_service_pb2 as messages
from protos.inference.v1 import inference_service_pb2_grpc as services
from services.inference.domain.generation import Ask, Finish
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
FIELDS: Final = {"prompt_variables": "variables", "input[": "texts["}
"""What the HTTP door calls otherwise."""


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
        with _told():
            table, wanted = self._table(context), wire.wanted(request)
            choices = await self._begin(table, wanted.ask, wanted.n, context)
            answers = await choices.whole(budget_s(context.time_remaining()))
        _say_who(choices.first, context)
        return wire.response(choices.first.release_digest, answers, detailed=wanted.detailed)

    async def GenerateStream(  # noqa: N802
        self, request: messages.GenerateRequest, context: Any
    ) -> AsyncGenerator[messages.GenerateChunk, None]:
        with _told():
            table, wanted = self._table(context), wire.wanted(request)
            choices = await self._begin(table, wanted.ask, wanted.n, context)
            async with aclosing(choices.stream(budget_s(context.time_remaining()))) as pieces:
                async for index, piece in pieces:
                    made = choices.generations[index]
                    if isinstance(piece, Finish):
                        _say_who(choices.first, context)
                    yield wire.chunk(made.id, made.release_digest, index, piece)

    async def Embed(  # noqa: N802
        self, request: messages.EmbedRequest, context: Any
    ) -> messages.EmbedResponse:
        with _told():
            table, texts = self._table(context), checked_texts("texts", tuple(request.texts))
            rows, tokens = await self.embed(table, texts, budget_s(context.time_remaining()))
        embeddings = [messages.Embedding(values=row.tolist()) for row in rows]
        return messages.EmbedResponse(embeddings=embeddings, prompt_tokens=tokens)

    async def _begin(self, table: Table, ask: Ask, n: int, context: Any) -> Choices:
        ask = in_trace(ask, dict(tracing.outgoing()).get("traceparent"))
        return await Choices.begin(self.answer, table, ask, n, budget_s(context.time_remaining()))

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


@contextmanager
def _told() -> Iterator[None]:
    """Refusals name the fields of this door."""
    try:
        yield
    except EngineFailed as failure:
        if failure.code == "deadline":
            raise TimeoutError(str(failure)) from failure
        raise
    except Poison as refusal:
        for over_http, field in FIELDS.items():
            if refusal.param.startswith(over_http):
                refusal.param = refusal.param.replace(over_http, field, 1)
                refusal.args = (str(refusal).replace(over_http, field, 1),)
        raise
