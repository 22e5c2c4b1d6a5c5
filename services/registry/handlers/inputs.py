"""One handler per consumed topic: translate, and let the campaign decide."""

from dataclasses import dataclass
from typing import Protocol

from libs.events.delivery import Delivery
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationCompleted, EvaluationFailed
from protos.inference.v1.inference_events_pb2 import EngineLoaded
from protos.monitor.v1.monitor_events_pb2 import CanaryEvidence, RetrainingTriggered
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRefused, DatasetVersioned
from protos.registry.v1.registry_events_pb2 import CampaignRequested, OperatorActed
from protos.training.v1.training_events_pb2 import (
    EngineBuilt,
    EngineFailed,
    EngineStale,
    TrainingCompleted,
    TrainingFailed,
    TrainingStarted,
)
from services.registry.domain.events import CampaignEvent
from services.registry.handlers.conduct import Conduct
from services.registry.handlers.requests import ask_for_upgrade
from services.registry.wire import begin
from services.registry.wire import events as wire


@dataclass(frozen=True, slots=True)
class OnCampaignRequested:
    conduct: Conduct

    def __call__(self, delivery: Delivery[CampaignRequested]) -> None:
        event = delivery.event
        self.conduct.begin(
            event.application,
            event.campaign_id,
            lambda start: begin.campaign_requested(delivery, start),
            begin.proposal(event),
        )


@dataclass(frozen=True, slots=True)
class OnRetrainingTriggered:
    conduct: Conduct

    def __call__(self, delivery: Delivery[RetrainingTriggered]) -> None:
        event = delivery.event
        self.conduct.begin(
            event.application,
            event.campaign_id,
            lambda start: begin.retraining_triggered(delivery, start),
        )


@dataclass(frozen=True, slots=True)
class OnDatasetVersioned:
    conduct: Conduct

    def __call__(self, delivery: Delivery[DatasetVersioned]) -> None:
        _take(self.conduct, delivery.event, wire.dataset_versioned(delivery))


@dataclass(frozen=True, slots=True)
class OnDatasetRefused:
    conduct: Conduct

    def __call__(self, delivery: Delivery[DatasetRefused]) -> None:
        _take(self.conduct, delivery.event, wire.dataset_refused(delivery))


@dataclass(frozen=True, slots=True)
class OnTrainingStarted:
    conduct: Conduct

    def __call__(self, delivery: Delivery[TrainingStarted]) -> None:
        _take(self.conduct, delivery.event, wire.training_started(delivery))


@dataclass(frozen=True, slots=True)
class OnTrainingCompleted:
    conduct: Conduct

    def __call__(self, delivery: Delivery[TrainingCompleted]) -> None:
        _take(self.conduct, delivery.event, wire.training_completed(delivery))


@dataclass(frozen=True, slots=True)
class OnTrainingFailed:
    conduct: Conduct

    def __call__(self, delivery: Delivery[TrainingFailed]) -> None:
        _take(self.conduct, delivery.event, wire.training_failed(delivery))


@dataclass(frozen=True, slots=True)
class OnEngineBuilt:
    """Kept whoever asked for it; then it is its campaign's, if one did."""

    conduct: Conduct

    def __call__(self, delivery: Delivery[EngineBuilt]) -> None:
        built = wire.engine_built(delivery)
        with self.conduct.store.write(delivery.event.application) as work:
            work.shelf.keep_engine(delivery.event)
        _take(self.conduct, delivery.event, built)


@dataclass(frozen=True, slots=True)
class OnEngineFailed:
    conduct: Conduct

    def __call__(self, delivery: Delivery[EngineFailed]) -> None:
        _take(self.conduct, delivery.event, wire.engine_failed(delivery))


@dataclass(frozen=True, slots=True)
class OnEngineStale:
    """Kept; a champion whose engine it is gets another one built."""

    conduct: Conduct

    def __call__(self, delivery: Delivery[EngineStale]) -> None:
        event = delivery.event
        with self.conduct.store.write(event.application) as work:
            work.shelf.keep_runtime(event.runtime, event.current_version)
            ask_for_upgrade(work, event.application, self.conduct.clock)


@dataclass(frozen=True, slots=True)
class OnEvaluationCompleted:
    conduct: Conduct

    def __call__(self, delivery: Delivery[EvaluationCompleted]) -> None:
        _take(self.conduct, delivery.event, wire.evaluation_completed(delivery))


@dataclass(frozen=True, slots=True)
class OnEvaluationFailed:
    conduct: Conduct

    def __call__(self, delivery: Delivery[EvaluationFailed]) -> None:
        _take(self.conduct, delivery.event, wire.evaluation_failed(delivery))


@dataclass(frozen=True, slots=True)
class OnCanaryEvidence:
    conduct: Conduct

    def __call__(self, delivery: Delivery[CanaryEvidence]) -> None:
        _take(self.conduct, delivery.event, wire.canary_evidence(delivery))


@dataclass(frozen=True, slots=True)
class OnOperatorActed:
    conduct: Conduct

    def __call__(self, delivery: Delivery[OperatorActed]) -> None:
        _take(self.conduct, delivery.event, wire.operator_acted(delivery))


@dataclass(frozen=True, slots=True)
class OnEngineLoaded:
    """Of a candidate, or of the champion that it is compared with (``campaign_id`` "")."""

    conduct: Conduct

    def __call__(self, delivery: Delivery[EngineLoaded]) -> None:
        event = delivery.event
        self.conduct.take(
            event.application,
            event.campaign_id,
            lambda campaign_id: wire.engine_loaded(delivery, campaign_id),
        )


class OfCampaign(Protocol):
    """A message that names its application and campaign."""

    @property
    def application(self) -> str: ...

    @property
    def campaign_id(self) -> str: ...


def _take(conduct: Conduct, told: OfCampaign, event: CampaignEvent) -> None:
    """Events without a campaign are of no concern."""
    if told.campaign_id:
        conduct.take(told.application, told.campaign_id, lambda _: event)
