"""Would retraining help, and what would it cost: told before money is spent.

The monitor sees no weights. What the champion lost is read from its own log-probabilities: those
of answers that people corrected or rated low since the drift began, against those of such answers
before it (poor answers are less probable than others at any time); and from the ratings themselves,
the latest against the first. Both intervals are normal ones at 95 %, looked at after an alarm: an
aid to a decision, not a test.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, values: Iterable[float]) -> "Moments":
        some = list(values)
        return Moments(
            self.n + len(some), self.total + sum(some), self.squares + sum(x * x for x in some)
        )

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def error(self) -> float:
        """Square of the mean's standard error; for two values or more."""
        return max(0.0, self.squares - self.total * self.mean) / (self.n - 1) / self.n


@dataclass(slots=True)
class Standard:
    """One champion as people and its own probabilities judge it.

    Fields:
        poor: feedback id -> log-probability of an answer that was corrected or rated low, nats per
            token; the latest 500. served: when these were served, seconds since 1970.
        usual: of those before, as long as no drift was known of.
        first, latest: ratings, the first 200 and the last 200 of those after them.
    """

    poor: dict[str, float] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)
    usual: Moments = field(default_factory=Moments)
    first: list[float] = field(default_factory=list)
    latest: list[float] = field(default_factory=list)

    def rate(self, rating: float) -> None:
        if len(self.first) < RATINGS:
            self.first.append(rating)
        else:
            self.latest = [*self.latest, rating][-RATINGS:]

    def blame(self, feedback_id: str, logprob: float, served_at: float, since: float) -> None:
        """Note an answer that was not good; nan when its log-probability is not known.

        Args:
            since: when the drift began; inf while there is none.
        """
        if not math.isfinite(logprob):
            return
        self.poor[feedback_id], self.served[feedback_id] = logprob, served_at
        for old in list(self.poor)[: max(0, len(self.poor) - KEPT)]:
            former, at = self.poor.pop(old), self.served.pop(old, since)
            if at < since:
                self.usual = self.usual.plus([former])

    def judged(self, since: float) -> tuple[Moments, Moments]:
        """Log-probabilities of poor answers: served from ``since`` on, and before it."""
        served = [(self.served.get(name), each) for name, each in self.poor.items()]
        now = (each for at, each in served if at is not None and at >= since)
        before = (each for at, each in served if at is not None and at < since)
        return Moments().plus(now), self.usual.plus(before)

    def loss_gain(self, since: float) -> Estimate | None:
        """Nats per token that poor answers lost since then; None for too few of either."""
        now, before = self.judged(since)
        lost = _apart(before, now)
        return lost and replace(lost, n=now.n)

    def rating_difference(self) -> Estimate | None:
        """Latest ratings minus the first; None for too few."""
        return difference(self.latest, self.first)


def difference(latest: Sequence[float], former: Sequence[float]) -> Estimate | None:
    """Mean of ``latest`` minus mean of ``former``; None for less than 20 of either."""
    return _apart(Moments().plus(latest), Moments().plus(former))


@dataclass(slots=True)
class Run:
    """A training run; ``rows``: new ones at its trigger, 0 when nobody knows.

    Fields:
        seconds: that it took, or is expected to take.
        at: its end, or its trigger while it is under way; seconds since 1970.
    """

    campaign: str
    seconds: float
    rows: int
    at: float


@dataclass(slots=True)
class Runs:
    """What training has taken of late.

    Fields:
        begun: campaign -> a run that was triggered and is not done. One that fails stays here: what
            it was expected to take counts as spent.
    """

    begun: dict[str, Run] = field(default_factory=dict)
    done: list[Run] = field(default_factory=list)

    def begin(self, campaign: str, rows: int, seconds: float, now: float) -> None:
        self.begun[campaign] = Run(campaign, seconds, rows, now)
        for old in list(self.begun)[: max(0, len(self.begun) - RUNS)]:
            del self.begun[old]

    def complete(self, campaign: str, seconds: float, now: float) -> None:
        if all(run.campaign != campaign for run in self.done):
            begun = self.begun.pop(campaign, None)
            self.done.append(Run(campaign, seconds, begun.rows if begun else 0, now))
            self.done = self.done[-RUNS:]

    def expected_s(self, rows: int, first_s: float) -> float:
        """Seconds of a run on ``rows`` new rows; ``first_s`` before one is done.

        The median of the last five runs, in proportion to the new rows where they are known.
        """
        lately = self.done[-5:]
        by_row = [run.seconds / run.rows for run in lately if run.rows]
        if by_row:
            return float(np.median(by_row)) * rows
        return float(np.median([run.seconds for run in lately])) if lately else first_s

    def spent_s(self, now: float) -> float:
        """Of the last 30 days, runs under way at what was expected of them."""
        runs = (*self.done, *self.begun.values())
        return sum(run.seconds for run in runs if run.at > now - MONTH_S)


def _apart(new: Moments, old: Moments) -> Estimate | None:
    if min(new.n, old.n) < LEAST:
        return None
    value, radius = new.mean - old.mean, Z * math.sqrt(new.error + old.error)
    return Estimate(value, value - radius, value + radius, new.n)
