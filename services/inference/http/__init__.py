"""The OpenAI-compatible door: /v1/{chat/completions,completions,embeddings,models}."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.faults import Poison, Retryable
from libs.http.app import JSON, json_body, make_app
from libs.http.direct import Direct
from libs.rpc import auth
from services.inference.domain.generation import Answered, Finish
from services.inference.domain.release import Table
from services.inference.handlers.answer import Answer
from services.inference.handlers.choices import Choices
from services.inference.handlers.embed import Embed
from services.inference.handlers.generation import Generation
from services.inference.http import problems
from services.inference.http.leaving import CLIENT_GONE, sent_in_time, unless_gone
from services.inference.ports import Routing
from services.inference.wire import embeddings, openai, replies
from services.inference.wire.replies import Replies, TextReplies
from services.inference.wire.spans import in_trace

MAX_BODY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenAiHttp:
    routing: Routing
    answer: Answer
    embed: Embed

    def app(self) -> ASGIApp:
        app = make_app("Perennial inference", MAX_BODY_BYTES, problems.tell)
        app.add_exception_handler(HTTPException, problems.tell_unknown)
        app.add_exception_handler(Exception, problems.tell_bug)
        asked = {
            "/v1/chat/completions": self.chat,
            problems.COMPLETIONS: self.complete,
            "/v1/embeddings": self.embeddings,
        }
        for path, handler in asked.items():
            app.add_route(path, handler, methods=["POST"])
        app.add_route("/v1/models", self.models, methods=["GET"])
        app.add_route("/v1/models/{model}", self.model, methods=["GET"])
        direct = {("POST", path): handler for path, handler in asked.items()}
        return Direct(app, direct, MAX_BODY_BYTES, problems.tell, problems.tell_bug)

    async def chat(self, request: Request) -> Response:
        return await self._answered(request, openai.chat, Replies)

    async def complete(self, request: Request) -> Response:
        return await self._answered(request, openai.completion, TextReplies)

    async def embeddings(self, request: Request) -> Response:
        table = self._table(request)
        wanted = embeddings.wanted(await json_body(request))
        problems.insist_on(table, wanted.model)
        made = await unless_gone(request.receive, self.embed(table, wanted.texts))
        if made is None:
            return Response(status_code=CLIENT_GONE)
        rows, tokens = made
        body = replies.embeddings(table.application, rows, tokens, as_text=wanted.as_text)
        return Response(body, media_type=JSON)

    async def models(self, request: Request) -> Response:
        table = self._table(request)
        return JSONResponse({"object": "list", "data": [replies.model(table.application)]})

    async def model(self, request: Request) -> Response:
        table = self._table(request)
        problems.insist_on(table, request.path_params["model"])
        return JSONResponse(replies.model(table.application))

    async def _answered(
        self, request: Request, read: Callable[[bytes], openai.Wanted], kind: type[Replies]
    ) -> Response:
        table = self._table(request)
        wanted = read(await json_body(request))
        problems.insist_on(table, wanted.model)
        ask = in_trace(wanted.ask, request.headers.get("traceparent"))
        begin = Choices.begin(self.answer, table, ask, wanted.n)
        if wanted.stream:
            return Streamed(begin, wanted, kind)
        whole = await unless_gone(request.receive, _whole(begin))
        if whole is None:
            return Response(status_code=CLIENT_GONE)
        choices, answers = whole
        body = _replies(choices, wanted, kind).completion(answers)
        return Response(body, 200, _served_by(choices.first), JSON)

    def _table(self, request: Request) -> Table:
        key = auth.from_header(request.headers.get("authorization"))
        table = self.routing.find(auth.digest(key)) if key else None
        if table is None:
            raise auth.no_application(key)
        return table


def _served_by(generation: Generation) -> dict[str, str]:
    """Who answers: known once a piece has been given out."""
    headers = {
        "x-perennial-generation-id": generation.id,
        "x-perennial-release": generation.release_digest,
    }
    if generation.provider:
        headers["x-perennial-provider"] = generation.provider
    return headers


async def _whole(begin: Awaitable[Choices]) -> tuple[Choices, list[Answered]]:
    choices = await begin
    return choices, await choices.whole()


def _replies(choices: Choices, wanted: openai.Wanted, kind: type[Replies]) -> Replies:
    first = choices.first
    return kind(
        generation_id=first.id,
        application=first.table.application,
        release_digest=first.release_digest,
        created=int(time.time()),
        logprobs=wanted.ask.logprobs,
        include_usage=wanted.include_usage,
    )


class Streamed(Response):
    """Server-sent events. The status waits for the first piece: what fails before it is an
    error of its own. A client that leaves, or does not read on, cancels the answer."""

    media_type = "text/event-stream"

    def __init__(
        self, begin: Coroutine[Any, Any, Choices], wanted: openai.Wanted, kind: type[Replies]
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache"})
        del self.headers["content-length"]
        self._begin, self._wanted, self._kind = begin, wanted, kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_gone(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        choices = await self._begin
        told: Replies | None = None
        ends: list[Finish] = []
        try:
            async with aclosing(choices.stream()) as pieces:
                async for index, piece in pieces:
                    opening = b""
                    if told is None:
                        told = _replies(choices, self._wanted, self._kind)
                        opening = _openings(told, choices)
                        await self._start(send, choices)
                    if isinstance(piece, Finish):
                        ends.append(piece)
                    await _send(send, opening + told.chunk(index, piece))
        except (Poison, Retryable) as fault:
            if told is None:
                raise
            await _send(send, replies.event(problems.body(fault)), more=False)
            return
        last = told.usage(ends) if told and self._wanted.include_usage else b""
        await _send(send, last + replies.DONE, more=False)

    async def _start(self, send: Send, choices: Choices) -> None:
        self.headers.update(_served_by(choices.first))
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)


def _openings(told: Replies, choices: Choices) -> bytes:
    made = enumerate(choices.generations)
    return b"".join(told.opening(index, generation.id) for index, generation in made)


def _send(send: Send, body: bytes, *, more: bool = True) -> Awaitable[None]:
    message = {"type": "http.response.body", "body": body, "more_body": more}
    return sent_in_time(send, message)
