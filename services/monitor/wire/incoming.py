"""Events to the domain's values; what cannot be meant is Poison."""

import math
import re
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from libs.faults import Poison
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed, ProviderProbed
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CANARY,
    ROLE_CHAMPION,
    ROLE_SHADOW,
)
from protos.training.v1.training_events_pb2 import TrainingCompleted
from services.monitor.domain.cause import Probed
from services.monitor.domain.generation import Feedback, Generation, Role
from services.monitor.domain.windows import refuses

NAME: Final = re.compile(r"[a-z0-9-]{1,63}")

MAX_DIGEST: Final = 128

MAX_DIMENSIONS: Final = 4096

MAX_NAME: Final = 200

STORED: Final = np.dtype("<f2")

NO_VECTOR: Final = np.zeros(0, np.float16)

ROLES: Final[dict[int, Role]] = {
    ROLE_CHAMPION: "champion",
    ROLE_CANARY: "canary",
    ROLE_SHADOW: "shadow",
}


def application_name(name: str) -> str:
    """
    Raises:
        Poison: ``bad_application``.
    """
    if not NAME.fullmatch(name):
        raise Poison(f"{name[:80]!r} is not an application's name", code="bad_application")
    return name


def unknown(_: str) -> str:
    """The language of a text when nobody can tell."""
    return ""


def generation(
    event: GenerationServed, produced_at: float, language: Callable[[str], str] = unknown
) -> Generation:
    """
    Args:
        produced_at: seconds since 1970; stands in for a missing ``served_at``.
        language: tells the language of a prompt; asked for watched answers only.
    Raises:
        Poison: ``bad_generation``, ``bad_embedding``.
    """
    if not event.generation_id or not 0 < len(event.release_digest) <= MAX_DIGEST:
        raise Poison("an answer without its id or its release", code="bad_generation")
    first, latency, cost = event.time_to_first_token_s, event.latency_s, event.cost
    if not (0 <= first < math.inf and 0 <= latency < math.inf and 0 <= cost < math.inf):
        raise Poison(f"times and cost are {(first, latency, cost)}", code="bad_generation")
    role: Role = "shadow" if event.shadow_of else ROLES.get(event.role, "")
    outcome = _outcome(event)
    watched = role == "champion" and outcome == "answered"
    return Generation(
        generation_id=event.generation_id,
        release=event.release_digest,
        campaign=event.campaign_id,
        role=role,
        share=_share(event.canary_share),
        episode=event.episode_id,
        prompt=event.prompt,
        answer=event.answer,
        tokens=event.completion_tokens,
        first_token_s=first,
        latency_s=latency,
        outcome=outcome,
        vector=_vector(event.embedding),
        logprob=_measured(event, "mean_logprob"),
        served_at=_seconds(event.served_at) if event.HasField("served_at") else produced_at,
        refused=refuses(event.answer),
        finish_reason=event.finish_reason,
        cost=cost,
        cached=event.cached,
        retrieval_score=_measured(event, "retrieval_score"),
        guard_verdict=event.guard_verdict[:MAX_NAME],
        provider=event.provider[:MAX_NAME],
        request_model=event.request_model[:MAX_NAME],
        response_model=event.response_model[:MAX_NAME],
        labels=dict(event.labels) if event.labels else {},
        language=language(event.prompt) if watched else "",
    )


def feedback(event: FeedbackJoined, produced_at: float) -> Feedback:
    """
    Args:
        produced_at: seconds since 1970; stands in for a missing ``served_at``.
    Raises:
        Poison: ``bad_feedback``.
    """
    if not event.feedback_id or len(event.release_digest) > MAX_DIGEST:
        raise Poison("feedback without an id, or with a bad release", code="bad_feedback")
    rating = event.rating if event.HasField("rating") else None
    if rating is not None and not 0 <= rating <= 1:
        raise Poison(f"rating is {rating}, not in [0, 1]", code="bad_feedback")
    return Feedback(
        feedback_id=event.feedback_id,
        version=event.version,
        campaign=event.campaign_id,
        role=ROLES.get(event.role, ""),
        share=_share(event.canary_share),
        episode=event.episode_id or event.generation_id,
        rating=rating,
        prompt=event.prompt,
        correction=event.correction,
        withdrawn=event.withdrawn,
        generation_id=event.generation_id,
        release=event.release_digest,
        served_at=_seconds(event.served_at) if event.HasField("served_at") else produced_at,
    )


def probed(event: ProviderProbed) -> Probed:
    """
    Raises:
        Poison: ``bad_probe``.
    """
    if not event.drift_event_id or not 0 <= event.p_value <= 1:
        raise Poison("probes without their alarm or their p-value", code="bad_probe")
    return Probed(
        drift_event_id=event.drift_event_id,
        probes=event.probes,
        p_value=event.p_value,
        changed=event.changed,
        request_model=event.request_model[:MAX_NAME],
        response_model=event.response_model[:MAX_NAME],
    )


def training_seconds(event: TrainingCompleted) -> float:
    """
    Raises:
        Poison: ``bad_training``.
    """
    if not (math.isfinite(event.seconds) and event.seconds >= 0):
        raise Poison(f"a run of {event.seconds} seconds", code="bad_training")
    return event.seconds


def _measured(event: GenerationServed, name: Literal["mean_logprob", "retrieval_score"]) -> float:
    """nan when it is absent."""
    if not event.HasField(name):
        return math.nan
    value: float = getattr(event, name)
    if not math.isfinite(value):
        raise Poison(f"{name} is {value}", code="bad_generation")
    return value


def _seconds(stamp: Timestamp) -> float:
    return float(stamp.seconds) + stamp.nanos / 1e9


def _share(share: float) -> float:
    if not 0 <= share <= 1:
        raise Poison(f"canary_share is {share}, not in [0, 1]", code="bad_share")
    return share


def _outcome(event: GenerationServed) -> Literal["answered", "failed", "cancelled"]:
    if event.error_code or event.finish_reason == "error":
        return "failed"
    return "cancelled" if event.finish_reason == "cancelled" else "answered"


def _vector(data: bytes) -> NDArray[np.float16]:
    if not data:
        return NO_VECTOR
    if len(data) % 2 or len(data) > 2 * MAX_DIMENSIONS:
        raise Poison(f"an embedding of {len(data)} bytes", code="bad_embedding")
    vector = np.frombuffer(data, STORED)
    whole = vector.astype(np.float32)
    if not math.isfinite(whole @ whole):  # no square of a float16 is too large for a float32
        raise Poison("an embedding with inf or nan", code="bad_embedding")
    return vector
