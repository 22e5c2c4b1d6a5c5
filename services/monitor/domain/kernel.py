"""KernelCTM: conformal tests of a learned kernel witness, opened one after another.

For a change that is thin and close by (a tenth of the traffic on a related topic) no fixed
partition is sharp; a direction learned from the stream is. Learning and a finite reference
do not mix freely: ranks of several learned scores among the same calibration rows are
dependent, and their product is no martingale. Hence:

Statistic. Features are the leading principal components of the fit part, whitened with a
ridge; their inner product is the kernel. Every `PERIOD` events tests are opened, one for each
window W that is due. A test's witness is frozen first: w = mean feature of the last W events
- mean feature of the fit part (the witness function of the maximum mean discrepancy in that
kernel). From then on the test ranks every event's score x.w among the calibration rows and
the test's own events, p = (higher + U (equal + 1)) / (n + 1), and multiplies e-values of
these p-values: a fixed mixture, over tail widths u and contaminations e, of the products of
``1 + (1 - u) e / u`` where p < u and ``1 - e`` elsewhere. It closes after `LIFE` windows.

Promise. Given the fit part and the stream before the test was opened, w is a constant, and
calibration rows and the test's events are exchangeable if reference and stream are. So the
p-values of one test are independent and uniform (Vovk, Gammerman and Shafer, Algorithmic
Learning in a Random World), its value is a martingale from 1, and P(it ever reaches c) <= 1/c
(Ville). Tests share calibration rows; the union bound does not mind: with one test for each s
events and c = 2 ARL / s, P(alarm within T events) <= T / (2 ARL) for every T, whatever the
peeking, so the average run length is at least ARL. No estimate of the reference enters; the
promise is marginal over the reference's draw and holds up to the first alarm.

Assumption. Reference and undisturbed stream are exchangeable: one event per episode, no daily
cycle. The calibration rows must have no part in the features.

Witness and MMD: Gretton et al., A kernel two-sample test (2012). Tests opened in sequence
and combined by their thresholds: Shin, Ramdas and Rinaldo, E-detectors, arXiv 2203.03532.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.monitor.domain.partition import Floats, Vectors

BLOCK = 10
COMPONENTS = 200
RIDGE = 0.3
PERIOD = 50
WINDOWS = {50: 1, 200: 2}
"""Events that a witness is learned from, and how many periods pass between two such tests."""
LIFE = 3
SPACING = PERIOD / sum(1 / every for every in WINDOWS.values())
"""Events per opened test."""
TAILS = (0.003, 0.01, 0.03, 0.1, 0.3)
CONTAMINATIONS = (0.03, 0.1, 0.3, 0.7)

Singles = NDArray[np.float32]

_U, _E = (grid.ravel() for grid in np.meshgrid(TAILS, CONTAMINATIONS))
_HIT = np.log1p((1 - _U) * _E / _U)
_MISS = np.log1p(-_E)


@dataclass(frozen=True, slots=True)
class KernelFeatures:
    """Whitened principal components of the fit part.

    Fields:
        centre: ``(d,)`` mean of the fit part.
        axes: ``(d, F)``; features are ``(x - centre) @ axes``, inner products are the kernel.
    """

    centre: Singles
    axes: Singles

    def __call__(self, vectors: Vectors) -> Singles:
        """``(n, d)`` unit vectors -> ``(n, F)``."""
        return np.asarray((vectors - self.centre) @ self.axes, np.float32)


def fit_features(vectors: Vectors) -> KernelFeatures:
    """From the fit part, ``(n, d)`` unit vectors, n > 3."""
    centre = vectors.mean(axis=0)
    with threadpool_limits(limits=1):
        _, sizes, right = np.linalg.svd(vectors - centre, full_matrices=False)
    kept = min(COMPONENTS, int((sizes > 1e-6).sum()))
    spread = sizes[:kept] ** 2 / len(vectors)
    scale = 1 / np.sqrt(spread + RIDGE * spread.sum() / max(kept, 1))
    return KernelFeatures(centre, np.asarray(right[:kept].T * scale, np.float32))


@dataclass(slots=True)
class WitnessTest:
    """One frozen witness and its bets.

    Fields:
        witness: ``(F,)``.
        ranked: ``(m + k,)`` sorted scores of the calibration rows and of the test's own events.
        log_values: ``(J,)`` natural log of each bet's product.
        closes: block after which it is dropped.
    """

    witness: Singles
    ranked: Singles
    log_values: Floats
    closes: int


def settle(tests: list[WitnessTest], features: Singles, draws: Floats) -> None:
    """Fold one block into every test, ``(B, F)`` and ``(B,)`` uniform on [0, 1)."""
    if not tests:
        return
    scores = scored(features, np.stack([test.witness for test in tests], axis=1)).T
    p = p_values([test.ranked for test in tests], scores, draws)
    hits = (p[:, :, None] < _U).sum(axis=1)
    gains = hits * _HIT + (len(draws) - hits) * _MISS
    for test, own, gain in zip(tests, scores, gains, strict=True):
        test.log_values = test.log_values + gain
        test.ranked = np.concatenate([test.ranked, own])
        test.ranked.sort(kind="stable")


def statistics(tests: list[WitnessTest]) -> Floats:
    """Natural log of the mean of each test's products, ``(T,)``."""
    logs = np.stack([test.log_values for test in tests])
    highest = logs.max(axis=1)
    return np.asarray(highest + np.log(np.exp(logs - highest[:, None]).mean(axis=1)))


def scored(features: Singles, witness: Singles) -> Singles:
    """``(n, F)`` by ``(F,)`` or ``(F, T)``; rounded, so that equal prompts tie whatever the order
    of the sums."""
    return np.round(features @ witness, 4)


def p_values(ranked: Sequence[Singles], scores: Singles, draws: Floats) -> Floats:
    """Conformal p-values of one block, each event ranked against all before it; high is small.

    Args:
        ranked: T times ``(n,)`` sorted; scores: ``(T, B)``; draws: ``(B,)``.
    """
    pairs = list(zip(ranked, scores, strict=True))
    low = np.array([row.searchsorted(own, side="left") for row, own in pairs])
    high = np.array([row.searchsorted(own, side="right") for row, own in pairs])
    known = np.array([len(row) for row in ranked])[:, None]
    earlier = np.tri(len(draws), k=-1, dtype=bool)
    others, mine = scores[:, None, :], scores[:, :, None]
    higher = known - high + (earlier & (others > mine)).sum(axis=2)
    equal = high - low + (earlier & (others == mine)).sum(axis=2)
    return np.asarray((higher + draws * (equal + 1)) / (known + np.arange(len(draws)) + 1))


@dataclass(slots=True)
class KernelCTM:
    """The running detector of one signal.

    Fields:
        features: fixed by the fit part.
        calibration: ``(m, F)`` features of the calibration rows.
        seed: of the ties; block k draws from ``default_rng((seed, k))``.
        lately: ``(<= largest W, F)`` features of the last events.
        tests: open ones.
        blocks: settled so far.
    """

    features: KernelFeatures
    calibration: Singles
    seed: int
    lately: Singles
    tests: list[WitnessTest] = field(default_factory=list)
    blocks: int = 0

    def update(self, block: Vectors) -> None:
        """Fold one block of ``(10, d)`` unit vectors."""
        features = self.features(block)
        draws = np.random.default_rng((self.seed, self.blocks)).random(len(features))
        settle(self.tests, features, draws)
        self.blocks += 1
        self.tests = [test for test in self.tests if test.closes > self.blocks]
        self.lately = np.concatenate([self.lately, features])[-max(WINDOWS) :]
        periods, rest = divmod(self.blocks * BLOCK, PERIOD)
        for window, every in WINDOWS.items():
            if not rest and periods % every == 0 and len(self.lately) >= window:
                self.tests.append(self._opened(window))

    @property
    def log_statistic(self) -> float:
        """Natural log of the strongest test's value, scaled: alarm at ``log(ARL / 10)``."""
        if not self.tests:
            return -math.inf
        return float(statistics(self.tests).max()) + math.log(SPACING / 2 / BLOCK)

    def restart(self) -> None:
        """Forget the stream, not the reference."""
        self.tests = []
        self.lately = self.lately[:0]

    def _opened(self, window: int) -> WitnessTest:
        witness = self.lately[-window:].mean(axis=0)
        return WitnessTest(
            witness=witness,
            ranked=np.sort(scored(self.calibration, witness)),
            log_values=np.zeros(len(_U)),
            closes=self.blocks + LIFE * window // BLOCK,
        )


def kernel_detector(fit: Vectors, calibration: Vectors, seed: int) -> KernelCTM:
    """A detector that has seen no event; ``(n, d)`` and ``(m, d)`` unit vectors, disjoint."""
    features = fit_features(fit)
    ranked = features(calibration)
    return KernelCTM(features, ranked, seed, np.zeros((0, ranked.shape[1]), np.float32))
