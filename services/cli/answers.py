"""Asking for an answer, and saying what it was worth."""

from typing import Annotated

import typer

from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.feedback.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.cli import show
from services.cli.applications import Name
from services.cli.session import TIMEOUT_S, Session


def generate(
    question: str,
    application: Name,
    max_tokens: Annotated[int | None, typer.Option(help="Upper bound of new tokens.")] = None,
    as_json: show.AsJson = False,
) -> None:
    """Ask the application; the answer streams."""
    inference = InferenceServiceStub(Session.here().tenant("inference.rpc", application))
    request = GenerateRequest(messages=[Message(role="user", content=question)])
    if max_tokens is not None:
        request.max_tokens = max_tokens
    if as_json:
        return show.print_json(show.as_dict(inference.Generate(request, timeout=TIMEOUT_S)))
    last = None
    for last in inference.GenerateStream(request, timeout=TIMEOUT_S):
        typer.echo(last.delta, nl=False)
    typer.echo()
    if last is not None:
        typer.echo(f"generation {last.generation_id}  release {last.release_digest[:16]}", err=True)
    return None


def feedback(
    generation_id: str,
    application: Name,
    rating: Annotated[float | None, typer.Option(min=0, max=1, help="0 is worst.")] = None,
    correction: Annotated[str, typer.Option(help="The answer it should have been.")] = "",
    comment: Annotated[str, typer.Option()] = "",
    as_json: show.AsJson = False,
) -> None:
    """Rate or correct an answer."""
    door = FeedbackServiceStub(Session.here().tenant("feedback.rpc", application))
    request = GiveRequest(generation_id=generation_id, correction=correction, comment=comment)
    if rating is not None:
        request.rating = rating
    given = door.Give(request, timeout=TIMEOUT_S)
    show.rows("feedback", [{"feedback_id": given.feedback_id}], as_json)
