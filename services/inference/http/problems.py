"""Faults in OpenAI's format."""

import math
from typing import Final

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from libs.faults import NOT_FOUND, Poison
from libs.http.app import status_for
from services.inference.domain.release import Table
from services.inference.ports import INVALID_JSON_ANSWER, EngineFailed
from services.inference.wire import replies
from services.inference.wire.ask import BadParameter

log = structlog.get_logger()

STATUS: Final = {INVALID_JSON_ANSWER: 422}
KINDS: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
UNKNOWN: Final = {404: "unknown_url", 405: "method_not_allowed"}
COMPLETIONS: Final = "/v1/completions"
COME_AGAIN: Final = frozenset({429, 503})


def insist_on(table: Table, model: str) -> None:
    """Refuse a model that is not the key's application.

    Raises:
        BadParameter: ``not_found``.
    """
    if model != table.application:
        reason = f"{model[:128]!r} is not this key's application"
        raise BadParameter("model", reason, code=NOT_FOUND)


def body(fault: Exception, path: str = "") -> dict[str, object]:
    """``path``: of the request. What an engine says of the messages is of a completion's prompt."""
    status = _status(fault)
    code = fault.code if isinstance(fault, Poison | EngineFailed) else "unavailable"
    if status == 404:
        code = "model_not_found"
    param = fault.param if isinstance(fault, Poison) else ""
    if path == COMPLETIONS and param == "messages" and not isinstance(fault, BadParameter):
        param = "prompt"
    return replies.error(str(fault), _kind(status), code, param or None)


async def tell(request: Request, fault: Exception) -> Response:
    status = _status(fault)
    after_s = getattr(fault, "after_s", None) or 1.0
    headers = {"retry-after": str(math.ceil(after_s))} if status in COME_AGAIN else {}
    return JSONResponse(body(fault, request.url.path), status, headers)


async def tell_unknown(request: Request, error: Exception) -> Response:
    """A path or method that is not served."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    message = f"{error.detail}: {request.method} {request.url.path[:128]}"
    told = replies.error(message, _kind(status), UNKNOWN.get(status, "refused"))
    return JSONResponse(told, status, error.headers)


async def tell_bug(request: Request, error: Exception) -> Response:
    log.error("http.failed", path=request.url.path, exc_info=error)
    return JSONResponse(replies.error("internal error", "server_error", "internal"), 500)


def _kind(status: int) -> str:
    return KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def _status(fault: Exception) -> int:
    if isinstance(fault, EngineFailed) and fault.code == "deadline":
        return 504
    if isinstance(fault, Poison) and fault.code in STATUS:
        return STATUS[fault.code]
    return status_for(fault)
