"""What the monitor knows of an answer and of what was said about it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["", "champion", "canary", "shadow"]


@dataclass(frozen=True, slots=True)
class Generation:
    """One served answer.

    Fields:
        role: "" when the gateway did not say.
        share: probability of the canary when the arm was drawn; 0 outside a canary.
        outcome: "cancelled" is neither an answer nor a failure.
        vector: ``(d,)`` float16 embedding of the prompt; ``(0,)`` when unknown.
        logprob: mean nats per answer token; nan when unknown.
        served_at: seconds since 1970.
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


@dataclass(frozen=True, slots=True)
class Feedback:
    """One version of some feedback, joined with its answer.

    Fields:
        rating: in [0, 1]; None when there is none.
        correction: the answer that should have been given, or "".
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
