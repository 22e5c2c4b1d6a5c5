"""A campaign: one run of the loop for one application, and all it has learnt so far."""

from dataclasses import dataclass
from enum import StrEnum

from services.registry.domain.commands import Role
from services.registry.domain.error_budget import alpha_of
from services.registry.domain.events import Observed, Start
from services.registry.domain.values import Dataset, Engine, Evidence, Model, Release, Rollout


class State(StrEnum):
    """In this order, then an end.

    An application without a champion goes from ``loading`` straight to ``promoted``. A proposal
    trains nothing: it goes from ``requested`` to ``loading``, or to ``building`` when its engine
    is to be built again. An upgrade goes from ``shadow`` to ``promoted``.
    """

    REQUESTED = "requested"
    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    BUILDING = "building"
    """The engine of a candidate that passed the evaluation; skipped where it has one already."""
    LOADING = "loading"
    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    """By the offline gate, by its engine's gate, or by the shadow."""
    ROLLED_BACK = "rolled_back"
    """By the evidence of the canary; also when it was futile (the reason says so)."""
    FAILED = "failed"
    """A step could not be done, or another campaign was active."""
    ABORTED = "aborted"
    """By a person."""
    SUPERSEDED = "superseded"
    """An upgrade that gave way to another campaign."""


UPGRADE = "upgrade"
"""Kind of a campaign that builds the champion's engine for the runtime of today."""

ENDS = frozenset(
    {
        State.PROMOTED,
        State.REJECTED,
        State.ROLLED_BACK,
        State.FAILED,
        State.ABORTED,
        State.SUPERSEDED,
    }
)
ON_THE_TABLE = frozenset({State.LOADING, State.SHADOW, State.CANARY})
"""States in which the candidate is part of the routing table."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    passed: bool
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """The candidate's engine, and what its gate says of it."""

    engine: Engine
    passed: bool
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Campaign:
    """State of a campaign. ``sequence`` 0 is one that nobody has asked for yet.

    Args:
        stage: 0, 1, ... within the canary.
        share: of episodes, the candidate's.
        paused: nothing moves forward; what arrives is kept, and harm still withdraws.
        tested: reached a canary, so that it counts in the error budget.
        acted: ids of the operators' events that were taken.
    """

    campaign_id: str
    state: State = State.REQUESTED
    sequence: int = 0
    kind: str = ""
    collection: str = ""
    override_reason: str = ""
    start: Start | None = None
    stage: int = 0
    share: float = 0.0
    paused: bool = False
    awaiting_approval: bool = False
    approved: bool = False
    tested: bool = False
    attempts: int = 0
    dataset: Dataset | None = None
    candidate: Model | None = None
    evaluation: Evaluation | None = None
    built: Built | None = None
    release: Release | None = None
    loaded: bool = False
    observed: Observed | None = None
    outcome_reason: str = ""
    acted: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def begun(self) -> Start:
        """What it decides by. LookupError before it was requested."""
        if self.start is None:
            raise LookupError(f"campaign {self.campaign_id} was not requested")
        return self.start

    @property
    def upgrade(self) -> bool:
        return self.kind == UPGRADE

    def gives_way(self, kind: str) -> bool:
        """Whether it ends where a campaign of ``kind`` begins. An upgrade can wait long for its
        shadow where there is little traffic, and is asked for again."""
        return self.upgrade and not self.ended and kind != UPGRADE

    @property
    def policy(self) -> Rollout:
        return self.begun.application.rollout

    @property
    def alpha(self) -> float:
        """Error probability of this campaign's promotion."""
        return alpha_of(self.begun.ordinal, self.begun.promotions, self.policy.alpha)

    @property
    def role(self) -> Role:
        return Role.CANARY if self.state is State.CANARY else Role.SHADOW
