"""What the detectors are given, and what they say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Cause = Literal["input", "behaviour", "provider", "retrieval", "guard", "system", "data"]


@dataclass(frozen=True, slots=True)
class CellShift:
    """Shares of one cell, by its name."""

    cell: str
    expected: float
    observed: float

    @property
    def growth(self) -> float:
        return self.observed - self.expected


@dataclass(slots=True)
class Sample:
    """One answered request; quicker to make than a frozen one.

    What is not known is nan, "" or None, and is not watched.

    Fields:
        vector: ``(d,)`` float16 embedding of the prompt; ``(0,)`` when unknown.
        logprob: mean nats per answer token; nan when the engine gives none.
        language: of the prompt, as ISO 639-1.
        guard_verdict: "allow", "flag", "block"; "" when no guard spoke.
        served_model: the name that the engine or provider gave itself.
        latency_s: of the whole answer; nan for an answer from a cache.
        cost: in the application's currency; 0 or nan where it has no price.
        labels: the tenant's, only those by which the traffic is watched apart.
        stratum: within which the traffic is one kind of draw, e.g. `strata.season`; "" = always.
        at: seconds since 1970.
    """

    generation_id: str
    episode: str
    prompt: str
    vector: NDArray[np.float16]
    logprob: float
    language: str = ""
    refused: bool | None = None
    guard_verdict: str = ""
    finish_reason: str = ""
    served_model: str = ""
    latency_s: float = math.nan
    retrieval_score: float = math.nan
    cost: float = math.nan
    labels: Mapping[str, str] = field(default_factory=dict)
    stratum: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """What rang, when and why.

    Fields:
        statistic, threshold: natural logs.
        at_event: events of this detector since its reference was complete.
        examples: recent prompts in the cell that grew most; examples_before: the reference's
            nearest to it; terms: words that tell the recent prompts from the reference's.
        segment: "label=value"; "" = all traffic.
        seed: of the randomised p-values.
        change: what moved, one clause.
    """

    release: str
    signal: str
    cause: str
    statistic: float
    threshold: float
    average_run_length: float
    at_event: int
    reference_events: int
    cells: tuple[CellShift, ...]
    examples: tuple[str, ...]
    generation_id: str
    segment: str = ""
    examples_before: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    seed: int = 0
    change: str = ""
