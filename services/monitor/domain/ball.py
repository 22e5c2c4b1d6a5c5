"""RIPr-SR: a Shiryaev-Roberts e-detector against every reference that the sample allows.

For a promise that holds given this very reference, not on average over references. The
calibration rows stay fixed; what they leave open is a confidence set, and the e-values are
valid for every distribution in it.

Ball. p^ = shares of the m calibration rows in K cells; C = {p : KL(p^ || p) <= r} with r from
Agrawal (Finite-sample concentration of the multinomial in relative entropy, arXiv 1904.02291):
``P(KL(p^ || p) >= x / m) <= e^-x (e x / (K - 1))^(K - 1)`` for x > K - 1. C holds the
reference's true distribution with probability >= 1 - delta.

Bet on a distribution q: with ``p* = (1 - a) p^ + a q`` and a the least with
KL(p^ || p*) >= r, the e-value of cell b is q_b / p*_b; without such an a it is 1. p* is the
reverse information projection of q on C (cf. Larsson, Ramdas and Ruf, The numeraire e-variable
and reverse information projection, arXiv 2402.18810). It is valid for every p in C: put
w = q / p*, so 1/a - w = ((1 - a) / a) p^ / p*. By Jensen
``log sum p (1/a - w) >= sum p^ log((1/a - w) p / p^)
= log((1 - a) / a) + KL(p^ || p*) - KL(p^ || p) >= log((1 - a) / a)``,
hence ``sum p w <= 1/a - (1 - a) / a = 1``. It holds for all q at once: bets may adapt for ever.

Bet on a set A of cells: with u the Clopper-Pearson upper bound of A's share and
``s = u + (1 - u) e``, the e-value is s / u in A and (1 - s) / (1 - u) outside; its mean is at
most 1 whenever the true share is at most u.

Promise. Half of delta goes to the ball, half to the sets, evenly. With probability >= 1 -
delta over the reference, and given it, a block's e-values have mean <= 1, so the average run
length at ``value >= c`` is at least c blocks and P(alarm within T events) <= T / (10 c)
(Shin, Ramdas and Rinaldo, arXiv 2203.03532). Divide c by 1 - delta for the promise on average
over references.

Assumption. Given the reference's distribution, calibration rows and undisturbed stream are
independent draws from it: one event per episode, no daily cycle. Small references are dear:
under about 1,000 rows prefer ``detector``.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta  # type: ignore[import-untyped]

from services.monitor.domain.bets import CONTAMINATIONS, HALF_LIVES, PRIOR_EVENTS, suspects
from services.monitor.domain.bets import log_weights as bet_weights
from services.monitor.domain.detector import BLOCK, LOG_CEILING
from services.monitor.domain.partition import Cells, Floats

DELTA = 0.05
HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Ball:
    """Confidence set of the reference's distribution.

    Fields:
        centre: ``(K,)`` shares of the calibration rows.
        radius: in nats.
        bounds: ``(S,)`` upper bounds of the suspect sets' shares, in (0, 1].
    """

    centre: Floats
    radius: float
    bounds: Floats


@dataclass(slots=True)
class RIPrSR:
    """One partition under watch against a fixed reference.

    Fields:
        ordered: whether neighbouring cells mean similar things.
        log_values: ``(J,)`` natural log of each M_j; -inf is 0.
        seen: ``(H, K)`` decayed counts of events, one row for each half-life.
        blocks: settled so far.
    """

    ordered: bool
    ball: Ball
    log_values: Floats
    seen: Floats
    blocks: int = 0

    def update(self, block: Cells) -> float:
        """Fold one block of ``(10,)`` cells; the statistic at its end."""
        prior = PRIOR_EVENTS * self.ball.centre
        totals = self.seen.sum(axis=1, keepdims=True) + PRIOR_EVENTS
        logs = np.log(projected((self.seen + prior) / totals, self.ball))
        sets = suspects(len(self.ball.centre), self.ordered)
        gains = np.concatenate([logs[:, block].sum(axis=1), self._static(sets, block)])
        self.log_values = np.minimum(np.logaddexp(self.log_values, 0.0) + gains, LOG_CEILING)
        self._remember(block)
        self.blocks += 1
        return self.log_statistic

    @property
    def log_statistic(self) -> float:
        """Natural log of the weighted sum of the M_j: alarm at ``log(ARL / 10)``."""
        weights = bet_weights(len(self.ball.centre), self.ordered)
        return float(np.logaddexp.reduce(weights + self.log_values))

    def _static(self, sets: Floats, block: Cells) -> Floats:
        """Log e-value of a block for each contamination and set, ``(3 S,)``."""
        bounds = self.ball.bounds
        inside = sets[:, block].sum(axis=1)
        logs = [
            inside * np.log1p((1 - bounds) * part / bounds)
            + (len(block) - inside) * np.log1p(-part) * (bounds < 1)
            for part in CONTAMINATIONS
        ]
        return np.concatenate(logs)

    def _remember(self, block: Cells) -> None:
        size = len(block)
        for row, half_life in enumerate(HALF_LIVES):
            fading = 0.5 ** (np.arange(size - 1, -1, -1) / half_life)
            landed = np.bincount(block, weights=fading, minlength=self.seen.shape[1])
            self.seen[row] = 0.5 ** (size / half_life) * self.seen[row] + landed


def confidence_ball(counts: Floats, ordered: bool, delta: float = DELTA) -> Ball:
    """From ``(K,)`` calibration counts, K > 1, their sum m > 0."""
    rows, cells = float(counts.sum()), len(counts)
    sets = suspects(cells, ordered)
    level = delta / 2 / len(sets)
    hits = np.asarray([float(counts @ row) for row in sets])
    bounds = np.array([clopper_pearson(hit, rows, level) for hit in hits])
    return Ball(counts / rows, agrawal_radius(rows, cells, delta / 2), bounds)


def ball_detector(counts: Floats, ordered: bool, delta: float = DELTA) -> RIPrSR:
    """A detector that has seen no event."""
    return RIPrSR(
        ordered=ordered,
        ball=confidence_ball(counts, ordered, delta),
        log_values=np.full(len(bet_weights(len(counts), ordered)), -np.inf),
        seen=np.zeros((len(HALF_LIVES), len(counts))),
    )


def threshold(average_run_length: float, delta: float = DELTA) -> float:
    """Natural log of the value to ring at; the run length, in events, is promised on average."""
    return math.log(average_run_length / (1 - delta) / BLOCK)


def agrawal_radius(rows: float, cells: int, delta: float) -> float:
    """The least r, in nats, with P(KL(p^ || p) >= r) <= delta by the bound above."""
    freedom = cells - 1
    low, high = float(freedom), freedom + 10.0 * (freedom + math.log(1 / delta) + 1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        exponent = -middle + freedom * (1 + math.log(middle / freedom))
        low, high = (middle, high) if exponent > math.log(delta) else (low, middle)
    return high / rows


def clopper_pearson(hits: float, rows: float, delta: float) -> float:
    """Upper bound of a binomial share, wrong with probability <= delta."""
    return 1.0 if hits >= rows else float(beta.ppf(1 - delta, hits + 1, rows - hits))


def divergence(centre: Floats, others: Floats) -> Floats:
    """KL(centre || other) in nats of each row of ``(H, K)``."""
    held = centre > 0
    return np.asarray((centre[held] * np.log(centre[held] / others[:, held])).sum(axis=1))


def projected(bets: Floats, ball: Ball) -> Floats:
    """E-value of each cell for each bet, ``(H, K)`` rows that sum to 1 -> ``(H, K)``.

    The divergence grows with a, so the least a is found by halving; the upper end is taken,
    for which the e-value is valid whatever the rounding.
    """
    reachable = divergence(ball.centre, bets) >= ball.radius
    low, high = np.zeros(len(bets)), np.ones(len(bets))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        far = divergence(ball.centre, _between(middle, bets, ball)) >= ball.radius
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    mixed = _between(high, bets, ball)
    fresh = np.broadcast_to(1 / high[:, None], bets.shape)  # neither seen nor bet on: the limit
    values = np.divide(bets, mixed, out=fresh.copy(), where=mixed > 0)
    return np.where(reachable[:, None], values, 1.0)


def _between(part: Floats, bets: Floats, ball: Ball) -> Floats:
    return (1 - part[:, None]) * ball.centre + part[:, None] * bets
