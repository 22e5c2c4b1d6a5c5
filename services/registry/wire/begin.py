"""What begins a campaign: a request or an alarm, and what it decides by."""

from google.protobuf.json_format import SerializeToJsonError

from libs.events.delivery import Delivery
from libs.faults import Poison
from protos.monitor.v1 import monitor_events_pb2 as monitor
from protos.preprocessing.v1 import preprocessing_events_pb2 as preprocessing
from protos.registry.v1 import registry_events_pb2 as registry
from services.registry.domain import events
from services.registry.domain.campaign import UPGRADE
from services.registry.domain.values import (
    Application,
    Artifact,
    Model,
    Prompt,
    Proposal,
    Release,
    RowFilter,
)
from services.registry.wire.events import cause
from services.registry.wire.values import given, value

OPERATOR = "operator"
RETRAINING = "retraining"
PROPOSAL = "proposal"


def start(message: registry.CampaignStart) -> events.Start:
    """What a campaign decided by, as its first transition recorded it."""
    return events.Start(
        application=value(Application, message.application),
        revision=message.revision,
        champion=given(Release, message, "champion"),
        champion_model=given(Model, message, "champion_model"),
        ordinal=message.ordinal,
        promotions=message.promotions,
        active_campaign_id=message.active_campaign_id,
        prompt=given(Prompt, message, "prompt"),
        proposed=given(Release, message, "proposed"),
        rebuilt=given(Model, message, "rebuilt"),
        held_out=given(Artifact, message, "held_out"),
        unmet=message.unmet,
    )


def proposal(event: registry.CampaignRequested) -> Proposal | None:
    return given(Proposal, event, "proposal")


def kind_of(event: registry.CampaignRequested) -> str:
    if event.proposal.upgrade:
        return UPGRADE
    return PROPOSAL if event.HasField("proposal") else OPERATOR


def rows_alone(event: registry.CampaignRequested) -> RowFilter | None:
    """
    Raises:
        Poison: ``bad_filter``.
    """
    return _rows(event.only) if event.HasField("only") else None


def _rows(message: preprocessing.RowFilter) -> RowFilter:
    try:
        return value(RowFilter, message)
    except SerializeToJsonError as error:  # no such time
        raise Poison(f"rows: {error}", code="bad_filter") from error


def campaign_requested(
    delivery: Delivery[registry.CampaignRequested], begun: events.Start
) -> events.Requested:
    """
    Raises:
        Poison: ``bad_filter``.
    """
    event = delivery.event
    only = rows_alone(event)
    told = f"requested by {event.requested_by or 'an operator'}{f', {only} alone' if only else ''}"
    return events.Requested(
        cause=cause(delivery),
        campaign_id=event.campaign_id,
        kind=kind_of(event),
        collection=event.collection,
        reason=f"{told}: {event.reason}" if event.reason else told,
        override_reason=event.override_reason,
        start=begun,
        only=only,
    )


def retraining_triggered(
    delivery: Delivery[monitor.RetrainingTriggered], begun: events.Start
) -> events.Requested:
    """The rows of the drift come to those that any campaign trains on, whatever the cap: on them
    alone the model would forget the rest.

    Raises:
        Poison: ``bad_filter``.
    """
    event = delivery.event
    times = {"since": event.rows_since, "until": event.rows_until}
    drifted = preprocessing.RowFilter(segment=event.segment, **times)
    return events.Requested(
        cause=cause(delivery),
        campaign_id=event.campaign_id,
        kind=RETRAINING,
        collection=event.collection,
        reason=f"{event.reason}; {event.new_rows} new rows",
        override_reason="",
        start=begun,
        always=_rows(drifted) if event.HasField("rows_until") else None,
    )
