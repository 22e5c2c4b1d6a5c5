"""Consumed events -> inputs of a campaign. What cannot be meant is Poison."""

import math
from dataclasses import replace
from typing import Any

from libs.events.delivery import Delivery
from libs.faults import Poison
from protos.common.v1.common_pb2 import Interval
from protos.evaluation.v1 import evaluation_events_pb2 as evaluation
from protos.inference.v1 import inference_events_pb2 as inference
from protos.monitor.v1 import monitor_events_pb2 as monitor
from protos.preprocessing.v1 import preprocessing_events_pb2 as preprocessing
from protos.registry.v1 import registry_events_pb2 as registry
from protos.training.v1 import training_events_pb2 as training
from services.registry.domain import events
from services.registry.domain.values import (
    Dataset,
    Engine,
    Evidence,
    Model,
)
from services.registry.wire.values import value

ACTIONS = {
    registry.OPERATOR_ACTION_APPROVE: events.Action.APPROVE,
    registry.OPERATOR_ACTION_PAUSE: events.Action.PAUSE,
    registry.OPERATOR_ACTION_RESUME: events.Action.RESUME,
    registry.OPERATOR_ACTION_ABORT: events.Action.ABORT,
}
PHASES = {
    monitor.ROLLOUT_PHASE_SHADOW: events.Phase.SHADOW,
    monitor.ROLLOUT_PHASE_CANARY: events.Phase.CANARY,
}


def cause(delivery: Delivery[Any]) -> events.Cause:
    return events.Cause(delivery.topic.name, delivery.event_id)


def dataset_versioned(
    delivery: Delivery[preprocessing.DatasetVersioned],
) -> events.DatasetVersioned:
    """
    Raises:
        Poison: ``incomplete`` when the digest or a file is missing.
    """
    event = delivery.event
    if not (event.dataset_digest and event.HasField("train") and event.HasField("held_out")):
        raise Poison("a dataset version has a digest, train and held_out", code="incomplete")
    dataset = value(Dataset, event)
    return events.DatasetVersioned(cause(delivery), event.campaign_id, dataset)


def dataset_refused(delivery: Delivery[preprocessing.DatasetRefused]) -> events.DatasetRefused:
    event = delivery.event
    return events.DatasetRefused(cause(delivery), event.campaign_id, event.code, event.reason)


def training_started(delivery: Delivery[training.TrainingStarted]) -> events.TrainingStarted:
    event = delivery.event
    return events.TrainingStarted(cause(delivery), event.campaign_id, event.attempt)


def training_completed(
    delivery: Delivery[training.TrainingCompleted],
) -> events.TrainingCompleted:
    """
    Raises:
        Poison: ``incomplete`` when the model has no digest, or neither weights nor an engine.
    """
    event = delivery.event
    model = value(Model, event.model)
    if not event.model.engine.digest:
        model = replace(model, engine=None)
    if not (model.digest and (model.merged or model.engine)):
        raise Poison("a trained model has a digest and its weights", code="incomplete")
    return events.TrainingCompleted(cause(delivery), event.campaign_id, model)


def training_failed(delivery: Delivery[training.TrainingFailed]) -> events.TrainingFailed:
    event = delivery.event
    return events.TrainingFailed(cause(delivery), event.campaign_id, event.code, event.reason)


def engine_built(delivery: Delivery[training.EngineBuilt]) -> events.EngineBuilt:
    """A figure that is no number is no evidence; the gate has judged it already.

    Raises:
        Poison: ``incomplete`` when the engine has no digest.
    """
    event = delivery.event
    if not event.engine.digest:
        raise Poison("an engine has a digest", code="incomplete")
    loss = event.loss_difference
    measured = all(map(math.isfinite, (loss.estimate, loss.lower, loss.upper)))
    figures = {
        "mean_abs_logprob_difference": event.mean_abs_logprob_difference,
        "greedy_agreement": event.greedy_agreement,
        "first_token_p95_s": event.first_token_p95_s,
        "tokens_per_s": event.tokens_per_s,
        "size_bytes": event.size_bytes,
    }
    if event.repeated_answers:
        figures["identical_answers"] = event.identical_answers
    return events.EngineBuilt(
        cause=cause(delivery),
        campaign_id=event.campaign_id,
        model_digest=event.model_digest,
        engine=value(Engine, event.engine),
        passed=event.passed,
        reasons=tuple(event.reasons),
        evidence=(
            *((_interval("loss_difference", loss),) if measured else ()),
            *(Evidence(name, float(seen)) for name, seen in figures.items() if math.isfinite(seen)),
        ),
    )


def engine_failed(delivery: Delivery[training.EngineFailed]) -> events.EngineFailed:
    event = delivery.event
    return events.EngineFailed(
        cause(delivery), event.campaign_id, event.model_digest, event.code, event.reason
    )


def _interval(name: str, seen: Interval) -> Evidence:
    return Evidence(
        name=name,
        value=_finite(seen.estimate, f"{name}.estimate"),
        lower=_finite(seen.lower, f"{name}.lower"),
        upper=_finite(seen.upper, f"{name}.upper"),
        n=seen.n,
    )


def evaluation_completed(
    delivery: Delivery[evaluation.EvaluationCompleted],
) -> events.EvaluationCompleted:
    event = delivery.event
    seen = tuple(
        _interval(f"{segment.segment or 'all'}.{metric.metric}", metric.difference)
        for segment in event.segments
        for metric in segment.metrics
    )
    return events.EvaluationCompleted(
        cause=cause(delivery),
        campaign_id=event.campaign_id,
        candidate_digest=event.candidate_digest,
        passed=event.passed,
        reasons=tuple(event.reasons),
        evidence=seen,
    )


def evaluation_failed(
    delivery: Delivery[evaluation.EvaluationFailed],
) -> events.EvaluationFailed:
    event = delivery.event
    return events.EvaluationFailed(cause(delivery), event.campaign_id, event.code, event.reason)


def engine_loaded(
    delivery: Delivery[inference.EngineLoaded], campaign_id: str
) -> events.EngineLoaded:
    """Of the campaign that is running: an engine may be loaded for nobody's campaign."""
    event = delivery.event
    return events.EngineLoaded(
        cause=cause(delivery),
        campaign_id=campaign_id,
        release_digest=event.release_digest,
        replica=event.replica or "a replica",
        ready=event.ready,
        reason=event.reason,
        seconds=event.seconds,
    )


def canary_evidence(delivery: Delivery[monitor.CanaryEvidence]) -> events.CanaryEvidence:
    """
    Raises:
        Poison: ``bad_evidence`` for an unknown phase or an e-value that is no number.
    """
    event = delivery.event
    if event.phase not in PHASES:
        raise Poison(f"phase {event.phase} is unknown", code="bad_evidence")
    difference = event.difference
    observed = events.Observed(
        phase=PHASES[event.phase],
        share=_finite(event.share, "share"),
        stage_answered=event.stage_answered,
        candidate_answered=event.candidate_answered,
        candidate_failed=event.candidate_failed,
        champion_answered=event.champion_answered,
        champion_failed=event.champion_failed,
        scored=event.scored,
        difference=_finite(difference.estimate, "difference.estimate"),
        # Scores lie in [0, 1]: a side of the interval that is still open is at most this wide.
        difference_lower=difference.lower if math.isfinite(difference.lower) else -1.0,
        difference_upper=difference.upper if math.isfinite(difference.upper) else 1.0,
        log_e_promote=_finite(event.log_e_promote, "log_e_promote"),
        log_e_rollback=_finite(event.log_e_rollback, "log_e_rollback"),
        candidate_latency_s=_finite(event.candidate_latency_s, "candidate_latency_s"),
        champion_latency_s=_finite(event.champion_latency_s, "champion_latency_s"),
    )
    return events.CanaryEvidence(cause(delivery), event.campaign_id, observed)


def operator_acted(delivery: Delivery[registry.OperatorActed]) -> events.OperatorActed:
    """
    Raises:
        Poison: ``unknown_action``.
    """
    event = delivery.event
    if event.action not in ACTIONS:
        raise Poison(f"action {event.action} is unknown", code="unknown_action")
    return events.OperatorActed(
        cause=cause(delivery),
        campaign_id=event.campaign_id,
        action=ACTIONS[event.action],
        operator=event.operator or "an operator",
        reason=event.reason,
    )


def _finite(number: float, name: str) -> float:
    if not math.isfinite(number):
        raise Poison(f"{name} is {number}", code="bad_evidence")
    return number
