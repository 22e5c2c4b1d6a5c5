"""The domain's outcomes to events."""

from typing import Final
from uuid import uuid5

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from protos.common.v1.common_pb2 import Interval
from protos.monitor.v1 import monitor_events_pb2 as events
from services.monitor.domain.benefit import CONFIDENCE, Estimate
from services.monitor.domain.decision import NAMESPACE
from services.monitor.domain.outcome import Attributed, Evidence, ProbeWanted, Rang
from services.monitor.domain.sample import Alarm
from services.monitor.domain.slo import Burn, Change
from services.monitor.domain.verdict import Made, Trigger

VERDICTS: Final = {
    "retrain": events.VERDICT_RETRAIN,
    "wait_for_labels": events.VERDICT_WAIT_FOR_LABELS,
    "roll_back": events.VERDICT_ROLL_BACK,
    "notify_only": events.VERDICT_NOTIFY_ONLY,
}

PHASES: Final = {"shadow": events.ROLLOUT_PHASE_SHADOW, "canary": events.ROLLOUT_PHASE_CANARY}


def drift_detected(application: str, rang: Rang) -> events.DriftDetected:
    alarm, opinion = rang.alarm, rang.opinion
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
        cells=cells(alarm),
        examples=alarm.examples,
        at=timestamp(rang.at),
        generation_id=alarm.generation_id,
        confidence=opinion.confidence,
        evidence=opinion.evidence,
        segment=alarm.segment,
        examples_before=alarm.examples_before,
        terms=alarm.terms,
        seed=alarm.seed,
    )


def cells(alarm: Alarm) -> list[events.CellShift]:
    return [
        events.CellShift(
            cell=shift.cell, expected_share=shift.expected, observed_share=shift.observed
        )
        for shift in alarm.cells
    ]


def cause_attributed(application: str, told: Attributed) -> events.CauseAttributed:
    return events.CauseAttributed(
        application=application,
        release_digest=told.release,
        drift_event_id=told.event_id,
        cause=told.found.cause,
        confidence=told.found.confidence,
        evidence=told.found.evidence,
        signals=told.signals,
        events=told.events,
        at=timestamp(told.at),
    )


def probe_requested(application: str, wanted: ProbeWanted) -> events.ProbeRequested:
    return events.ProbeRequested(
        application=application,
        release_digest=wanted.release,
        drift_event_id=wanted.event_id,
        probes=wanted.probes,
        at=timestamp(wanted.at),
    )


def slo_breached(application: str, change: Change) -> events.SloBreached:
    objective = change.objective
    return events.SloBreached(
        application=application,
        release_digest=change.release,
        objective=objective.name,
        severity=change.severity,
        resolved=change.resolved,
        burn_rates=[burn_rate(burn) for burn in change.burns],
        budget_left=change.budget_left,
        since=timestamp(change.since),
        at=timestamp(change.at),
        threshold=objective.threshold,
        target=objective.target,
        period_s=objective.period_s,
    )


def burn_rate(burn: Burn) -> events.BurnRate:
    return events.BurnRate(
        severity=burn.severity,
        threshold=burn.threshold,
        long_window_s=burn.long_s,
        short_window_s=burn.short_s,
        long_rate=burn.long_rate,
        short_rate=burn.short_rate,
        burning=burn.burning,
    )


def decision_made(application: str, made: Made) -> events.DecisionMade:
    figures = made.figures
    event = events.DecisionMade(
        application=application,
        release_digest=made.release,
        drift_event_id=made.drift_event_id,
        verdict=VERDICTS[made.verdict],
        reasons=made.reasons,
        cause=made.cause,
        new_rows=figures.new_rows,
        rows_wanted=figures.rows_wanted,
        expected_seconds=figures.expected_s,
        expected_cost=figures.cost,
        spent_cost=figures.spent,
        campaign_id=made.campaign_id,
        approval=made.approval,
        at=timestamp(made.at),
    )
    if figures.gain is not None:
        event.loss_gain.CopyFrom(_interval(figures.gain))
    if figures.difference is not None:
        event.rating_difference.CopyFrom(_interval(figures.difference))
    return event


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
        rows_since=timestamp(trigger.since),
        rows_until=timestamp(trigger.until),
        segment=trigger.segment,
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


def event_id(event: Message) -> str:
    """The same for the same content."""
    return str(uuid5(NAMESPACE, event.SerializeToString(deterministic=True).hex()))


def timestamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp


def _interval(found: Estimate) -> Interval:
    return Interval(
        estimate=found.value, lower=found.lower, upper=found.upper, confidence=CONFIDENCE, n=found.n
    )
