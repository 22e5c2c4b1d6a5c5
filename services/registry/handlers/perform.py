"""What a campaign asks for, done in the transaction that keeps its new state."""

from dataclasses import replace
from datetime import datetime

from libs.events.topics import (
    APPLICATION_APPLIED,
    CANDIDATE_REGISTERED,
    DATASET_REQUESTED,
    ENGINE_REQUESTED,
    ROUTING,
    TRAINING_REQUESTED,
)
from services.registry.domain.campaign import Campaign
from services.registry.domain.commands import (
    Approve,
    Command,
    Crown,
    Expose,
    RegisterCandidate,
    RequestDataset,
    RequestEngine,
    RequestTraining,
    Transition,
    Withdraw,
)
from services.registry.domain.policies import Provider
from services.registry.domain.routing import Table, numbered, route, with_terms
from services.registry.domain.terms import complete_serving, identity
from services.registry.domain.values import Release
from services.registry.ports import Applied, Approval, Work
from services.registry.wire import messages


def perform(work: Work, application: str, state: Campaign, command: Command, now: datetime) -> None:
    """Do ``command`` of ``state``; a Transition is the campaign's own record, see `conduct`."""
    campaign_id = state.campaign_id
    match command:
        case RequestDataset():
            requested = messages.dataset_requested(campaign_id, application, command)
            work.send(DATASET_REQUESTED, requested)
        case RequestTraining(dataset=dataset):
            work.keep_dataset(campaign_id, dataset)
            training = messages.training_requested(campaign_id, application, command)
            work.send(TRAINING_REQUESTED, training)
        case RegisterCandidate(candidate=candidate):
            work.keep_model(campaign_id, candidate)
            registered = messages.candidate_registered(campaign_id, application, command)
            work.send(CANDIDATE_REGISTERED, registered)
        case RequestEngine():
            build = messages.engine_requested(campaign_id, application, command)
            work.send(ENGINE_REQUESTED, build)
        case Expose(release=release):
            work.keep_release(campaign_id, release, _dataset_of(work, state, release))
            publish(work, route(work.table(), campaign_id, command))
        case Crown(release=release):
            if state.begun.proposed and not state.upgrade:
                _adopt(work, state, release)
            publish(work, route(work.table(), campaign_id, command))
        case Withdraw():
            publish(work, route(work.table(), campaign_id, command))
        case Approve(provider=provider):
            why = f"{state.state.value}: {state.outcome_reason}"
            work.shelf.approve(Approval(provider, campaign_id, "", why, now))
            publish(work, work.table())
        case Transition():
            pass


def publish(work: Work, table: Table) -> None:
    """Keep the next version of the routing table and tell everybody; a repeat does nothing.

    What the application declares goes along: its serving policy, and the fallbacks that were
    approved, with the prompt and decoding of the table's champion.
    """
    before, applied = work.table(), work.applied()
    if applied:
        serving = complete_serving(applied.application.serving)
        approved = _approved(work, serving.fallbacks)
        table = with_terms(table, serving, approved, applied.application.currency)
    table = numbered(before, table)
    if table == before:
        return
    for fallback in table.fallbacks:
        work.keep_release("", fallback, "")
    work.set_table(table)
    work.send(ROUTING, messages.routing_table(table))


def _approved(work: Work, declared: tuple[Provider, ...]) -> tuple[Provider, ...]:
    known = {identity(approval.provider) for approval in work.shelf.approvals()}
    return tuple(provider for provider in declared if identity(provider) in known)


def _dataset_of(work: Work, state: Campaign, release: Release) -> str:
    """Digest of the dataset version behind ``release``; of none of ours: ""."""
    if state.dataset:
        return state.dataset.dataset_digest
    model = work.model(release.model_digest)
    return model.dataset_digest if model else ""


def _adopt(work: Work, state: Campaign, release: Release) -> None:
    """What a proposal has proved holds for later campaigns: the declaration takes it over,
    unless it was changed meanwhile."""
    applied, began = work.applied(), state.begun.application
    if applied is None:
        return
    now = applied.application
    if (now.prompt_template, now.decoding) != (began.prompt_template, began.decoding):
        return
    changed = replace(
        now,
        prompt_template=release.prompt_template,
        prompt_variables=release.prompt.variables if release.prompt else now.prompt_variables,
        decoding=release.decoding,
    )
    if changed != now:
        work.apply(Applied(changed, applied.revision + 1))
        work.send(
            APPLICATION_APPLIED,
            messages.application_applied(Applied(changed, applied.revision + 1)),
        )
