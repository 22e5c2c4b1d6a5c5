"""Answers of the registry and the monitor -> domain values."""

import math
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from protos.monitor.v1 import monitor_events_pb2 as monitor_events_pb
from protos.monitor.v1 import monitor_service_pb2 as monitor_pb
from protos.registry.v1 import registry_events_pb2 as events_pb
from protos.registry.v1 import registry_service_pb2 as registry_pb
from protos.training.v1.training_events_pb2 import EngineBuilt
from services.console.domain.snapshot import (
    Alarm,
    Burn,
    Campaign,
    Decision,
    Evidence,
    Objective,
    Release,
    Scatter,
    Signal,
    Transition,
    Window,
)


def release(entry: registry_pb.ReleaseEntry, gate: EngineBuilt | None = None) -> Release:
    """``gate``: of its engine, where one is known."""
    return Release(
        digest=entry.release.digest,
        application=entry.release.application,
        role=_role(entry.role),
        share=entry.share,
        campaign_id=entry.campaign_id,
        created_at=moment(entry.created_at),
        identical=_finite(gate.identical_answers) if gate else 0.0,
        repeated=gate.repeated_answers if gate else 0,
    )


def campaign(message: registry_pb.Campaign) -> Campaign:
    steps = sorted(message.transitions, key=lambda step: step.sequence)
    return Campaign(
        campaign_id=message.campaign_id,
        application=message.application,
        kind=message.kind,
        state=message.state,
        share=message.share,
        paused=message.paused,
        outcome_reason=message.outcome_reason,
        started_at=moment(message.started_at),
        transitions=tuple(_transition(step) for step in steps),
        progress=message.progress,
    )


def signal(message: monitor_pb.Signal) -> Signal:
    """Points that are not finite (the log of zero) are shown at 0."""
    return Signal(
        application=message.application,
        release_digest=message.release_digest,
        name=message.name,
        phase=message.phase,
        reference_events=message.reference_events,
        reference_wanted=message.reference_wanted,
        events=message.events,
        statistic=_finite(message.statistic),
        threshold=_finite(message.threshold),
        average_run_length=_finite(message.average_run_length),
        alarms=message.alarms,
        history=tuple((point.event, _finite(point.statistic)) for point in message.history),
        cause=message.cause,
        segment=message.segment,
        notes=tuple(message.notes),
        left_out=message.duplicates + message.copies + message.unusable,
        skipped=message.skipped,
        stands=message.stands,
    )


def alarm(message: monitor_pb.Alarm) -> Alarm:
    """With the cause of its case where that is known, else with the alarm's own opinion."""
    rang = message.detected
    attributed = message.HasField("attributed")
    told = message.attributed if attributed else rang
    return Alarm(
        application=rang.application,
        release_digest=rang.release_digest,
        signal=rang.signal,
        segment=rang.segment,
        cause=told.cause,
        confidence=_finite(told.confidence),
        attributed=attributed,
        at=moment(rang.at),
        at_event=rang.at_event,
        statistic=_finite(rang.statistic),
        threshold=_finite(rang.threshold),
        evidence=tuple(told.evidence),
        cells=tuple(
            (one.cell, _finite(one.expected_share), _finite(one.observed_share))
            for one in rang.cells
        ),
        terms=tuple(rang.terms),
        before=tuple(rang.examples_before),
        after=tuple(rang.examples),
        event_id=message.drift_event_id,
    )


def objective(message: monitor_pb.ObjectiveStanding) -> Objective:
    return Objective(
        application=message.application,
        release_digest=message.release_digest,
        name=message.name,
        asked=message.asked,
        period_s=_finite(message.period_s),
        answers=message.answers,
        bad=message.bad,
        budget_left=_finite(message.budget_left),
        severity=message.severity,
        burns=tuple(
            Burn(
                severity=one.severity,
                threshold=_finite(one.threshold),
                long_s=_finite(one.long_window_s),
                short_s=_finite(one.short_window_s),
                long_rate=_finite(one.long_rate),
                short_rate=_finite(one.short_rate),
                burning=one.burning,
            )
            for one in message.burn_rates
        ),
    )


def decision(message: monitor_events_pb.DecisionMade) -> Decision:
    name = monitor_events_pb.Verdict.Name(message.verdict).removeprefix("VERDICT_").lower()
    return Decision(
        application=message.application,
        verdict=name,
        cause=message.cause,
        reasons=tuple(message.reasons),
        new_rows=message.new_rows,
        rows_wanted=message.rows_wanted,
        expected_seconds=_finite(message.expected_seconds),
        expected_cost=_finite(message.expected_cost),
        campaign_id=message.campaign_id,
        at=moment(message.at),
    )


def scatter(message: monitor_pb.GetScatterResponse) -> Scatter:
    return Scatter(
        reference=tuple((_finite(one.x), _finite(one.y)) for one in message.reference),
        recent=tuple((_finite(one.x), _finite(one.y)) for one in message.recent),
    )


def window(message: monitor_pb.Window) -> Window:
    return Window(
        application=message.application,
        release_digest=message.release_digest,
        start=moment(message.start),
        answered=message.answered,
        failed=message.failed,
        latency_p50_s=_finite(message.latency_p50_s),
        latency_p95_s=_finite(message.latency_p95_s),
    )


def moment(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, tz=UTC)


def _transition(step: events_pb.CampaignTransitioned) -> Transition:
    return Transition(
        sequence=step.sequence,
        from_state=step.from_state,
        to_state=step.to_state,
        share=step.share,
        reason=step.reason,
        cause_topic=step.cause_topic,
        cause_event_id=step.cause_event_id,
        at=moment(step.at),
        evidence=tuple(
            Evidence(one.name, one.value, one.lower, one.upper, one.n) for one in step.evidence
        ),
    )


def _role(number: int) -> str:
    """ "champion", "canary", "shadow", or "" for none and for roles of newer registries."""
    known = {
        events_pb.ROLE_CHAMPION: "champion",
        events_pb.ROLE_CANARY: "canary",
        events_pb.ROLE_SHADOW: "shadow",
    }
    return known.get(number, "")  # type: ignore[call-overload,no-any-return,unused-ignore]


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
