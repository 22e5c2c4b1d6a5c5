"""What is declared and routed to the domain's values; zero means the default."""

from collections.abc import Iterable
from typing import Final

from protos.registry.v1 import application_pb2 as registry
from protos.registry.v1.application_pb2 import DriftPolicy
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CHAMPION,
    ApplicationApplied,
    RoutingTable,
)
from services.monitor.domain.decision import Policy
from services.monitor.domain.objective import MOST, NAMES, Objective
from services.monitor.domain.outcome import Declared

MAX_SEGMENTS: Final = 4

MAX_TARGET: Final = 0.99999


def declared(event: ApplicationApplied) -> Declared:
    """Zero means the default, as the contract says; ``cooldown_s`` 0 is none."""
    rollout, usual = event.application.rollout, Declared()
    return Declared(
        revision=event.revision,
        drift=_policy(event.application.drift),
        margin=rollout.margin if 0 < rollout.margin < 1 else usual.margin,
        alpha=rollout.alpha if 0 < rollout.alpha < 1 else usual.alpha,
        collection=event.application.dataset.collection,
        objectives=_objectives(event.application.objectives),
        currency=event.application.currency or usual.currency,
    )


def champion(table: RoutingTable) -> str:
    """Digest of the champion's release; "" while there is none."""
    routes = (route for route in table.routes if route.role == ROLE_CHAMPION)
    return next((route.release.digest for route in routes), "")


def _policy(drift: DriftPolicy) -> Policy:
    plain, run_length = Policy(), drift.average_run_length
    return Policy(
        reference_events=drift.reference_events or plain.reference_events,
        average_run_length=max(run_length, 20.0) if run_length > 0 else plain.average_run_length,
        new_rows=drift.new_rows or plain.new_rows,
        cooldown_s=max(drift.cooldown_s, 0.0),
        daily=drift.campaign_budget or plain.daily,
        segment_labels=tuple(drift.segment_labels[:MAX_SEGMENTS]),
        approval=drift.approval,
        quiet_from=drift.quiet_from_hour % 24,
        quiet_to=drift.quiet_to_hour % 24,
        cost_per_hour=max(drift.cost_per_hour, 0.0),
        cost_budget=max(drift.cost_budget, 0.0),
        first_run_s=drift.first_run_s if drift.first_run_s > 0 else plain.first_run_s,
        least_gain=max(drift.least_gain, 0.0),
        seasonal=drift.seasonal,
        conditional=drift.conditional,
    )


def _objectives(declared: Iterable[registry.Objective]) -> tuple[Objective, ...]:
    """Those that the monitor knows, each once; it is not the place to refuse a declaration."""
    found: dict[str, Objective] = {}
    for each in declared:
        if each.name not in NAMES:
            continue
        plain = Objective(each.name)
        objective = Objective(
            name=each.name,
            threshold=max(each.threshold, 0.0),
            target=min(each.target, MAX_TARGET) if each.target > 0 else plain.target,
            period_s=each.period_s if each.period_s > 0 else plain.period_s,
        )
        found.setdefault(objective.key, objective)
    return tuple(found.values())[:MOST]
