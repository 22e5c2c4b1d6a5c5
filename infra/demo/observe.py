"""What the services did: campaigns from the registry, facts from the topics."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from google.protobuf.message import Message

from libs.events.delivery import Delivery
from libs.events.topics import (
    CAMPAIGN_TRANSITIONED,
    DATASET_VERSIONED,
    DRIFT_DETECTED,
    ENGINE_BUILT,
    ENGINE_LOADED,
    EVALUATION_COMPLETED,
    RETRAINING_TRIGGERED,
    ROUTING,
    TRAINING_COMPLETED,
    TRAINING_PROGRESSED,
    TRAINING_STARTED,
    E,
    Topic,
)
from libs.faults import Poison
from libs.kafka.consumer import delivery_of
from libs.kafka.replay import read_all
from protos.monitor.v1.monitor_service_pb2 import ListSignalsRequest, Signal
from protos.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.cli.session import TIMEOUT_S, Session

FACTS: Final[tuple[Topic[Any], ...]] = (
    CAMPAIGN_TRANSITIONED,
    DATASET_VERSIONED,
    DRIFT_DETECTED,
    ENGINE_BUILT,
    ENGINE_LOADED,
    EVALUATION_COMPLETED,
    RETRAINING_TRIGGERED,
    ROUTING,
    TRAINING_COMPLETED,
    TRAINING_STARTED,
)
ENDED: Final = frozenset({"promoted", "rejected", "rolled_back", "failed", "aborted", "superseded"})


@dataclass(frozen=True, slots=True)
class Fact:
    topic: str
    event_id: str
    at: datetime
    event: Message


@dataclass(frozen=True, slots=True)
class Observer:
    session: Session
    application: str

    def registry(self) -> RegistryServiceStub:
        return RegistryServiceStub(self.session.operator("registry.rpc"))

    def campaigns(self) -> list[messages.Campaign]:
        """Newest first."""
        request = messages.ListCampaignsRequest(application=self.application, page_size=100)
        return list(self.registry().ListCampaigns(request, timeout=TIMEOUT_S).campaigns)

    def campaign(self, campaign_id: str) -> messages.Campaign:
        request = messages.GetCampaignRequest(campaign_id=campaign_id)
        return self.registry().GetCampaign(request, timeout=TIMEOUT_S)

    def replay(self, campaign_id: str) -> messages.ReplayCampaignResponse:
        request = messages.ReplayCampaignRequest(campaign_id=campaign_id)
        return self.registry().ReplayCampaign(request, timeout=10 * TIMEOUT_S)

    def signals(self) -> list[Signal]:
        monitor = MonitorServiceStub(self.session.operator("monitor.rpc"))
        request = ListSignalsRequest(application=self.application)
        return list(monitor.ListSignals(request, timeout=TIMEOUT_S).signals)

    def events(self, topic: Topic[E]) -> Iterator[Delivery[E]]:
        """Every event of the application on a topic, oldest first within a partition."""
        for record in read_all(self.session.kafka(), topic.name):
            if record.value is None:
                continue
            try:
                delivery: Delivery[E] = delivery_of(record)
            except Poison:
                continue  # it lies in the dead letters
            if topic.key(delivery.event) == self.application:
                yield delivery

    def facts(self) -> list[Fact]:
        """What was decided and done, in the order in which it was produced."""
        found = [
            Fact(topic.name, delivery.event_id, delivery.produced_at, delivery.event)
            for topic in FACTS
            for delivery in self.events(topic)
        ]
        return sorted(found, key=lambda fact: fact.at)

    def training_progress(self, campaign_id: str) -> str:
        """``step 12 of 30``, or nothing."""
        last = None
        for delivery in self.events(TRAINING_PROGRESSED):
            if delivery.event.campaign_id == campaign_id:
                last = delivery.event
        return f"step {last.step} of {last.total_steps}, loss {last.loss:.2f}" if last else ""
