"""Commands and stored things -> events and answers."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from protos.common.v1.common_pb2 import Artifact, Decoding, ModelVersion, Prompt, Provider
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetQuery, DatasetRequested
from protos.registry.v1 import registry_events_pb2 as registry
from protos.registry.v1 import registry_service_pb2 as service
from protos.registry.v1.application_pb2 import Application, Gate, Serving
from protos.training.v1.training_events_pb2 import (
    EngineOrder,
    EngineRequested,
    Recipe,
    TrainingRequested,
)
from services.registry.domain import commands
from services.registry.domain.advance import progress
from services.registry.domain.events import Start
from services.registry.domain.routing import Table
from services.registry.domain.terms import complete_serving
from services.registry.domain.upgrades import stale
from services.registry.domain.values import Evidence, Release
from services.registry.ports import (
    Applied,
    Approval,
    KeptCampaign,
    KeptDataset,
    KeptEngine,
    KeptPrompt,
    KeptRelease,
)
from services.registry.wire.begin import OPERATOR
from services.registry.wire.values import message, messages, optional

ROLES = {
    commands.Role.CHAMPION: registry.ROLE_CHAMPION,
    commands.Role.CANARY: registry.ROLE_CANARY,
    commands.Role.SHADOW: registry.ROLE_SHADOW,
}


def timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def application_applied(applied: Applied) -> registry.ApplicationApplied:
    return registry.ApplicationApplied(
        application=message(Application, applied.application), revision=applied.revision
    )


def dataset_requested(
    campaign_id: str, application: str, command: commands.RequestDataset
) -> DatasetRequested:
    return DatasetRequested(
        campaign_id=campaign_id,
        application=application,
        query=message(DatasetQuery, command.query),
    )


def training_requested(
    campaign_id: str, application: str, command: commands.RequestTraining
) -> TrainingRequested:
    return TrainingRequested(
        run_id=command.run_id,
        campaign_id=campaign_id,
        application=application,
        dataset_digest=command.dataset.dataset_digest,
        train=message(Artifact, command.dataset.train),
        recipe=message(Recipe, command.recipe),
        prompt_template=command.prompt_template,
    )


def candidate_registered(
    campaign_id: str, application: str, command: commands.RegisterCandidate
) -> registry.CandidateRegistered:
    return registry.CandidateRegistered(
        campaign_id=campaign_id,
        application=application,
        candidate=message(ModelVersion, command.candidate),
        reference=optional(ModelVersion, command.reference),
        held_out=message(Artifact, command.dataset.held_out),
        gate=message(Gate, command.gate),
        decoding=message(Decoding, command.decoding),
        prompt_template=command.prompt_template,
    )


def engine_requested(
    campaign_id: str, application: str, command: commands.RequestEngine
) -> EngineRequested:
    return EngineRequested(
        build_id=command.build_id,
        campaign_id=campaign_id,
        application=application,
        model=message(ModelVersion, command.model),
        order=message(EngineOrder, command.policy),
        held_out=optional(Artifact, command.held_out),
        prompt_template=command.prompt_template,
        decoding=message(Decoding, command.decoding),
    )


def routing_table(table: Table) -> registry.RoutingTable:
    """Champion first. Its share is what a canary leaves it; a shadow takes nothing."""
    routes = []
    taken = table.share if table.candidate and table.role is commands.Role.CANARY else 0.0
    if table.champion:
        routes.append(_route(table.champion, commands.Role.CHAMPION, 1.0 - taken))
    if table.candidate:
        routes.append(_route(table.candidate, table.role, table.share))
    return registry.RoutingTable(
        application=table.application,
        version=table.version,
        key_sha256=table.keys,
        salt=table.salt,
        campaign_id=table.campaign_id,
        routes=routes,
        serving=message(Serving, complete_serving(table.serving)),
        fallbacks=messages(registry.Release, table.fallbacks),
        currency=table.currency or "USD",
    )


def _route(release: Release, role: commands.Role, share: float) -> registry.Route:
    return registry.Route(release=message(registry.Release, release), role=ROLES[role], share=share)


def campaign_transitioned(
    campaign_id: str, application: str, transition: commands.Transition, at: datetime
) -> registry.CampaignTransitioned:
    return registry.CampaignTransitioned(
        campaign_id=campaign_id,
        application=application,
        sequence=transition.sequence,
        from_state=transition.from_state,
        to_state=transition.to_state,
        share=transition.share,
        cause_topic=transition.cause.topic,
        cause_event_id=transition.cause.event_id,
        reason=transition.reason,
        evidence=[_evidence(each) for each in transition.evidence],
        policy_revision=transition.policy_revision,
        at=timestamp(at),
    )


def _evidence(seen: Evidence) -> registry.Evidence:
    return registry.Evidence(
        name=seen.name, value=seen.value, lower=seen.lower, upper=seen.upper, n=seen.n
    )


def campaign_start(start: Start, kind: str) -> registry.CampaignStart:
    return registry.CampaignStart(
        application=message(Application, start.application),
        revision=start.revision,
        kind=kind,
        champion=optional(registry.Release, start.champion),
        champion_model=optional(ModelVersion, start.champion_model),
        ordinal=start.ordinal,
        promotions=start.promotions,
        active_campaign_id=start.active_campaign_id,
        prompt=optional(Prompt, start.prompt),
        proposed=optional(registry.Release, start.proposed),
        rebuilt=optional(ModelVersion, start.rebuilt),
        held_out=optional(Artifact, start.held_out),
        unmet=start.unmet,
    )


def campaign(
    kept: KeptCampaign, transitions: Sequence[registry.CampaignTransitioned]
) -> service.Campaign:
    state = kept.state
    return service.Campaign(
        campaign_id=state.campaign_id,
        application=kept.application,
        kind=state.kind or OPERATOR,
        state=state.state.value,
        share=state.share,
        paused=state.paused,
        outcome_reason=state.outcome_reason,
        state_sha256=kept.sha256,
        transitions=transitions,
        started_at=timestamp(kept.started_at),
        progress=progress(state),
    )


def dataset_entry(kept: KeptDataset) -> service.DatasetEntry:
    entry = message(service.DatasetEntry, kept.dataset)
    entry.application = kept.application
    entry.campaign_id = kept.campaign_id
    return entry


def release_entry(kept: KeptRelease, table: Table | None) -> service.ReleaseEntry:
    """With the part that it plays in ``table`` now."""
    entry = service.ReleaseEntry(
        release=message(registry.Release, kept.release),
        campaign_id=kept.campaign_id,
        dataset_digest=kept.dataset_digest,
        created_at=timestamp(kept.created_at),
    )
    for route in routing_table(table).routes if table else ():
        if route.release.digest == kept.release.digest:
            entry.role, entry.share = route.role, route.share
    return entry


def prompt_entry(kept: KeptPrompt, declared: bool) -> service.PromptEntry:
    return service.PromptEntry(
        application=kept.application,
        prompt=message(Prompt, kept.prompt),
        created_by=kept.created_by,
        created_at=timestamp(kept.created_at),
        declared=declared,
    )


def engine_entry(kept: KeptEngine) -> service.EngineEntry:
    built = kept.built.engine.runtime_version
    return service.EngineEntry(
        built=kept.built,
        stale=stale(built, kept.current_version),
        current_version=kept.current_version or built,
        built_at=timestamp(kept.built_at),
    )


def provider_entry(provider: object, approval: Approval | None) -> service.ProviderEntry:
    entry = service.ProviderEntry(provider=message(Provider, provider))
    if approval:
        entry.approved = True
        entry.approved_by = approval.operator
        entry.reason = approval.reason
        entry.campaign_id = approval.campaign_id
        entry.approved_at.CopyFrom(timestamp(approval.at))
    return entry
