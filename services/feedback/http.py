"""POST /v1/feedback: the fields of GiveRequest as JSON, in proto's or in JSON's spelling."""

from typing import Final

from fastapi import FastAPI, Request
from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from libs.faults import Poison
from libs.http.app import json_body, make_app
from libs.rpc import auth
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from services.feedback.handlers import GiveFeedback

MAX_BODY_BYTES: Final = 512 * 1024
BAD: Final = "bad_feedback"


class Given(BaseModel):
    """A field that is null is one that is not given."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        alias_generator=AliasGenerator(
            validation_alias=lambda name: AliasChoices(name, to_camel(name))
        ),
    )

    feedback_id: str | None = None
    version: int | None = Field(default=None, ge=0, lt=2**32)
    generation_id: str | None = None
    rating: float | None = None
    correction: str | None = None
    comment: str | None = None
    withdrawn: bool | None = None


def make_door(give: GiveFeedback) -> FastAPI:
    """The service's HTTP application."""
    app = make_app("Perennial feedback", MAX_BODY_BYTES)

    @app.post("/v1/feedback", status_code=202)
    async def post_feedback(request: Request) -> dict[str, str]:
        secret = auth.from_header(request.headers.get("authorization"))
        key = auth.digest(secret) if secret else None
        asked = parse(await json_body(request))
        return {"feedback_id": await give(asked, key)}

    return app


def parse(body: bytes) -> GiveRequest:
    """The request in ``body``.

    Raises:
        Poison: ``bad_feedback`` when it is not JSON, or has unknown or mistyped fields.
    """
    try:
        given = Given.model_validate_json(body)
    except ValidationError as error:
        raise Poison(_told(error), code=BAD) from error
    return GiveRequest(**given.model_dump(exclude_none=True))


def _told(error: ValidationError) -> str:
    """In the words of this API."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(step) for step in first["loc"])[:64]
    if first["type"] == "extra_forbidden":
        return f"unknown field {name!r}; known: {', '.join(Given.model_fields)}"
    return f"{name}: {first['msg']}" if name else first["msg"]
