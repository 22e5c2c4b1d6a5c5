"""The gRPC messages of `perennial.inference.v1.InferenceService`."""

from protos.inference.v1 import inference_service_pb2 as rpc
from services.inference.domain.generation import Ask, Delta, Finish, Message
from services.inference.wire.ask import checked


def ask(request: rpc.GenerateRequest) -> Ask:
    """The request, validated.

    Raises:
        BadParameter: names the parameter.
    """
    return checked(
        Ask(
            messages=tuple(Message(m.role, m.content) for m in request.messages),
            max_tokens=request.max_tokens if request.HasField("max_tokens") else None,
            temperature=request.temperature if request.HasField("temperature") else None,
            top_p=request.top_p if request.HasField("top_p") else None,
            seed=request.seed if request.HasField("seed") else None,
            stop=tuple(request.stop),
            episode_id=request.episode_id,
            subject=request.user,
            labels=dict(request.metadata),
        )
    )


def usage(finish: Finish) -> rpc.Usage:
    return rpc.Usage(prompt_tokens=finish.prompt_tokens, completion_tokens=finish.completion_tokens)


def chunk(generation_id: str, release_digest: str, piece: Delta | Finish) -> rpc.GenerateChunk:
    if isinstance(piece, Delta):
        return rpc.GenerateChunk(
            generation_id=generation_id, release_digest=release_digest, delta=piece.text
        )
    return rpc.GenerateChunk(
        generation_id=generation_id,
        release_digest=release_digest,
        finish_reason=piece.reason,
        usage=usage(piece),
    )


def response(
    generation_id: str, release_digest: str, text: str, finish: Finish
) -> rpc.GenerateResponse:
    return rpc.GenerateResponse(
        generation_id=generation_id,
        release_digest=release_digest,
        text=text,
        finish_reason=finish.reason,
        usage=usage(finish),
    )
