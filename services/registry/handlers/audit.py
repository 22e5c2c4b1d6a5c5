"""A campaign recomputed from the topics alone, and held against what is recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any, Final

from libs.events.delivery import Delivery
from libs.events.topics import (
    APPLICATION_APPLIED,
    CAMPAIGN_REQUESTED,
    CAMPAIGN_TRANSITIONED,
    CANARY_EVIDENCE,
    DATASET_REFUSED,
    DATASET_VERSIONED,
    ENGINE_BUILT,
    ENGINE_FAILED,
    ENGINE_LOADED,
    EVALUATION_COMPLETED,
    EVALUATION_FAILED,
    OPERATOR_ACTED,
    RETRAINING_TRIGGERED,
    TRAINING_COMPLETED,
    TRAINING_FAILED,
    TRAINING_STARTED,
    Topic,
)
from libs.faults import NOT_FOUND, Poison
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from protos.registry.v1.registry_service_pb2 import ReplayCampaignResponse
from services.registry.domain.campaign import Campaign
from services.registry.domain.canonical import plain
from services.registry.domain.commands import Transition
from services.registry.domain.events import CampaignEvent, Requested, Start, superseded
from services.registry.domain.replay import replay, state_sha256
from services.registry.domain.values import Application
from services.registry.ports import Catalogue, KeptCampaign, Log
from services.registry.wire import begin
from services.registry.wire import events as wire
from services.registry.wire.values import value

Translate = Callable[[Delivery[Any]], CampaignEvent]

FACTS: Final[tuple[tuple[Topic[Any], Translate], ...]] = (
    (DATASET_VERSIONED, wire.dataset_versioned),
    (DATASET_REFUSED, wire.dataset_refused),
    (TRAINING_STARTED, wire.training_started),
    (TRAINING_COMPLETED, wire.training_completed),
    (TRAINING_FAILED, wire.training_failed),
    (EVALUATION_COMPLETED, wire.evaluation_completed),
    (EVALUATION_FAILED, wire.evaluation_failed),
    (ENGINE_BUILT, wire.engine_built),
    (ENGINE_FAILED, wire.engine_failed),
    (CANARY_EVIDENCE, wire.canary_evidence),
    (OPERATOR_ACTED, wire.operator_acted),
)
TOPICS: Final[tuple[Topic[Any], ...]] = (
    APPLICATION_APPLIED,
    CAMPAIGN_TRANSITIONED,
    CAMPAIGN_REQUESTED,
    RETRAINING_TRIGGERED,
    ENGINE_LOADED,
    *(topic for topic, _ in FACTS),
)

REQUESTS: Final = (CAMPAIGN_REQUESTED, RETRAINING_TRIGGERED)


@dataclass(frozen=True, slots=True)
class ReplayCampaign:
    catalogue: Catalogue
    log: Log

    def __call__(self, campaign_id: str) -> ReplayCampaignResponse:
        """
        Raises:
            Poison: ``not_found``.
            Retryable: the broker or the store is away.
        """
        kept = self.catalogue.campaign(campaign_id)
        if kept is None:
            raise Poison(f"no campaign {campaign_id[:80]!r}", code=NOT_FOUND)
        log = list(self._log(kept))
        history = _history(log)
        start = begin.start(history[0].start) if history else None
        order = [event_id for event in history for event_id in event.input_event_ids]
        order += [event_id for _, event_id in kept.pending]
        inputs = list(_inputs(log, kept, start, order)) if start else []
        replayed = replay(campaign_id, inputs, order)
        digest = state_sha256(replayed.state)
        differences = [
            *(_in_policy(log, start) if start else ()),
            *_in_history(history, replayed.transitions),
            *_in_state(kept.state, replayed.state),
        ]
        return ReplayCampaignResponse(
            agrees=digest == kept.sha256 and not differences,
            recorded_sha256=kept.sha256,
            replayed_sha256=digest,
            events_read=len({event.cause.event_id for event in inputs}),
            differences=differences,
        )

    def _log(self, kept: KeptCampaign) -> Iterator[Delivery[Any]]:
        """All that the topics say of the campaign: its inputs, its history, its policy.

        Engines are its concern also without its id: one may be the champion's. So are requests
        for others: it may have given way to one.
        """
        for delivery in self.log.read(TOPICS):
            event = delivery.event
            if delivery.topic is APPLICATION_APPLIED:
                if event.application.name == kept.application:
                    yield delivery
            elif event.application == kept.application:
                engines = delivery.topic is ENGINE_LOADED and not event.campaign_id
                if (
                    engines
                    or delivery.topic in REQUESTS
                    or event.campaign_id == kept.state.campaign_id
                ):
                    yield delivery


def _inputs(
    log: Sequence[Delivery[Any]], kept: KeptCampaign, start: Start, order: Sequence[str]
) -> Iterator[CampaignEvent]:
    """``order``: ids of the recorded inputs; requests for others are inputs only there."""
    campaign_id = kept.state.campaign_id
    translations: dict[str, Translate] = {
        CAMPAIGN_REQUESTED.name: lambda each: begin.campaign_requested(each, start),
        RETRAINING_TRIGGERED.name: lambda each: begin.retraining_triggered(each, start),
        ENGINE_LOADED.name: lambda each: wire.engine_loaded(each, campaign_id),
        **{topic.name: translate for topic, translate in FACTS},
    }
    for delivery in log:
        if delivery.topic.name not in translations:
            continue
        try:
            event = translations[delivery.topic.name](delivery)
        except Poison:
            continue  # dead-lettered when it arrived: it never was an input
        if not isinstance(event, Requested) or event.campaign_id == campaign_id:
            yield event
        elif event.cause.event_id in order:
            yield superseded(event, campaign_id)


def _history(log: Sequence[Delivery[Any]]) -> list[CampaignTransitioned]:
    """The recorded transitions by sequence, repeats left out."""
    told = [each.event for each in log if each.topic is CAMPAIGN_TRANSITIONED]
    known = {event.sequence: event for event in told}
    return [known[sequence] for sequence in sorted(known)]


def _in_policy(log: Sequence[Delivery[Any]], start: Start) -> Iterator[str]:
    """The policy is the one that was applied, where the compacted topic still has it."""
    for delivery in log:
        event = delivery.event
        if delivery.topic is not APPLICATION_APPLIED or event.revision != start.revision:
            continue
        if value(Application, event.application) != start.application:
            yield f"policy revision {start.revision} is not the one that was applied"


def _in_history(
    recorded: Sequence[CampaignTransitioned], replayed: Sequence[Transition]
) -> Iterator[str]:
    for was, now in zip_longest(recorded, replayed):
        told = was and (was.sequence, was.from_state, was.to_state, was.cause_event_id)
        found = now and (now.sequence, now.from_state, now.to_state, now.cause.event_id)
        if told != found:
            yield f"transition: recorded {told}, replayed {found}"


def _in_state(recorded: Campaign, replayed: Campaign) -> Iterator[str]:
    for field in fields(Campaign):
        was, now = (plain(getattr(state, field.name)) for state in (recorded, replayed))
        if was != now:
            yield f"{field.name}: recorded {str(was)[:200]}, replayed {str(now)[:200]}"
