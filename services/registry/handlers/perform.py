"""What a campaign asks for, done in the transaction that keeps its new state."""

from libs.events.topics import (
    CANDIDATE_REGISTERED,
    DATASET_REQUESTED,
    ROUTING,
    TRAINING_REQUESTED,
)
from services.registry.domain.campaign import Campaign
from services.registry.domain.commands import (
    Command,
    Crown,
    Expose,
    RegisterCandidate,
    RequestDataset,
    RequestTraining,
    Transition,
    Withdraw,
)
from services.registry.domain.routing import Table, route
from services.registry.ports import Work
from services.registry.wire import messages


def perform(work: Work, application: str, state: Campaign, command: Command) -> None:
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
        case Expose(release=release):
            dataset_digest = state.dataset.dataset_digest if state.dataset else ""
            work.keep_release(campaign_id, release, dataset_digest)
            publish(work, route(work.table(), campaign_id, command))
        case Crown() | Withdraw():
            publish(work, route(work.table(), campaign_id, command))
        case Transition():
            pass


def publish(work: Work, table: Table) -> None:
    """Keep the next version of the routing table and tell everybody; a repeat does nothing."""
    if table.version == work.table().version:
        return
    work.set_table(table)
    work.send(ROUTING, messages.routing_table(table))
