"""`perennial signals|alarms|slo|decisions`: what the monitor sees, why, and what it decided."""

import math
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from protos.monitor.v1 import monitor_service_pb2 as pb
from protos.monitor.v1.monitor_events_pb2 import DecisionMade, Verdict
from protos.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub
from services.cli import show
from services.cli.session import TIMEOUT_S, Session

DIGEST = 12

Application = Annotated[str, typer.Option("--application", "-a", help="All of them when left out.")]


def signals(application: Application = "", as_json: show.AsJson = False) -> None:
    """Show each detector against its threshold (natural logs)."""
    request = pb.ListSignalsRequest(application=application, without_history=not as_json)
    found = _monitor().ListSignals(request, timeout=TIMEOUT_S).signals
    show.rows("signals", [show.as_dict(e) if as_json else signal_row(e) for e in found], as_json)


def alarms(application: Application = "", as_json: show.AsJson = False) -> None:
    """Show the last alarms with their causes and examples."""
    request = pb.ListAlarmsRequest(application=application)
    found = _monitor().ListAlarms(request, timeout=TIMEOUT_S).alarms
    show.rows("alarms", [show.as_dict(e) if as_json else alarm_row(e) for e in found], as_json)


def slo(application: Application = "", as_json: show.AsJson = False) -> None:
    """Show each objective: error budget left and burn rates."""
    request = pb.ListObjectivesRequest(application=application)
    found = _monitor().ListObjectives(request, timeout=TIMEOUT_S).objectives
    shown = [show.as_dict(each) if as_json else objective_row(each) for each in found]
    show.rows("objectives", shown, as_json)


def decisions(application: Application = "", as_json: show.AsJson = False) -> None:
    """Show what was decided after each alarm, and why."""
    request = pb.ListDecisionsRequest(application=application)
    found = _monitor().ListDecisions(request, timeout=TIMEOUT_S).decisions
    shown = [show.as_dict(each) if as_json else decision_row(each) for each in found]
    show.rows("decisions", shown, as_json)


def signal_row(signal: pb.Signal) -> dict[str, Any]:
    return {
        "application": signal.application,
        "release": signal.release_digest[:DIGEST],
        "signal": signal.name,
        "segment": signal.segment,
        "phase": signal.phase,
        "events": signal.events,
        "reference": signal.reference_events,
        "statistic": f"{signal.statistic:.1f} of {signal.threshold:.1f}"
        if signal.threshold
        else "",
        "stands": "yes" if signal.stands else "",
        "left out": signal.duplicates + signal.copies + signal.unusable or "",
        "skipped": signal.skipped or "",
        "notes": "; ".join(signal.notes),
    }


def alarm_row(alarm: pb.Alarm) -> dict[str, Any]:
    detected = alarm.detected
    told = alarm.attributed if alarm.HasField("attributed") else detected
    return {
        "at": _when(detected.at),
        "application": detected.application,
        "release": detected.release_digest[:DIGEST],
        "signal": detected.signal,
        "segment": detected.segment,
        "cause": f"{told.cause} ({told.confidence:.0%})",
        "evidence": "\n".join(told.evidence),
        "terms": " ".join(detected.terms),
        "example": detected.examples[0] if detected.examples else "",
    }


def objective_row(standing: pb.ObjectiveStanding) -> dict[str, Any]:
    burns = [f"{each.long_rate:.1f}/{each.short_rate:.1f}" for each in standing.burn_rates]
    threshold = f" {standing.threshold:g}" if standing.threshold else ""
    return {
        "application": standing.application,
        "release": standing.release_digest[:DIGEST],
        "objective": f"{standing.name}{threshold}",
        "asked": standing.asked,
        "answers": standing.answers,
        "bad": standing.bad,
        "budget left": f"{standing.budget_left:.1%}",
        "burn (long/short)": "  ".join(burns),
        "state": standing.severity or "kept",
    }


def decision_row(made: DecisionMade) -> dict[str, Any]:
    gain = made.loss_gain
    known = made.HasField("loss_gain") and math.isfinite(gain.estimate)
    return {
        "at": _when(made.at),
        "application": made.application,
        "release": made.release_digest[:DIGEST],
        "verdict": Verdict.Name(made.verdict).removeprefix("VERDICT_").lower(),
        "why": "\n".join(made.reasons),
        "cause": made.cause,
        "rows": f"{made.new_rows} of {made.rows_wanted}",
        "loss gain": f"{gain.estimate:.2f} [{gain.lower:.2f}, {gain.upper:.2f}]" if known else "",
        "price": f"{made.expected_seconds:.0f} s, {made.expected_cost:.2f}"
        if made.expected_seconds
        else "",
        "campaign": made.campaign_id,
    }


def _when(at: Timestamp) -> str:
    return at.ToDatetime().isoformat(" ", "seconds")


def _monitor() -> MonitorServiceStub:
    return MonitorServiceStub(Session.here().operator("monitor.rpc"))
