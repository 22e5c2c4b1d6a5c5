"""KernelCTM: conformal Shiryaev-Roberts tests of a witness learned from the last events.

For a change that is thin or close by no fixed partition is sharp; a score learned from the
stream is. Learning and a finite reference do not mix freely: ranks of several learned scores
among the same calibration rows are dependent, and their product is no martingale. Hence each
test spends every calibration row once.

Statistic. A witness is learned from the last W events and frozen: the inner product with their
weighted mean in a whitened kernel (the witness function of the maximum mean discrepancy), plus
how much nearer the nearest of these events are than the nearest rows of the fit part, both in
standard deviations. A window's event weighs more the less it was like the fit part, and the more
like events before it, when it came. For the next ``refresh`` blocks the witness ranks each event
among one slice of the calibration rows, a tenth of them, and its own events so far,
``p = (higher + U (equal + 1)) / (n + 1)``; then the next one takes the next slice. Bets have the
e-values ``(1 - k) / p^k``. A test runs for ten slices and sums each bet as ``R <- e (R + 1)``
from 0; its value is the mean of the R. In the life of one test the next is opened. `CHAINS` of
short and of long windows run beside each other.

Promise. Given the fit part, the stream and the slices up to a refresh, the witness is a
constant, and the slice and the events to come are exchangeable if reference and stream are. So
the p-values of one test are uniform given all that it saw before (Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World), its value plus the blocks that are left is a martingale
from the L blocks of its life, and P(the value ever reaches c) <= L / c (Ville). Tests share
calibration rows; the union bound does not mind: with two tests for each L blocks in each of C
chains P(alarm within n blocks) <= 2 C n / c, so the average run length is at least c / (4 C)
blocks. No estimate of the reference enters; the promise is marginal over the reference's draw
and holds up to the first alarm.

Assumption. Reference and undisturbed stream are exchangeable: one event per episode, no daily
cycle. The calibration rows must have no part in the features.

Witness and MMD: Gretton et al., A kernel two-sample test (2012). Sums over the time of the
change: Shin, Ramdas and Rinaldo, E-detectors, arXiv 2203.03532. Bets: Vovk et al., Retrain or
not retrain, arXiv 2102.10439.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from services.monitor.domain.draws import Draws
from services.monitor.domain.features import NEAR, KernelFeatures, Points, Singles, fit_features
from services.monitor.domain.partition import Floats, Vectors
from services.monitor.domain.ranking import before

BLOCK = 10
CHAINS = (((30, 100), 1), ((200,), 5))
"""Events that witnesses are learned from, and the blocks that they stay for. Several windows share
a test only where they stay for one block: a block's end is the only time at which all their
ranks are fair at once."""
WINDOW = max(window for windows, _ in CHAINS for window in windows)
LEAST_LEARNED = 20
LATELY = 100
"""Late events that a new one is compared with, for its weight."""
SLICES = 10
OPENED = 2
"""Tests opened in the time of one."""
POWERS = np.array([0.1, 0.2, 0.35, 0.5])
LEAST_P = 1e-12


@dataclass(slots=True)
class Witnesses:
    """Scores learned from the T windows of one chain, and what they gave so far.

    Fields:
        directions: ``(F, T)``; windows: T lengths.
        near: ``(largest W, <= 64)`` leading components of the events that they were learned from.
        ranked: ``(T, m + k)`` scores of a slice of the calibration and of the events since.
    """

    directions: Singles
    windows: list[int]
    near: Singles
    ranked: Singles = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def rank(self, features: KernelFeatures, points: Points) -> None:
        """Score them; rounded, so that equal prompts tie whatever the order of the sums."""
        similar = points.places[:, :NEAR] @ self.near.T
        near = [features.unusual(points, similar[:, -window:]) for window in self.windows]
        scores = np.round((points.places @ self.directions).T + np.array(near), 4)
        known = self.ranked
        self.ranked = np.concatenate([known, scores], axis=1) if known.size else scores


def p_values(ranked: Singles, draws: Floats) -> Floats:
    """Conformal p-values of a block, each event ranked against all before it; high is small.

    Args:
        ranked: ``(T, n + B)`` scores, the block's at the end; draws: ``(B,)``.
    """
    size, all_scores = len(draws), ranked.shape[1]
    everyone, own = ranked[:, None, :], ranked[:, all_scores - size :, None]
    counted = (everyone > own) + draws[:, None] * (everyone == own)
    counted[:, :, all_scores - size :] *= before(size)
    ranks = np.arange(all_scores - size + 1, all_scores + 1)
    return np.asarray((counted.sum(axis=2) + draws) / ranks)


def gains(p: Floats) -> Floats:
    """Log e-values of a block's p-values, ``(T, B)`` -> ``(T, J)``, one for each power."""
    logs = np.log(np.maximum(p, LEAST_P)).sum(axis=1)
    return np.asarray(p.shape[1] * np.log1p(-POWERS) - POWERS * logs[:, None])


@dataclass(slots=True)
class WitnessTest:
    """``(T, J)`` natural logs of the sums, and the block after which it is dropped."""

    log_values: Floats
    closes: int


@dataclass(slots=True)
class Chain:
    """Witnesses of some windows, one after another, and the tests that use them.

    Fields:
        windows: events that a witness is learned from; refresh: blocks that it stays for.
        witnesses: None before there are any.
        tests: open ones; value: natural log of the strongest one's mean.
    """

    windows: list[int]
    refresh: int
    witnesses: Witnesses | None = None
    tests: list[WitnessTest] = field(default_factory=list)
    value: float = -math.inf

    @property
    def life(self) -> int:
        """Blocks of a test."""
        return SLICES * self.refresh

    def open(self, blocks: int) -> None:
        nothing = np.full((len(self.windows), len(POWERS)), -np.inf)
        self.tests.append(WitnessTest(nothing, blocks + self.life))

    def gain(self, gained: Floats) -> None:
        """Fold the log e-values ``(T, J)`` of a block into every test."""
        logs = np.logaddexp(np.array([test.log_values for test in self.tests]), 0.0) + gained
        for test, log_values in zip(self.tests, logs, strict=True):
            test.log_values = log_values
        whole = np.logaddexp.reduce(logs.reshape(len(logs), -1), axis=1).max()
        self.value = float(whole) - math.log(gained.size)


@dataclass(slots=True)
class KernelCTM:
    """The running detector of one signal.

    Fields:
        features: fixed by the fit part.
        calibration: m rows; those of a slice lie together.
        seed: of the ties (`draws`).
        lately: the last events, at most the largest W.
        unusual: of these, when they came.
        blocks: settled so far.
    """

    features: KernelFeatures
    calibration: Points
    seed: int
    lately: Points
    unusual: Singles = field(default_factory=lambda: np.zeros(0, np.float32))
    chains: list[Chain] = field(
        default_factory=lambda: [Chain(list(windows), refresh) for windows, refresh in CHAINS]
    )
    blocks: int = 0
    draws: Draws = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.draws = Draws(self.seed, BLOCK)

    def update(self, vectors: Vectors) -> Floats:
        """Fold ``(10 m, d)`` unit vectors; ``(m,)`` statistics at the ends of the blocks."""
        starts = range(0, len(vectors), BLOCK)
        return np.array([self._fold(vectors[start : start + BLOCK]) for start in starts])

    def _fold(self, block: Vectors) -> float:
        points = self.features(block)
        draws = self.draws.of(self.blocks)[: len(points)]
        for chain in self.chains:
            self._settle(chain, points, draws)
        self.blocks += 1
        unusual = np.zeros(len(points), np.float32)
        if len(self.lately) >= LEAST_LEARNED:
            similar = points.places[:, :NEAR] @ self.lately.places[-LATELY:, :NEAR].T
            unusual = self.features.unusual(points, similar)
        self.lately = (self.lately + points)[-WINDOW:]
        self.unusual = np.concatenate([self.unusual, unusual])[-WINDOW:]
        return self.log_statistic

    @property
    def log_statistic(self) -> float:
        """Natural log of the strongest test's value, scaled: P(it reaches ``log(A / 10)`` within
        T events) <= T / A."""
        strongest = max(chain.value for chain in self.chains)
        return strongest - math.log(OPENED * len(self.chains))

    def bare(self) -> "KernelCTM":
        """A copy without what the reference gave for good: the features and the calibration."""
        nothing = np.zeros((0, 0), np.float32)
        features = KernelFeatures(nothing, nothing, nothing, nothing, 1.0)
        return replace(self, features=features, calibration=Points(nothing, nothing))

    def restart(self) -> None:
        """Forget the stream, not the reference."""
        self.chains = [Chain(chain.windows, chain.refresh) for chain in self.chains]
        self.lately, self.unusual = self.lately[:0], self.unusual[:0]

    def _settle(self, chain: Chain, points: Points, draws: Floats) -> None:
        turn, used = divmod(self.blocks, chain.refresh)
        chain.tests = [test for test in chain.tests if test.closes > self.blocks]
        if not used and len(self.lately) >= LEAST_LEARNED:
            if turn % (SLICES // OPENED) == 0:
                chain.open(self.blocks)
            points = self._renew(chain, turn % SLICES) + points
        found = chain.witnesses
        if found is None or not chain.tests:
            return
        found.rank(self.features, points)
        chain.gain(gains(p_values(found.ranked, draws)))

    def _renew(self, chain: Chain, part: int) -> Points:
        """Learn the chain's witnesses; the slice of the calibration that they rank among."""
        places, windows = self.lately.places, chain.windows
        directions = self.features.directions(places, self.unusual, windows)
        chain.witnesses = Witnesses(directions, windows, places[-max(windows) :, :NEAR])
        start, stop = (len(self.calibration) * one // SLICES for one in (part, part + 1))
        return self.calibration[start:stop]


def kernel_detector(fit: Vectors, calibration: Vectors, seed: int) -> KernelCTM:
    """A detector that has seen no event; ``(n, d)`` and ``(m, d)`` unit vectors, disjoint."""
    features = fit_features(fit)
    spread_out = np.argsort(np.arange(len(calibration)) % SLICES, kind="stable")
    points = features(calibration[spread_out])
    return KernelCTM(features, points, seed, points[:0])
