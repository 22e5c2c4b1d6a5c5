"""The FastAPI factory: faults as problem+json (RFC 9457), bounded bodies, request ids.

Plain ASGI middleware: Starlette's ``BaseHTTPMiddleware`` costs milliseconds a request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs import faults
from libs.events.headers import new_event_id
from libs.faults import Poison, Retryable

log = structlog.get_logger()

REQUEST_ID: Final = "x-request-id"
NAME: Final = REQUEST_ID.encode()
LINGER_BYTES: Final = 64 * 1024 * 1024
LINGER_S: Final = 5.0
BODY_S: Final = 60.0
LEAST_BYTES_PER_S: Final = 64 * 1024
"""Large bodies get a second more for each so many bytes."""
TOO_LARGE: Final = "body_too_large"
TOO_SLOW: Final = "body_too_slow"
WRONG_TYPE: Final = "unsupported_media_type"
JSON: Final = "application/json"
_STATUS: Final = {
    faults.NOT_FOUND: 404,
    faults.UNAUTHENTICATED: 401,
    faults.ALREADY_EXISTS: 409,
    faults.RESOURCE_EXHAUSTED: 429,
    faults.FAILED_PRECONDITION: 409,
    TOO_LARGE: 413,
    TOO_SLOW: 408,
    WRONG_TYPE: 415,
}


def status_for(error: Exception) -> int:
    """The HTTP status of a fault; 500 for a bug."""
    if isinstance(error, Poison):
        return _STATUS.get(error.code, 400)
    return 503 if isinstance(error, Retryable) else 500


Telling = Callable[[Request, Exception], Awaitable[Response]]
"""How a door tells a fault."""


async def problem(_: Request, error: Exception) -> Response:
    status = status_for(error)
    code = error.code if isinstance(error, Poison) else "unavailable"
    headers = {"retry-after": "1"} if status in {429, 503} else {}
    body = {"type": "about:blank", "status": status, "code": code, "detail": str(error)}
    return JSONResponse(body, status, headers, "application/problem+json")


def insist_unpacked(request: Request) -> None:
    """
    Raises:
        Poison: ``unsupported_media_type`` for a compressed body.
    """
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"identity", ""}:
        raise Poison(f"send the body as it is, not as {packing[:64]}", code=WRONG_TYPE)


def media_type_of(header: str | None) -> str:
    """Of a content type, without its parameters; "" where there is none."""
    return (header or "").partition(";")[0].strip().lower()


async def json_body(request: Request) -> bytes:
    """What may be JSON; a body of no stated type is taken for it.

    Raises:
        Poison: ``unsupported_media_type``.
    """
    insist_unpacked(request)
    kind = media_type_of(request.headers.get("content-type", JSON))
    if kind != JSON and not kind.endswith("+json"):
        raise Poison(f"send {JSON}, not {kind[:64] or 'an empty content-type'}", code=WRONG_TYPE)
    return await request.body()


def make_app(title: str, max_body_bytes: int, tell: Telling = problem) -> FastAPI:
    """An application whose every fault is told by ``tell`` and whose bodies are bounded."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    app.add_exception_handler(Poison, tell)
    app.add_exception_handler(Retryable, tell)
    app.add_exception_handler(Exception, bug)
    app.add_middleware(Bounded, max_body_bytes=max_body_bytes, tell=tell)
    return app


async def bug(request: Request, error: Exception) -> Response:
    log.error("http.failed", path=request.url.path, exc_info=error)
    body = {"type": "about:blank", "status": 500, "code": "internal", "detail": "internal error"}
    return JSONResponse(body, 500, media_type="application/problem+json")


class Bounded:
    """Gives each request an id and refuses a body above the bound, announced or streamed, or
    one that is not there in time."""

    def __init__(
        self,
        app: ASGIApp,
        max_body_bytes: int,
        tell: Telling = problem,
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._max = max_body_bytes
        self._tell = tell
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = (headers.get(NAME) or new_event_id().encode())[:128]
        seen, more = 0, True
        ends_s = asyncio.get_running_loop().time() + self._body_s

        async def bounded() -> Message:
            nonlocal seen, more
            if not more:  # what comes now is the client's leaving
                return await receive()
            try:
                async with asyncio.timeout_at(ends_s + seen / LEAST_BYTES_PER_S):
                    message = await receive()
            except TimeoutError:
                raise Poison("the body comes too slowly", code=TOO_SLOW) from None
            seen += len(message.get("body", b""))
            if seen > self._max:
                raise Poison(f"the body is above {self._max} bytes", code=TOO_LARGE)
            more = message.get("more_body", False)
            return message

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (NAME, request_id)]
            await send(message)

        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max:
            await _read_on(receive)
            error = Poison(f"the body is above {self._max} bytes", code=TOO_LARGE)
            response = await self._tell(Request(scope), error)
            await response(scope, receive, named)
            return None
        return await self._app(scope, bounded, named)


async def _read_on(receive: Receive) -> None:
    """Read a refused body for a while: a client that still sends would not see the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            seen, more = 0, True
            while more and seen < LINGER_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                more = message.get("more_body", False)
