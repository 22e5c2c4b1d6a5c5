"""Every topic, declared once. Provisioning, compose, docs and contract tests read this table.

All keys are application names, so that one application's events keep their order and
the topics that are joined are co-partitioned. Each topic has dead letters: ``topic.dead_letters``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from protos.evaluation.v1.evaluation_events_pb2 import EvaluationCompleted, EvaluationFailed
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven, FeedbackJoined
from protos.inference.v1.inference_events_pb2 import (
    EngineLoaded,
    GenerationServed,
    ProviderProbed,
)
from protos.ingest.v1.ingest_events_pb2 import RecordReceived, RecordSubmitted
from protos.monitor.v1.monitor_events_pb2 import (
    CanaryEvidence,
    CauseAttributed,
    DecisionMade,
    DriftDetected,
    ProbeRequested,
    RetrainingTriggered,
    SloBreached,
)
from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetRefused,
    DatasetRequested,
    DatasetVersioned,
    RecordRejected,
)
from protos.registry.v1.registry_events_pb2 import (
    ApplicationApplied,
    CampaignRequested,
    CampaignTransitioned,
    CandidateRegistered,
    OperatorActed,
    RoutingTable,
)
from protos.training.v1.training_events_pb2 import (
    EngineBuilt,
    EngineFailed,
    EngineRequested,
    EngineStale,
    TrainingCompleted,
    TrainingFailed,
    TrainingProgressed,
    TrainingRequested,
    TrainingStarted,
)

E = TypeVar("E", bound=Message)

DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Topic(Generic[E]):
    """A topic and the contract of what is on it."""

    name: str
    event: type[E]
    key: Callable[[E], str]
    producer: str
    consumers: tuple[str, ...]
    partitions: int = 4
    compacted: bool = False
    retention_ms: int = 30 * DAY_MS

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dlq"


UPSTREAM: Final = "upstream"
"""Producer of what other systems publish."""

RECORD_SUBMITTED: Final = Topic(
    name="ingest.record-submitted.v1",
    event=RecordSubmitted,
    key=lambda event: event.record.application,
    producer=UPSTREAM,
    consumers=("ingest",),
)
RECORD_RECEIVED: Final = Topic(
    name="ingest.record-received.v1",
    event=RecordReceived,
    key=lambda event: event.record.application,
    producer="ingest",
    consumers=("preprocessing",),
)
RECORD_REJECTED: Final = Topic(
    name="preprocessing.record-rejected.v1",
    event=RecordRejected,
    key=lambda event: event.application,
    producer="preprocessing",
    consumers=(),
)
DATASET_REQUESTED: Final = Topic(
    name="preprocessing.dataset-requested.v1",
    event=DatasetRequested,
    key=lambda event: event.application,
    producer="registry",
    consumers=("preprocessing",),
)
DATASET_VERSIONED: Final = Topic(
    name="preprocessing.dataset-versioned.v1",
    event=DatasetVersioned,
    key=lambda event: event.application,
    producer="preprocessing",
    consumers=("registry",),
)
DATASET_REFUSED: Final = Topic(
    name="preprocessing.dataset-refused.v1",
    event=DatasetRefused,
    key=lambda event: event.application,
    producer="preprocessing",
    consumers=("registry",),
)
TRAINING_REQUESTED: Final = Topic(
    name="training.requested.v1",
    event=TrainingRequested,
    key=lambda event: event.application,
    producer="registry",
    consumers=("trainer",),
)
TRAINING_STARTED: Final = Topic(
    name="training.started.v1",
    event=TrainingStarted,
    key=lambda event: event.application,
    producer="trainer",
    consumers=("registry",),
)
TRAINING_PROGRESSED: Final = Topic(
    name="training.progressed.v1",
    event=TrainingProgressed,
    key=lambda event: event.application,
    producer="trainer",
    consumers=(),
)
TRAINING_COMPLETED: Final = Topic(
    name="training.completed.v1",
    event=TrainingCompleted,
    key=lambda event: event.application,
    producer="trainer",
    consumers=("monitor", "registry"),
)
TRAINING_FAILED: Final = Topic(
    name="training.failed.v1",
    event=TrainingFailed,
    key=lambda event: event.application,
    producer="trainer",
    consumers=("registry",),
)
ENGINE_REQUESTED: Final = Topic(
    name="training.engine-requested.v1",
    event=EngineRequested,
    key=lambda event: event.application,
    producer="registry",
    consumers=("trainer",),
)
ENGINE_BUILT: Final = Topic(
    name="training.engine-built.v1",
    event=EngineBuilt,
    key=lambda event: event.application,
    producer="trainer",
    consumers=("registry",),
)
ENGINE_FAILED: Final = Topic(
    name="training.engine-failed.v1",
    event=EngineFailed,
    key=lambda event: event.application,
    producer="trainer",
    consumers=("registry",),
)
ENGINE_STALE: Final = Topic(
    name="training.engine-stale.v1",
    event=EngineStale,
    key=lambda event: event.application,
    producer="trainer",
    consumers=("registry",),
)
CANDIDATE_REGISTERED: Final = Topic(
    name="registry.candidate-registered.v1",
    event=CandidateRegistered,
    key=lambda event: event.application,
    producer="registry",
    consumers=("evaluation",),
)
EVALUATION_COMPLETED: Final = Topic(
    name="evaluation.completed.v1",
    event=EvaluationCompleted,
    key=lambda event: event.application,
    producer="evaluation",
    consumers=("registry",),
)
EVALUATION_FAILED: Final = Topic(
    name="evaluation.failed.v1",
    event=EvaluationFailed,
    key=lambda event: event.application,
    producer="evaluation",
    consumers=("registry",),
)
APPLICATION_APPLIED: Final = Topic(
    name="registry.application-applied.v1",
    event=ApplicationApplied,
    key=lambda event: event.application.name,
    producer="registry",
    consumers=("monitor",),
    partitions=1,
    compacted=True,
)
CAMPAIGN_REQUESTED: Final = Topic(
    name="registry.campaign-requested.v1",
    event=CampaignRequested,
    key=lambda event: event.application,
    producer="registry",
    consumers=("registry",),
)
OPERATOR_ACTED: Final = Topic(
    name="registry.operator-acted.v1",
    event=OperatorActed,
    key=lambda event: event.application,
    producer="registry",
    consumers=("registry",),
)
CAMPAIGN_TRANSITIONED: Final = Topic(
    name="registry.campaign-transitioned.v1",
    event=CampaignTransitioned,
    key=lambda event: event.application,
    producer="registry",
    consumers=("trainer",),
)
ROUTING: Final = Topic(
    name="registry.routing.v1",
    event=RoutingTable,
    key=lambda event: event.application,
    producer="registry",
    consumers=("feedback", "inference", "ingest", "monitor"),
    partitions=1,
    compacted=True,
)
GENERATION_SERVED: Final = Topic(
    name="inference.generation-served.v1",
    event=GenerationServed,
    key=lambda event: event.application,
    producer="inference",
    consumers=("feedback", "monitor"),
)
ENGINE_LOADED: Final = Topic(
    name="inference.engine-loaded.v1",
    event=EngineLoaded,
    key=lambda event: event.application,
    producer="inference",
    consumers=("registry",),
)
DRIFT_DETECTED: Final = Topic(
    name="monitor.drift-detected.v1",
    event=DriftDetected,
    key=lambda event: event.application,
    producer="monitor",
    consumers=(),
)
RETRAINING_TRIGGERED: Final = Topic(
    name="monitor.retraining-triggered.v1",
    event=RetrainingTriggered,
    key=lambda event: event.application,
    producer="monitor",
    consumers=("registry",),
)
CANARY_EVIDENCE: Final = Topic(
    name="monitor.canary-evidence.v1",
    event=CanaryEvidence,
    key=lambda event: event.application,
    producer="monitor",
    consumers=("registry",),
)
CAUSE_ATTRIBUTED: Final = Topic(
    name="monitor.cause-attributed.v1",
    event=CauseAttributed,
    key=lambda event: event.application,
    producer="monitor",
    consumers=(),
)
DECISION_MADE: Final = Topic(
    name="monitor.decision-made.v1",
    event=DecisionMade,
    key=lambda event: event.application,
    producer="monitor",
    consumers=(),
)
SLO_BREACHED: Final = Topic(
    name="monitor.slo-breached.v1",
    event=SloBreached,
    key=lambda event: event.application,
    producer="monitor",
    consumers=(),
)
PROBE_REQUESTED: Final = Topic(
    name="monitor.probe-requested.v1",
    event=ProbeRequested,
    key=lambda event: event.application,
    producer="monitor",
    consumers=("inference",),
)
PROVIDER_PROBED: Final = Topic(
    name="inference.provider-probed.v1",
    event=ProviderProbed,
    key=lambda event: event.application,
    producer="inference",
    consumers=("monitor",),
)
FEEDBACK_GIVEN: Final = Topic(
    name="feedback.given.v1",
    event=FeedbackGiven,
    key=lambda event: event.application,
    producer="feedback",
    consumers=("feedback",),
)
FEEDBACK_JOINED: Final = Topic(
    name="feedback.joined.v1",
    event=FeedbackJoined,
    key=lambda event: event.application,
    producer="feedback",
    consumers=("monitor", "preprocessing"),
)

ALL: Final[tuple[Topic[Message], ...]] = tuple(
    topic for topic in list(globals().values()) if isinstance(topic, Topic)
)
BY_NAME: Final = {topic.name: topic for topic in ALL}
