"""Answers of the registry and the monitor -> domain values."""

import math
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from protos.monitor.v1 import monitor_service_pb2 as monitor_pb
from protos.registry.v1 import registry_events_pb2 as events_pb
from protos.registry.v1 import registry_service_pb2 as registry_pb
from services.console.domain.snapshot import (
    Campaign,
    Evidence,
    Release,
    Signal,
    Transition,
    Window,
)


def release(entry: registry_pb.ReleaseEntry) -> Release:
    return Release(
        digest=entry.release.digest,
        application=entry.release.application,
        role=_role(entry.role),
        share=entry.share,
        campaign_id=entry.campaign_id,
        created_at=moment(entry.created_at),
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
