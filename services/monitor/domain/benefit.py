"""Would retraining help, and what would it cost: told before money is spent.

The monitor sees no weights. What the champion lost is read from its own log-probabilities: those
of answers that people corrected or rated low, against the mean of the answers of its reference;
and from the ratings themselves, the latest against the first. Both intervals are normal ones at
95 %, looked at after an alarm: an aid to a decision, not a test.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

LOW: Final = 0.5
"""A rating below it says that the answer was not good."""
KEPT: Final = 500
RATINGS: Final = 200
LEAST: Final = 20
Z: Final = 1.96
CONFIDENCE: Final = 0.95
RUNS: Final = 400
MONTH_S: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    lower: float
    upper: float
    n: int


@dataclass(slots=True)
class Standard:
    """One champion as people and its own probabilities judge it.

    Fields:
        logprob_sum, logprobs: of the reference's answers, nats per token.
        poor: feedback id -> log-probability of an answer that was corrected or rated low.
        first, latest: ratings, the first 200 and the last 200 of those after them.
    """

    logprob_sum: float = 0.0
    logprobs: int = 0
    poor: dict[str, float] = field(default_factory=dict)
    first: list[float] = field(default_factory=list)
    latest: list[float] = field(default_factory=list)

    def serve(self, logprob: float, wanted: int) -> None:
        """Count an answer of the champion into its reference of ``wanted`` answers."""
        if self.logprobs < wanted and math.isfinite(logprob):
            self.logprob_sum += logprob
            self.logprobs += 1

    def rate(self, rating: float) -> None:
        if len(self.first) < RATINGS:
            self.first.append(rating)
        else:
            self.latest = [*self.latest, rating][-RATINGS:]

    def blame(self, feedback_id: str, logprob: float) -> None:
        """Note an answer that was not good; nan when its log-probability is not known."""
        if math.isfinite(logprob):
            self.poor[feedback_id] = logprob
            for old in list(self.poor)[: len(self.poor) - KEPT]:
                del self.poor[old]

    def loss_gain(self) -> Estimate | None:
        """Nats per token that poor answers lost against the reference; None for too few."""
        if self.logprobs < LEAST or len(self.poor) < LEAST:
            return None
        return _mean(self.logprob_sum / self.logprobs - np.array(list(self.poor.values())))

    def rating_difference(self) -> Estimate | None:
        """Latest ratings minus the first; None for too few."""
        return difference(self.latest, self.first)


def difference(latest: Sequence[float], former: Sequence[float]) -> Estimate | None:
    """Mean of ``latest`` minus mean of ``former``; None for less than 20 of either."""
    if min(len(latest), len(former)) < LEAST:
        return None
    new, old = np.array(latest), np.array(former)
    value = float(new.mean() - old.mean())
    radius = Z * math.sqrt(new.var(ddof=1) / len(new) + old.var(ddof=1) / len(old))
    return Estimate(value, value - radius, value + radius, len(new))


@dataclass(slots=True)
class Run:
    """A finished training run; ``rows``: new ones at its trigger, 0 when nobody knows."""

    campaign: str
    seconds: float
    rows: int
    at: float


@dataclass(slots=True)
class Runs:
    """What training has taken of late.

    Fields:
        rows: campaign -> new rows at its trigger.
    """

    rows: dict[str, int] = field(default_factory=dict)
    done: list[Run] = field(default_factory=list)

    def begin(self, campaign: str, rows: int) -> None:
        self.rows[campaign] = rows
        for old in list(self.rows)[: len(self.rows) - RUNS]:
            del self.rows[old]

    def complete(self, campaign: str, seconds: float, now: float) -> None:
        if all(run.campaign != campaign for run in self.done):
            self.done.append(Run(campaign, seconds, self.rows.pop(campaign, 0), now))
            self.done = self.done[-RUNS:]

    def expected_s(self, rows: int) -> float:
        """Seconds of a run on ``rows`` new rows; 0 before the first run.

        The median of the last five runs, in proportion to the new rows where they are known.
        """
        lately = self.done[-5:]
        by_row = [run.seconds / run.rows for run in lately if run.rows]
        if by_row:
            return float(np.median(by_row)) * rows
        return float(np.median([run.seconds for run in lately])) if lately else 0.0

    def spent_s(self, now: float) -> float:
        """Of the last 30 days."""
        return sum(run.seconds for run in self.done if run.at > now - MONTH_S)


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Estimate:
    value = float(values.mean())
    radius = Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(value, value - radius, value + radius, len(values))
