"""What can be decided after an alarm, and what it rests on."""

from dataclasses import dataclass
from typing import Final, Literal

from services.monitor.domain.benefit import Estimate

Verdict = Literal["retrain", "wait_for_labels", "roll_back", "notify_only"]

REMEDIES: Final = {
    "provider": "The provider answers differently: compare its versions before promoting anything.",
    "guard": "The guard's verdicts changed: look at the prompts in the cell that grew.",
    "data": "What arrives is damaged or repeated: mend it upstream.",
    "retrieval": "Retrieval got worse for the same prompts: check the index and its embedder.",
    "behaviour": "The same prompts get other answers: compare template, settings and engine.",
    "system": "Only times or costs changed: look at the machines, not at the model.",
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """A campaign that shall begin.

    Fields:
        since, until: when the answers with its new rows were served, seconds since 1970.
        segment: "label=value" that drifted; "" = all traffic.
    """

    campaign_id: str
    release: str
    drift_event_id: str
    reason: str
    new_rows: int
    since: float
    until: float
    segment: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a decision rests on.

    Fields:
        gain: nats per token that poor answers lost since the drift began; None = unknown.
        difference: its latest ratings minus its first; None = unknown.
        expected_s: of the run; cost, spent: in the application's currency, runs under way
            included at what was expected of them.
    """

    new_rows: int
    rows_wanted: int
    gain: Estimate | None
    difference: Estimate | None
    expected_s: float
    cost: float
    spent: float


@dataclass(frozen=True, slots=True)
class Made:
    """A decision; ``approval``: a person must start the campaign; ``at``: seconds since 1970."""

    event_id: str
    release: str
    drift_event_id: str
    cause: str
    verdict: Verdict
    reasons: tuple[str, ...]
    figures: Figures
    at: float
    campaign_id: str = ""
    approval: bool = False
