"""The OpenAI-compatible door: /v1/chat/completions and /v1/models."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from libs.faults import NOT_FOUND, UNAUTHENTICATED, Poison, Retryable
from libs.http.app import make_app, status_for
from libs.rpc import auth
from services.inference.domain.generation import Finish
from services.inference.domain.release import Table
from services.inference.handlers.answer import Answer, Generation
from services.inference.ports import EngineFailed, Routing
from services.inference.wire import openai
from services.inference.wire.ask import BadParameter

log = structlog.get_logger()

MAX_BODY_BYTES: Final = 1024 * 1024
CLIENT_GONE: Final = 499
NOT_LOADED: Final = 503
KINDS: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


@dataclass(frozen=True, slots=True)
class OpenAiHttp:
    routing: Routing
    answer: Answer

    def app(self) -> FastAPI:
        app = make_app("Perennial inference", MAX_BODY_BYTES)
        app.add_exception_handler(Poison, _fault)
        app.add_exception_handler(Retryable, _fault)
        app.add_exception_handler(Exception, _bug)
        app.add_route("/v1/chat/completions", self.chat, methods=["POST"])
        app.add_route("/v1/models", self.models, methods=["GET"])
        app.add_route("/v1/models/{model}", self.model, methods=["GET"])
        return app

    async def chat(self, request: Request) -> Response:
        table = self._table(request)
        chat = openai.chat(await request.body())
        _insist_on(table, chat.model)
        generation = self.answer.begin(table, chat.ask)
        answers = openai.Answers(
            generation.id, table.application, generation.release_digest, int(time.time())
        )
        headers = {
            "x-perennial-generation-id": generation.id,
            "x-perennial-release": generation.release_digest,
        }
        if chat.stream:
            chunks = self._chunks(generation, answers, include_usage=chat.include_usage)
            return StreamingResponse(chunks, headers=headers, media_type="text/event-stream")
        whole = await self._whole_unless_gone(request, generation)
        if whole is None:
            return Response(status_code=CLIENT_GONE)
        return Response(answers.completion(*whole), 200, headers, "application/json")

    async def models(self, request: Request) -> Response:
        table = self._table(request)
        return JSONResponse({"object": "list", "data": [openai.model(table.application)]})

    async def model(self, request: Request) -> Response:
        table = self._table(request)
        _insist_on(table, request.path_params["model"])
        return JSONResponse(openai.model(table.application))

    def _table(self, request: Request) -> Table:
        key = auth.from_header(request.headers.get("authorization"))
        table = self.routing.find(auth.digest(key)) if key else None
        if table is None:
            raise Poison(
                "send an application's key: authorization: Bearer KEY", code=UNAUTHENTICATED
            )
        return table

    async def _chunks(
        self, generation: Generation, answers: openai.Answers, *, include_usage: bool
    ) -> AsyncGenerator[bytes, None]:
        opening = answers.opening()
        pieces = self.answer.stream(generation)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    yield opening + answers.chunk(piece)
                    opening = b""
                    if include_usage and isinstance(piece, Finish):
                        yield answers.usage(piece)
        except (Poison, Retryable) as fault:
            yield openai.error_event(_body(fault))
            return
        yield openai.DONE

    async def _whole_unless_gone(
        self, request: Request, generation: Generation
    ) -> tuple[str, Finish] | None:
        """The answer; None when the client left, which frees the engine at once."""
        work = asyncio.create_task(self.answer.whole(generation))
        # The body has been read: what is received next is the client's leaving.
        gone = asyncio.ensure_future(request.receive())
        ends: set[asyncio.Future[Any]] = {work, gone}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)


def _insist_on(table: Table, model: str) -> None:
    if model != table.application:
        raise BadParameterNotFound(model[:128])


class BadParameterNotFound(BadParameter):
    """`model` names no application of this key."""

    def __init__(self, model: str) -> None:
        super().__init__("model", f"{model!r} is not this key's application", code=NOT_FOUND)


def _status(fault: Exception) -> int:
    if isinstance(fault, EngineFailed) and fault.code == "deadline":
        return 504
    status = status_for(fault)
    return NOT_LOADED if status == 409 else status


def _body(fault: Exception) -> dict[str, object]:
    status = _status(fault)
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = fault.code if isinstance(fault, Poison | EngineFailed) else "unavailable"
    if status == 404:
        code = "model_not_found"
    param = fault.param if isinstance(fault, BadParameter) else None
    return openai.error(str(fault), kind, code, param)


async def _fault(_: Request, fault: Exception) -> Response:
    status = _status(fault)
    headers = {"retry-after": "1"} if status in {429, 503} else {}
    return JSONResponse(_body(fault), status, headers)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("http.failed", path=request.url.path, exc_info=error)
    return JSONResponse(openai.error("internal error", "server_error", "internal"), 500)
