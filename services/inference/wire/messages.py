"""The gRPC messages of `perennial.inference.v1.InferenceService`."""

from collections.abc import Iterable
from dataclasses import dataclass

from protos.inference.v1 import inference_service_pb2 as rpc
from services.inference.domain.form import ANY_OBJECT
from services.inference.domain.generation import (
    Answered,
    Ask,
    Delta,
    Finish,
    Form,
    Message,
    Token,
)
from services.inference.wire.ask import (
    BadParameter,
    checked,
    choices,
    judgements,
    role_of,
    schema_text_form,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """``detailed``: every choice is to be told apart."""

    ask: Ask
    n: int
    detailed: bool


def wanted(request: rpc.GenerateRequest) -> Wanted:
    """The request, validated.

    Raises:
        BadParameter: names the parameter.
    """
    labels, score, verdict = judgements(request.metadata)
    ask = Ask(
        messages=tuple(
            Message(role_of(f"messages[{index}].role", message.role), message.content)
            for index, message in enumerate(request.messages)
        ),
        max_tokens=request.max_tokens if request.HasField("max_tokens") else None,
        temperature=request.temperature if request.HasField("temperature") else None,
        top_p=request.top_p if request.HasField("top_p") else None,
        top_k=request.top_k if request.HasField("top_k") else None,
        frequency_penalty=(
            request.frequency_penalty if request.HasField("frequency_penalty") else None
        ),
        presence_penalty=(
            request.presence_penalty if request.HasField("presence_penalty") else None
        ),
        seed=request.seed if request.HasField("seed") else None,
        stop=tuple(request.stop),
        episode_id=request.episode_id,
        subject=request.user,
        labels=labels,
        logprobs=request.logprobs,
        form=_form(request.response_format),
        variables=dict(request.variables),
        retrieval_score=score,
        guard_verdict=verdict,
    )
    n = choices(request.n if request.HasField("n") else None)
    return Wanted(checked(ask), n, detailed=request.HasField("n") or request.logprobs)


def _form(wanted: rpc.ResponseFormat) -> Form | None:
    match wanted.type:
        case "" | "text":
            return None
        case "json_object":
            return ANY_OBJECT
        case "json_schema":
            return schema_text_form("response_format.json_schema", wanted.json_schema)
        case _:
            raise BadParameter(
                "response_format.type", "is not one of text, json_object, json_schema"
            )


def usage(ends: Iterable[Finish]) -> rpc.Usage:
    """Of all choices; their prompt is one."""
    ended = list(ends)
    return rpc.Usage(
        prompt_tokens=max(end.prompt_tokens for end in ended),
        completion_tokens=sum(end.completion_tokens for end in ended),
    )


def chunk(
    generation_id: str, release_digest: str, index: int, piece: Delta | Finish
) -> rpc.GenerateChunk:
    told = rpc.GenerateChunk(
        generation_id=generation_id, release_digest=release_digest, index=index
    )
    if isinstance(piece, Delta):
        told.delta = piece.text
        told.logprobs.extend(_logprobs(piece.tokens))
    else:
        told.finish_reason = piece.reason
        told.usage.CopyFrom(usage([piece]))
    return told


def response(
    release_digest: str, answers: list[Answered], *, detailed: bool
) -> rpc.GenerateResponse:
    first = answers[0]
    told = [
        rpc.Choice(
            generation_id=answer.generation_id,
            text=answer.text,
            finish_reason=answer.finish.reason,
            logprobs=_logprobs(answer.tokens),
        )
        for answer in answers
    ]
    return rpc.GenerateResponse(
        generation_id=first.generation_id,
        release_digest=release_digest,
        text=first.text,
        finish_reason=first.finish.reason,
        usage=usage(answer.finish for answer in answers),
        choices=told if detailed else (),
    )


def _logprobs(tokens: Iterable[Token]) -> list[rpc.TokenLogprob]:
    return [rpc.TokenLogprob(token=token.raw, logprob=token.logprob) for token in tokens]
