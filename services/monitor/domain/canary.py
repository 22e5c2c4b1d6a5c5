"""Candidate against champion, judged after every answer without paying for looking.

Score. ``Y = (A / pi - (1 - A) / (1 - pi)) (S - m)`` with A = 1 for the candidate, pi the
recorded probability of the candidate, S the rating in [0, 1] and m a mean of the ratings
before; E[Y | past] is the candidate's mean rating minus the champion's (augmented inverse
propensity weighting). As S is in [0, 1], Y is in [-F, R] with F = max(m / pi, (1 - m) / (1 - pi))
and R = max((1 - m) / pi, m / (1 - pi)): with m, these are known before the rating.

Tests. ``K = mean over c in {1, 2, 4} of prod(1 + l_c (Y + margin))`` is a nonnegative
supermartingale while the candidate is worse by at least the margin, so K >= 1 / alpha is that
unlikely at any time (Ville; betting as in Waudby-Smith and Ramdas, arXiv 2010.09686). The same
with -Y speaks against "not worse". l_c = min(c effect / v, 0.75 / F), for -Y with R, so that no
rating costs more than 3/4 of what was won; v = s / (pi (1 - pi)) is the variance of Y foretold
by s, a mean of the earlier (S - m) squared; effect is the margin or 0.02 if that is more. c = 1
is the growth-optimal stake when the arms are equal, 2 and 4 when they differ more.

Interval. The predictable plug-in empirical-Bernstein confidence sequence of the same paper
(theorem 2), for steps of changing range: with B a bound on |Y - y|, y the earlier mean,
``exp(l (Y - D) - ((Y - y) / B)^2 psi(l B))``, psi(x) = -log(1 - x) - x, has mean at most 1,
for ``1 + x u >= exp(x u - u^2 psi(x))`` whenever u >= -1 (Fan et al.). It covers the
weighted mean of the differences so far.

Assumption. One score per episode, the arm drawn by chance with the recorded probability.
Ratings are given by those who rate: the difference is that of rated answers.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from services.monitor.domain.generation import Feedback, Generation
from services.monitor.domain.partition import Floats
from services.monitor.domain.recent import Recent, recent

STAKES = np.array([1.0, 2.0, 4.0])
LEAST_EFFECT = 0.02
BOLDEST = 0.75
EPISODES = 8192


@dataclass(slots=True)
class Comparison:
    """The scores of one canary.

    Fields:
        margin: least difference that counts as worse; alpha: error probability per direction.
        log_promote, log_rollback: ``(3,)`` log products, one per stake.
        sum, square_sum: of Y, and of (S - m) squared.
        weight, weighted, radius: sums of l, of l Y and of the deviations, for the interval.
    """

    margin: float
    alpha: float
    scored: int = 0
    rating_sum: float = 0.0
    sum: float = 0.0
    square_sum: float = 0.0
    log_promote: Floats = field(default_factory=lambda: np.zeros(3))
    log_rollback: Floats = field(default_factory=lambda: np.zeros(3))
    weight: float = 0.0
    weighted: float = 0.0
    radius: float = 0.0

    def score(self, rating: float, candidate: bool, share: float) -> None:
        """Bet one rating in [0, 1] of the arm that was drawn with ``share`` in (0, 1)."""
        middle = (self.rating_sum + 5.0) / (self.scored + 10.0)
        off = rating - middle
        step = off / share if candidate else -off / (1.0 - share)
        fall = max(middle / share, (1.0 - middle) / (1.0 - share))
        rise = max((1.0 - middle) / share, middle / (1.0 - share))
        spread = (0.625 + self.square_sum) / (5.0 + self.scored) / (share * (1.0 - share))
        wish = STAKES * max(self.margin, LEAST_EFFECT) / spread
        self.log_promote += np.log1p(np.minimum(wish, BOLDEST / fall) * (step + self.margin))
        self.log_rollback += np.log1p(np.minimum(wish, BOLDEST / rise) * -step)
        self._widen(step, max(fall, rise), spread)
        self.scored += 1
        self.rating_sum += rating
        self.sum += step
        self.square_sum += off * off

    @property
    def log_e_promote(self) -> float:
        return _log_mean(self.log_promote)

    @property
    def log_e_rollback(self) -> float:
        return _log_mean(self.log_rollback)

    def interval(self) -> tuple[float, float, float]:
        """Estimate, lower and upper bound of the difference, at any time with 1 - alpha."""
        if not self.scored:
            return 0.0, -1.0, 1.0
        estimate = float(np.clip(self.weighted / self.weight, -1.0, 1.0))
        radius = (math.log(2.0 / self.alpha) + self.radius) / self.weight
        centre = self.weighted / self.weight
        return estimate, max(-1.0, centre - radius), min(1.0, centre + radius)

    def _widen(self, step: float, bound: float, spread: float) -> None:
        middle = float(np.clip(self.sum / (self.scored + 1), -1.0, 1.0))
        reach = bound + 1.0
        seen = self.scored + 1
        wish = math.sqrt(2 * math.log(2 / self.alpha) / (spread * seen * math.log(1 + seen)))
        stake = min(wish, 0.5 / reach)
        self.weight += stake
        self.weighted += stake * step
        part = stake * reach
        self.radius += ((step - middle) / reach) ** 2 * (-math.log1p(-part) - part)


@dataclass(slots=True)
class Arm:
    """Answers of one side in one phase."""

    answered: int = 0
    failed: int = 0
    latency_sum_s: float = 0.0

    def add(self, generation: Generation) -> None:
        if generation.outcome == "answered":
            self.answered += 1
            self.latency_sum_s += generation.latency_s
        elif generation.outcome == "failed":
            self.failed += 1

    @property
    def latency_s(self) -> float:
        return self.latency_sum_s / self.answered if self.answered else 0.0


@dataclass(slots=True)
class Phase:
    """Both sides of one phase.

    Fields:
        answered_at: share as text -> answers of both sides while it was in force.
        share: the one in force at ``share_since``, the newest answer's time.
        changed: something was folded since the last evidence.
    """

    candidate: Arm = field(default_factory=Arm)
    champion: Arm = field(default_factory=Arm)
    answered_at: dict[str, int] = field(default_factory=dict)
    share: float = 0.0
    share_since: float = 0.0
    changed: bool = False

    def add(self, generation: Generation, arm: Arm) -> None:
        arm.add(generation)
        if generation.served_at >= self.share_since:
            self.share, self.share_since = generation.share, generation.served_at
        if generation.outcome == "answered":
            share = repr(generation.share)
            self.answered_at[share] = self.answered_at.get(share, 0) + 1
        self.changed = True

    @property
    def stage_answered(self) -> int:
        return self.answered_at.get(repr(self.share), 0)


@dataclass(slots=True)
class Canary:
    """One campaign's rollout as the traffic shows it."""

    comparison: Comparison
    shadow: Phase = field(default_factory=Phase)
    canary: Phase = field(default_factory=Phase)
    episodes: Recent = field(default_factory=lambda: recent(EPISODES))

    def serve(self, generation: Generation) -> None:
        """Count an answer of either side, in the phase in which it was given."""
        match generation.role:
            case "shadow":
                self.shadow.add(generation, self.shadow.candidate)
            case "canary":
                self.canary.add(generation, self.canary.candidate)
            case "champion":
                phase = self.canary if generation.share > 0 else self.shadow
                phase.add(generation, phase.champion)

    def rate(self, feedback: Feedback) -> None:
        """Bet the first rating of an episode; what comes later does not undo a bet."""
        if feedback.rating is None or feedback.withdrawn or not 0 < feedback.share < 1:
            return
        if feedback.role not in ("champion", "canary") or not self.episodes.add(feedback.episode):
            return
        self.comparison.score(feedback.rating, feedback.role == "canary", feedback.share)
        self.canary.changed = True


def canary(margin: float, alpha: float) -> Canary:
    return Canary(Comparison(margin, alpha))


def _log_mean(logs: Floats) -> float:
    return float(np.logaddexp.reduce(logs) - math.log(len(logs)))
