"""What the monitor knows of an answer and of what was said about it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["", "champion", "canary", "shadow"]


@dataclass(slots=True)
class Generation:
    """One served answer; not frozen, for every field of a frozen one takes a call to set.

    Fields:
        role: "" when the gateway did not say.
        share: probability of the canary when the arm was drawn; 0 outside a canary.
        outcome: "cancelled" is neither an answer nor a failure.
        vector: ``(d,)`` float16 embedding of the prompt; ``(0,)`` when unknown.
        logprob: mean nats per answer token; nan when unknown.
        served_at: seconds since 1970.
        cost: in the application's currency.
        retrieval_score: of the caller; nan when unknown.
        guard_verdict: "allow", "flag", "block"; "" when no guard spoke.
        provider: "" for an engine of our own.
        language: of the prompt, as ISO 639-1; "" when nobody asked.
    """

    generation_id: str
    release: str
    campaign: str
    role: Role
    share: float
    episode: str
    prompt: str
    answer: str
    tokens: int
    first_token_s: float
    latency_s: float
    outcome: Literal["answered", "failed", "cancelled"]
    vector: NDArray[np.float16]
    logprob: float
    served_at: float
    refused: bool = False
    finish_reason: str = ""
    cost: float = 0.0
    cached: bool = False
    retrieval_score: float = math.nan
    guard_verdict: str = ""
    provider: str = ""
    request_model: str = ""
    response_model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    language: str = ""

    @property
    def per_token_s(self) -> float:
        """Between two tokens of the answer, on average; nan for less than two."""
        if self.tokens < 2:
            return math.nan
        return max(0.0, self.latency_s - self.first_token_s) / (self.tokens - 1)


@dataclass(frozen=True, slots=True)
class Feedback:
    """One version of some feedback, joined with its answer.

    Fields:
        rating: in [0, 1]; None when there is none.
        correction: the answer that should have been given, or "".
        served_at: of its answer, seconds since 1970.
    """

    feedback_id: str
    version: int
    campaign: str
    role: Role
    share: float
    episode: str
    rating: float | None
    prompt: str
    correction: str
    withdrawn: bool
    generation_id: str = ""
    release: str = ""
    served_at: float = 0.0
