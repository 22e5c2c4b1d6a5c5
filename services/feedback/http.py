"""POST /v1/feedback: the fields of GiveRequest as JSON."""

import asyncio

from fastapi import FastAPI, Request
from google.protobuf import json_format

from libs.faults import Poison
from libs.http.app import make_app
from libs.rpc import auth
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from services.feedback.handlers import GiveFeedback

MAX_BODY_BYTES = 512 * 1024
MAX_DEPTH = 8


def make_door(give: GiveFeedback) -> FastAPI:
    """The service's HTTP application."""
    app = make_app("Perennial feedback", MAX_BODY_BYTES)

    @app.post("/v1/feedback", status_code=202)
    async def post_feedback(request: Request) -> dict[str, str]:
        secret = auth.from_header(request.headers.get("authorization"))
        key = auth.digest(secret) if secret else None
        asked = parse(await request.body())
        return {"feedback_id": await asyncio.to_thread(give, asked, key)}

    return app


def parse(body: bytes) -> GiveRequest:
    """The request in ``body``.

    Raises:
        Poison: ``bad_feedback`` when it is not JSON, or has unknown or mistyped fields.
    """
    try:
        return json_format.Parse(body, GiveRequest(), max_recursion_depth=MAX_DEPTH)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise Poison(f"not a feedback request: {error}", code="bad_feedback") from error
