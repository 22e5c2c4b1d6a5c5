"""What a campaign asks of the world. Performed in the transaction that keeps its new state."""

from dataclasses import dataclass
from enum import StrEnum

from services.registry.domain.events import Cause
from services.registry.domain.policies import EnginePolicy, Provider
from services.registry.domain.values import (
    Artifact,
    Dataset,
    DatasetQuery,
    Decoding,
    Evidence,
    Gate,
    Model,
    Recipe,
    Release,
)


class Role(StrEnum):
    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of a campaign's history.

    Args:
        sequence: 1, 2, ... within the campaign.
        share: of episodes, the candidate's after the transition.
    """

    sequence: int
    from_state: str
    to_state: str
    share: float
    cause: Cause
    reason: str
    evidence: tuple[Evidence, ...]
    policy_revision: int


@dataclass(frozen=True, slots=True)
class RequestDataset:
    query: DatasetQuery


@dataclass(frozen=True, slots=True)
class RequestTraining:
    """``dataset`` is remembered, and trained on."""

    run_id: str
    dataset: Dataset
    recipe: Recipe
    prompt_template: str


@dataclass(frozen=True, slots=True)
class RegisterCandidate:
    """``candidate`` is remembered, and evaluated against ``reference`` (None: the base model)."""

    candidate: Model
    reference: Model | None
    dataset: Dataset
    gate: Gate
    decoding: Decoding
    prompt_template: str


@dataclass(frozen=True, slots=True)
class RequestEngine:
    """``held_out``: rows that the engine answers beside the weights; None: the builder's last."""

    build_id: str
    model: Model
    policy: EnginePolicy
    held_out: Artifact | None
    decoding: Decoding
    prompt_template: str


@dataclass(frozen=True, slots=True)
class Expose:
    """Put ``release`` beside the champion, as a shadow or a canary, for ``share`` of episodes."""

    release: Release
    role: Role
    share: float


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The champion alone answers again."""


@dataclass(frozen=True, slots=True)
class Crown:
    """``release`` becomes the champion; the old one leaves the table."""

    release: Release


@dataclass(frozen=True, slots=True)
class Approve:
    """``provider`` has answered users without harm: it may be a fallback."""

    provider: Provider


Command = (
    Transition
    | RequestDataset
    | RequestTraining
    | RegisterCandidate
    | RequestEngine
    | Expose
    | Withdraw
    | Crown
    | Approve
)
