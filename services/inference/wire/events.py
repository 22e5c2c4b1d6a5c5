"""Routing in, generations and engine reports out."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from libs.faults import Poison
from protos.common.v1 import common_pb2
from protos.inference.v1.inference_events_pb2 import EngineLoaded, GenerationServed
from protos.registry.v1 import registry_events_pb2 as registry
from services.inference.domain.generation import Served
from services.inference.domain.release import (
    Decoding,
    Engine,
    File,
    Prompt,
    Release,
    Role,
    Route,
    Table,
)
from services.inference.wire.serving import provider, serving

MAX_TEXT_BYTES: Final = 64 * 1024

ROLES: Final = {
    registry.ROLE_CHAMPION: Role.CHAMPION,
    registry.ROLE_CANARY: Role.CANARY,
    registry.ROLE_SHADOW: Role.SHADOW,
}
ROLE_VALUES: Final = {
    Role.FALLBACK: registry.ROLE_UNSPECIFIED,
    **{role: value for value, role in ROLES.items()},
}


def table(event: registry.RoutingTable) -> Table:
    """The routing table of ``event``.

    Raises:
        Poison: ``bad_routing``: two routes of one role, a share outside [0, 1], no engine.
    """
    routes = tuple(_route(route) for route in event.routes)
    if len({route.role for route in routes}) < len(routes):
        raise Poison("two routes have one role", code="bad_routing")
    if not event.application:
        raise Poison("no application", code="bad_routing")
    return Table(
        application=event.application,
        version=event.version,
        key_sha256=frozenset(event.key_sha256),
        salt=event.salt,
        campaign_id=event.campaign_id,
        routes=routes,
        serving=serving(event.serving),
        fallbacks=tuple(_fallback(release) for release in event.fallbacks),
        currency=event.currency or "USD",
    )


def _fallback(release: registry.Release) -> Release:
    found = _release(release)
    if found.engine.provider is None:
        raise Poison(f"fallback {found.digest[:80]} is not external", code="bad_routing")
    return found


def _route(route: registry.Route) -> Route:
    role = ROLES.get(route.role)
    if role is None:
        raise Poison(f"role {route.role}", code="bad_routing")
    if not (math.isfinite(route.share) and 0 <= route.share <= 1):
        raise Poison(f"share {route.share} is outside 0 to 1", code="bad_routing")
    return Route(_release(route.release), role, route.share)


def _release(release: registry.Release) -> Release:
    engine = release.engine
    if len(engine.digest) < 16 or not engine.digest.isalnum():
        raise Poison(f"engine digest {engine.digest[:80]!r}", code="bad_routing")
    return Release(
        digest=release.digest,
        engine=Engine(
            digest=engine.digest,
            weights=_file(engine.weights),
            tokenizer=_file(engine.tokenizer),
            chat_template=engine.chat_template,
            provider=provider(engine.provider) if engine.HasField("provider") else None,
            runtime=engine.runtime,
            bos_token=engine.bos_token,
            eos_token=engine.eos_token,
        ),
        prompt_template=release.prompt_template,
        decoding=Decoding(
            max_tokens=release.decoding.max_tokens,
            temperature=release.decoding.temperature,
            top_p=release.decoding.top_p,
            seed=release.decoding.seed,
            top_k=release.decoding.top_k,
            frequency_penalty=release.decoding.frequency_penalty,
            presence_penalty=release.decoding.presence_penalty,
        ),
        prompt=_prompt(release.prompt),
    )


def _prompt(prompt: common_pb2.Prompt) -> Prompt:
    most = prompt.max_characters or Prompt().max_characters
    return Prompt(prompt.version, tuple(prompt.variables), most)


def _file(artifact: common_pb2.Artifact) -> File:
    return File(artifact.uri, artifact.sha256, artifact.size_bytes, artifact.media_type)


def artifact(file: File) -> common_pb2.Artifact:
    return common_pb2.Artifact(
        uri=file.uri,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        media_type=file.media_type,
    )


def generation_served(served: Served) -> GenerationServed:
    """The event, still without the prompt's embedding."""
    finish = served.finish
    event = GenerationServed(
        generation_id=served.generation_id,
        application=served.application,
        release_digest=served.assignment.release.digest,
        campaign_id=served.campaign_id,
        role=ROLE_VALUES[served.assignment.role],
        canary_share=served.assignment.canary_share,
        episode_id=served.ask.episode_id,
        subject=served.ask.subject,
        labels=dict(served.ask.labels),
        prompt=_cut(served.ask.question),
        answer=_cut(served.answer),
        prompt_tokens=finish.prompt_tokens if finish else 0,
        completion_tokens=finish.completion_tokens if finish else 0,
        time_to_first_token_s=served.time_to_first_token_s,
        latency_s=served.latency_s,
        mean_logprob=finish.mean_logprob if finish else None,
        finish_reason=served.finish_reason,
        error_code=served.error_code,
        shadow_of=served.shadow_of,
        request_model=served.request_model or served.assignment.release.engine.model_name,
        response_model=finish.response_model if finish else "",
        provider=served.provider,
        cost=served.cost,
        cached=served.cached,
        retrieval_score=served.ask.retrieval_score,
        guard_verdict=served.ask.guard_verdict,
        prompt_version=served.assignment.release.prompt.version,
        queue_s=served.queue_s,
        variables=dict(served.ask.variables),
        traceparent=served.ask.traceparent,
    )
    event.served_at.FromMicroseconds(round(served.served_at.timestamp() * 1_000_000))
    return event


def _cut(text: str) -> str:
    """``text`` within 64 KiB of UTF-8. Door and decoding bounds make longer ones rare."""
    if len(text) * 4 <= MAX_TEXT_BYTES:
        return text
    return text.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")


def packed(embedding: NDArray[np.float32]) -> bytes:
    """``(dimensions,)`` as little-endian float16."""
    return embedding.astype("<f2").tobytes()


def engine_loaded(
    table: Table, release: Release, replica: str, *, failure: str | None, seconds: float
) -> EngineLoaded:
    """A report on ``release``; ``failure`` None means that it is ready."""
    return EngineLoaded(
        application=table.application,
        release_digest=release.digest,
        engine_digest=release.engine.digest,
        replica=replica,
        ready=failure is None,
        reason=failure or "",
        seconds=seconds,
        campaign_id=table.campaign_id,
    )
