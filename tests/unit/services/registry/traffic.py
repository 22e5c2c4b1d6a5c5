"""What the other services would answer."""

from libs.events.topics import (
    CAMPAIGN_TRANSITIONED,
    CANARY_EVIDENCE,
    CANDIDATE_REGISTERED,
    DATASET_REQUESTED,
    DATASET_VERSIONED,
    ENGINE_BUILT,
    ENGINE_LOADED,
    ENGINE_REQUESTED,
    EVALUATION_COMPLETED,
    ROUTING,
    TRAINING_COMPLETED,
    TRAINING_REQUESTED,
)
from protos.common.v1.common_pb2 import Artifact, Engine, Interval, ModelVersion
from protos.evaluation.v1.evaluation_events_pb2 import (
    EvaluationCompleted,
    MetricDifference,
    SegmentResult,
)
from protos.inference.v1.inference_events_pb2 import EngineLoaded
from protos.monitor.v1.monitor_events_pb2 import (
    ROLLOUT_PHASE_CANARY,
    ROLLOUT_PHASE_SHADOW,
    CanaryEvidence,
)
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetVersioned
from protos.registry.v1.registry_events_pb2 import Proposal
from protos.training.v1.training_events_pb2 import EngineBuilt, TrainingCompleted
from tests.unit.services.registry.flow import Registry

FILE = Artifact(uri="s3://perennial/sha256/aa", sha256="aa", size_bytes=3, media_type="x/y")


def prepare(registry: Registry, digest: str = "d1") -> None:
    asked = registry.last(DATASET_REQUESTED)
    registry.tell(
        DATASET_VERSIONED,
        DatasetVersioned(
            campaign_id=asked.campaign_id,
            application=asked.application,
            dataset_digest=digest,
            manifest=FILE,
            train=FILE,
            held_out=FILE,
        ),
    )


def engine_of(model: str, version: str = "1") -> Engine:
    return Engine(
        digest=f"engine-{model}-{version}",
        runtime="test",
        runtime_version=version,
        weights=FILE,
        tokenizer=FILE,
    )


def train(registry: Registry, model: str, *, with_engine: bool = True) -> None:
    """``with_engine``: as trainers did before engines were built after the evaluation."""
    asked = registry.last(TRAINING_REQUESTED)
    trained = ModelVersion(
        digest=model,
        base_digest="b",
        merged=FILE,
        engine=engine_of(model) if with_engine else None,
        dataset_digest=asked.dataset_digest,
    )
    registry.tell(
        TRAINING_COMPLETED,
        TrainingCompleted(
            run_id=asked.run_id,
            campaign_id=asked.campaign_id,
            application=asked.application,
            model=trained,
        ),
    )


def evaluate(registry: Registry, passed: bool = True) -> None:
    asked = registry.last(CANDIDATE_REGISTERED)
    gain = Interval(estimate=-0.6, lower=-0.7, upper=-0.5, confidence=0.95, n=120)
    loss = MetricDifference(metric="answer_loss", candidate=3.1, reference=3.7, difference=gain)
    registry.tell(
        EVALUATION_COMPLETED,
        EvaluationCompleted(
            campaign_id=asked.campaign_id,
            application=asked.application,
            candidate_digest=asked.candidate.digest,
            passed=passed,
            reasons=["answer loss -0.60"],
            segments=[SegmentResult(segment="bank", rows=120, metrics=[loss])],
        ),
    )


def build(registry: Registry, version: str = "1", passed: bool = True, upper: float = 0.02) -> None:
    asked = registry.last(ENGINE_REQUESTED)
    registry.tell(
        ENGINE_BUILT,
        EngineBuilt(
            build_id=asked.build_id,
            campaign_id=asked.campaign_id,
            application=asked.application,
            model_digest=asked.model.digest,
            engine=engine_of(asked.model.digest, version),
            passed=passed,
            reasons=["loss +0.004"],
            report=FILE,
            loss_difference=Interval(estimate=0.004, lower=-0.01, upper=upper, n=16),
        ),
    )


def load(registry: Registry, ready: bool = True) -> None:
    table = registry.last(ROUTING)
    release = table.routes[-1].release
    registry.tell(
        ENGINE_LOADED,
        EngineLoaded(
            application=table.application,
            release_digest=release.digest,
            engine_digest=release.engine.digest,
            replica="replica-0",
            ready=ready,
            campaign_id=table.campaign_id,
        ),
    )


def shadow(registry: Registry, answered: int = 20) -> None:
    table = registry.last(ROUTING)
    registry.tell(
        CANARY_EVIDENCE,
        CanaryEvidence(
            campaign_id=table.campaign_id,
            application=table.application,
            phase=ROLLOUT_PHASE_SHADOW,
            candidate_answered=answered,
            champion_answered=answered,
        ),
    )


def canary(registry: Registry, answered: int, promote: float = 0.0, harm: float = 0.0) -> None:
    """Cumulative: ``answered`` by both arms, all of them in the present stage."""
    table = registry.last(ROUTING)
    registry.tell(
        CANARY_EVIDENCE,
        CanaryEvidence(
            campaign_id=table.campaign_id,
            application=table.application,
            phase=ROLLOUT_PHASE_CANARY,
            candidate_answered=answered // 2,
            champion_answered=answered - answered // 2,
            scored=answered,
            difference=Interval(estimate=0.05, lower=-0.1, upper=0.2, confidence=0.95, n=answered),
            log_e_promote=promote,
            log_e_rollback=harm,
            stage_answered=answered,
            share=table.routes[-1].share,
        ),
    )


def crown_first(registry: Registry, model: str = "m1") -> str:
    """The application's first release; returns the campaign's id."""
    campaign_id = registry.start()
    prepare(registry)
    train(registry, model)
    evaluate(registry)
    load(registry)
    assert registry.last(CAMPAIGN_TRANSITIONED).to_state == "promoted"
    return campaign_id


def to_canary(registry: Registry, model: str = "m2") -> None:
    """From a campaign that asked for its dataset to its first canary stage."""
    prepare(registry, f"dataset-of-{model}")
    train(registry, model)
    evaluate(registry)
    load(registry)
    shadow(registry)


def try_out(registry: Registry, **proposal: object) -> str:
    """A campaign of a proposal, up to its last stage."""
    campaign_id = registry.start(proposal=Proposal(**proposal))  # type: ignore[arg-type]
    load(registry)
    shadow(registry)
    for answered in (20, 60):
        canary(registry, answered)
    return campaign_id


def promote(registry: Registry) -> None:
    canary(registry, 120, promote=4.9)
