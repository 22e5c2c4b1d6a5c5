"""Inputs of a campaign: facts that happened elsewhere, each with the event that told it."""

from dataclasses import dataclass
from enum import StrEnum

from services.registry.domain.canonical import later
from services.registry.domain.values import (
    Application,
    Artifact,
    Dataset,
    Engine,
    Evidence,
    Model,
    Prompt,
    Release,
    RowFilter,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """The event on the log that brought a fact."""

    topic: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Start:
    """What a campaign decides by, fixed when it begins.

    Args:
        champion: None while the application has none; then ``champion_model`` is None too.
        ordinal, promotions: see `error_budget`.
        active_campaign_id: another campaign of the application that is still running, or "".
        prompt: the declared one's version; None in campaigns of before there were versions.
        proposed: the release to be tried; None: a model is trained.
        rebuilt: of the proposed release, whose engine is to be built again from it first.
        held_out: rows for that engine's gate.
        unmet: why what was proposed cannot be made, or "".
    """

    application: Application
    revision: int
    champion: Release | None = None
    champion_model: Model | None = None
    ordinal: int = 1
    promotions: int = 0
    active_campaign_id: str = ""
    prompt: Prompt | None = None
    proposed: Release | None = None
    rebuilt: Model | None = None
    held_out: Artifact | None = None
    unmet: str = later("")


@dataclass(frozen=True, slots=True)
class Requested:
    cause: Cause
    campaign_id: str
    kind: str
    collection: str
    reason: str
    override_reason: str
    start: Start
    only: RowFilter | None = None
    always: RowFilter | None = None


@dataclass(frozen=True, slots=True)
class DatasetVersioned:
    cause: Cause
    campaign_id: str
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class DatasetRefused:
    cause: Cause
    campaign_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    cause: Cause
    campaign_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TrainingCompleted:
    cause: Cause
    campaign_id: str
    model: Model


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    cause: Cause
    campaign_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class EvaluationCompleted:
    cause: Cause
    campaign_id: str
    candidate_digest: str
    passed: bool
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class EvaluationFailed:
    cause: Cause
    campaign_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class EngineBuilt:
    """``passed``: it answers as its weights do, and fast enough."""

    cause: Cause
    campaign_id: str
    model_digest: str
    engine: Engine
    passed: bool
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class EngineFailed:
    cause: Cause
    campaign_id: str
    model_digest: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class EngineLoaded:
    cause: Cause
    campaign_id: str
    release_digest: str
    replica: str
    ready: bool
    reason: str
    seconds: float


class Phase(StrEnum):
    SHADOW = "shadow"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Observed:
    """Counts and evidence of one phase from its beginning; the newest stands for all before it.

    ``answered`` and ``failed`` are disjoint. ``log_e_*`` are natural logarithms of e-values.
    """

    phase: Phase
    share: float
    stage_answered: int
    candidate_answered: int
    candidate_failed: int
    champion_answered: int
    champion_failed: int
    scored: int
    difference: float
    difference_lower: float
    difference_upper: float
    log_e_promote: float
    log_e_rollback: float
    candidate_latency_s: float
    champion_latency_s: float

    @property
    def mirrored(self) -> int:
        """Answers that a shadow was asked for, failed ones too."""
        return self.candidate_answered + self.candidate_failed


@dataclass(frozen=True, slots=True)
class CanaryEvidence:
    cause: Cause
    campaign_id: str
    observed: Observed


class Action(StrEnum):
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class OperatorActed:
    cause: Cause
    campaign_id: str
    action: Action
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another campaign begins: ``by``, of ``kind``."""

    cause: Cause
    campaign_id: str
    by: str
    kind: str


def superseded(asked: Requested, campaign_id: str) -> Superseded:
    """What the request for another campaign means to ``campaign_id``."""
    return Superseded(asked.cause, campaign_id, asked.campaign_id, asked.kind)


CampaignEvent = (
    Requested
    | DatasetVersioned
    | DatasetRefused
    | TrainingStarted
    | TrainingCompleted
    | TrainingFailed
    | EvaluationCompleted
    | EvaluationFailed
    | EngineBuilt
    | EngineFailed
    | EngineLoaded
    | CanaryEvidence
    | OperatorActed
    | Superseded
)
