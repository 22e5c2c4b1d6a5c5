"""Events to the domain's values and back; what cannot be meant is Poison."""

import math
import re
from typing import Final, Literal
from uuid import uuid5

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from libs.faults import Poison
from protos.common.v1.common_pb2 import Interval
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.monitor.v1 import monitor_events_pb2 as events
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CANARY,
    ROLE_CHAMPION,
    ROLE_SHADOW,
    ApplicationApplied,
    RoutingTable,
)
from services.monitor.domain.application import Declared, Evidence, Rang
from services.monitor.domain.decision import NAMESPACE, Policy, Trigger
from services.monitor.domain.generation import Feedback, Generation, Role

NAME: Final = re.compile(r"[a-z0-9-]{1,63}")
MAX_DIGEST: Final = 128
MAX_DIMENSIONS: Final = 4096
ROLES: Final[dict[int, Role]] = {
    ROLE_CHAMPION: "champion",
    ROLE_CANARY: "canary",
    ROLE_SHADOW: "shadow",
}
PHASES: Final = {"shadow": events.ROLLOUT_PHASE_SHADOW, "canary": events.ROLLOUT_PHASE_CANARY}


def application_name(name: str) -> str:
    """
    Raises:
        Poison: ``bad_application``.
    """
    if not NAME.fullmatch(name):
        raise Poison(f"{name[:80]!r} is not an application's name", code="bad_application")
    return name


def generation(event: GenerationServed, produced_at: float) -> Generation:
    """
    Args:
        produced_at: seconds since 1970; stands in for a missing ``served_at``.
    Raises:
        Poison: ``bad_generation``, ``bad_embedding``.
    """
    if not event.generation_id or not 0 < len(event.release_digest) <= MAX_DIGEST:
        raise Poison("an answer without its id or its release", code="bad_generation")
    times = (event.time_to_first_token_s, event.latency_s)
    if not all(math.isfinite(value) and value >= 0 for value in times):
        raise Poison(f"times are {times} seconds", code="bad_generation")
    if event.HasField("mean_logprob") and not math.isfinite(event.mean_logprob):
        raise Poison(f"mean_logprob is {event.mean_logprob}", code="bad_generation")
    return Generation(
        generation_id=event.generation_id,
        release=event.release_digest,
        campaign=event.campaign_id,
        role="shadow" if event.shadow_of else ROLES.get(event.role, ""),
        share=_share(event.canary_share),
        episode=event.episode_id,
        prompt=event.prompt,
        answer=event.answer,
        tokens=event.completion_tokens,
        first_token_s=event.time_to_first_token_s,
        latency_s=event.latency_s,
        outcome=_outcome(event),
        vector=_vector(event.embedding),
        logprob=event.mean_logprob if event.HasField("mean_logprob") else math.nan,
        served_at=_seconds(event.served_at) if event.HasField("served_at") else produced_at,
    )


def feedback(event: FeedbackJoined) -> Feedback:
    """
    Raises:
        Poison: ``bad_feedback``.
    """
    if not event.feedback_id:
        raise Poison("feedback without an id", code="bad_feedback")
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
    )


def declared(event: ApplicationApplied) -> Declared:
    """Zero means the default, as the contract says; ``cooldown_s`` 0 is none."""
    drift, rollout = event.application.drift, event.application.rollout
    plain, usual = Policy(), Declared()
    return Declared(
        revision=event.revision,
        drift=Policy(
            reference_events=drift.reference_events or plain.reference_events,
            average_run_length=max(drift.average_run_length, 20.0)
            if drift.average_run_length > 0
            else plain.average_run_length,
            new_rows=drift.new_rows or plain.new_rows,
            cooldown_s=max(drift.cooldown_s, 0.0),
            daily=drift.campaign_budget or plain.daily,
        ),
        margin=rollout.margin if 0 < rollout.margin < 1 else usual.margin,
        alpha=rollout.alpha if 0 < rollout.alpha < 1 else usual.alpha,
        collection=event.application.dataset.collection,
    )


def champion(table: RoutingTable) -> str:
    """Digest of the champion's release; "" while there is none."""
    routes = (route for route in table.routes if route.role == ROLE_CHAMPION)
    return next((route.release.digest for route in routes), "")


def drift_detected(application: str, rang: Rang) -> events.DriftDetected:
    alarm = rang.alarm
    return events.DriftDetected(
        application=application,
        release_digest=alarm.release,
        signal=alarm.signal,
        cause=alarm.cause,
        statistic=alarm.statistic,
        threshold=alarm.threshold,
        average_run_length=alarm.average_run_length,
        at_event=alarm.at_event,
        reference_events=alarm.reference_events,
        cells=[
            events.CellShift(
                cell=shift.cell, expected_share=shift.expected, observed_share=shift.observed
            )
            for shift in alarm.cells
        ],
        examples=alarm.examples,
        at=timestamp(rang.at),
        generation_id=alarm.generation_id,
    )


def retraining_triggered(
    application: str, trigger: Trigger, collection: str
) -> events.RetrainingTriggered:
    return events.RetrainingTriggered(
        campaign_id=trigger.campaign_id,
        application=application,
        release_digest=trigger.release,
        drift_event_id=trigger.drift_event_id,
        reason=trigger.reason,
        new_rows=trigger.new_rows,
        collection=collection,
    )


def canary_evidence(application: str, evidence: Evidence) -> events.CanaryEvidence:
    """The phase's standing; the shadow phase is not scored."""
    phase, scores = evidence.phase, evidence.comparison
    event = events.CanaryEvidence(
        campaign_id=evidence.campaign,
        application=application,
        phase=PHASES[evidence.name],
        candidate_answered=phase.candidate.answered,
        candidate_failed=phase.candidate.failed,
        champion_answered=phase.champion.answered,
        champion_failed=phase.champion.failed,
        candidate_latency_s=phase.candidate.latency_s,
        champion_latency_s=phase.champion.latency_s,
        stage_answered=phase.stage_answered,
        share=phase.share,
    )
    if evidence.name == "canary":
        estimate, lower, upper = scores.interval()
        event.scored = scores.scored
        event.log_e_promote = scores.log_e_promote
        event.log_e_rollback = scores.log_e_rollback
        event.difference.CopyFrom(
            Interval(
                estimate=estimate,
                lower=lower,
                upper=upper,
                confidence=1 - scores.alpha,
                n=scores.scored,
            )
        )
    return event


def evidence_id(event: events.CanaryEvidence) -> str:
    """The same for the same standing."""
    return str(uuid5(NAMESPACE, event.SerializeToString(deterministic=True).hex()))


def timestamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp


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
    if len(data) % 2 or len(data) > 2 * MAX_DIMENSIONS:
        raise Poison(f"an embedding of {len(data)} bytes", code="bad_embedding")
    vector = np.frombuffer(data, np.dtype("<f2")).astype(np.float16)
    if not np.isfinite(vector).all():
        raise Poison("an embedding with inf or nan", code="bad_embedding")
    return vector
