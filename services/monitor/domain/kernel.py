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
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.monitor.domain.partition import Floats, Vectors

BLOCK = 10
COMPONENTS = 200
NEAR = 64
"""Leading components in which similarity is told."""
RIDGE = 0.3
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
NEIGHBOURS = 4
FAMILIAR = 3
EMPHASIS = 0.5
POWERS = np.array([0.1, 0.2, 0.35, 0.5])
LEAST_P = 1e-12

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Points:
    """n events as the kernel sees them.

    Fields:
        places: ``(n, F)`` principal components of the fit part.
        familiar: ``(n,)`` mean inner product with the nearest three rows of the fit part, in
            the leading components.
    """

    places: Singles
    familiar: Singles

    def __len__(self) -> int:
        return len(self.familiar)

    def __getitem__(self, part: slice) -> "Points":
        return Points(self.places[part], self.familiar[part])

    def __add__(self, more: "Points") -> "Points":
        return Points(
            np.concatenate([self.places, more.places]),
            np.concatenate([self.familiar, more.familiar]),
        )


@dataclass(frozen=True, slots=True)
class KernelFeatures:
    """Principal components of the fit part.

    Fields:
        centre: ``(d,)`` mean of the fit part.
        axes: ``(d, F)`` orthonormal.
        spread: ``(F,)`` variance of each component.
        rows: ``(n_fit, <= 64)`` leading components of the fit part.
        scale: standard deviation of the familiarity of the fit part's rows, each left out.
    """

    centre: Singles
    axes: Singles
    spread: Singles
    rows: Singles
    scale: float

    def __call__(self, vectors: Vectors) -> Points:
        """Of ``(n, d)`` unit vectors."""
        places = np.asarray((vectors - self.centre) @ self.axes, np.float32)
        return Points(places, _nearest(places[:, :NEAR] @ self.rows.T, FAMILIAR))

    def unusual(self, points: Points, similar: Singles) -> Singles:
        """``(n,)`` how much more like a window's events than like the fit part, in standard
        deviations, from the ``(n, W)`` inner products with the window."""
        return np.asarray((_nearest(similar, NEIGHBOURS) - points.familiar) / self.scale)

    def direction(self, places: Singles, unusual: Singles) -> Singles:
        """``(W, F)`` and ``(W,)`` -> ``(F,)`` along which the fit part has variance 1."""
        weights = np.exp(np.clip(EMPHASIS * unusual, -4, 4))
        mean = weights @ places / weights.sum()
        found = mean / (self.spread + RIDGE * self.spread.sum() / max(len(mean), 1))
        return np.asarray(found / (math.sqrt(float(found**2 @ self.spread)) or 1.0))


def fit_features(vectors: Vectors) -> KernelFeatures:
    """From the fit part, ``(n, d)`` unit vectors, n > 3."""
    centre = vectors.mean(axis=0)
    with threadpool_limits(limits=1):
        _, sizes, right = np.linalg.svd(vectors - centre, full_matrices=False)
        kept = min(COMPONENTS, int((sizes > 1e-6).sum()))
        rows = (vectors - centre) @ right[: min(kept, NEAR)].T
        similar = rows @ rows.T
    np.fill_diagonal(similar, -np.inf)
    scale = float(_nearest(similar, FAMILIAR).std())
    spread = np.asarray(sizes[:kept] ** 2 / len(vectors), np.float32)
    return KernelFeatures(centre, np.ascontiguousarray(right[:kept].T), spread, rows, scale or 1.0)


def _nearest(similar: Singles, count: int) -> Singles:
    """Mean of the ``count`` largest of each row."""
    top = np.partition(similar, -count, axis=1)[:, -count:]
    return np.asarray(top.sum(axis=1) / np.float32(count))


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

    def scores(self, features: KernelFeatures, points: Points) -> Singles:
        """``(T, n)``; rounded, so that equal prompts tie whatever the order of the sums."""
        similar = points.places[:, :NEAR] @ self.near.T
        near = [features.unusual(points, similar[:, -window:]) for window in self.windows]
        return np.round((points.places @ self.directions).T + np.stack(near), 4)


def p_values(ranked: Singles, scores: Singles, draws: Floats) -> Floats:
    """Conformal p-values of one block, each event ranked against all before it; high is small.

    Args:
        ranked: ``(T, n)``; scores: ``(T, B)``; draws: ``(B,)``.
    """
    everyone = np.concatenate([ranked, scores], axis=1)[:, None, :]
    own, known = scores[:, :, None], ranked.shape[1]
    earlier = np.tri(len(draws), known + len(draws), known - 1, dtype=bool)
    higher = ((everyone > own) & earlier).sum(axis=2)
    equal = ((everyone == own) & earlier).sum(axis=2)
    return np.asarray((higher + draws * (equal + 1)) / (known + np.arange(len(draws)) + 1))


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
        tests: open ones.
    """

    windows: list[int]
    refresh: int
    witnesses: Witnesses | None = None
    tests: list[WitnessTest] = field(default_factory=list)

    @property
    def life(self) -> int:
        """Blocks of a test."""
        return SLICES * self.refresh

    @property
    def log_statistic(self) -> float:
        """Natural log of the strongest test's mean; -inf without any."""
        if not self.tests:
            return -math.inf
        logs = np.stack([test.log_values for test in self.tests])
        whole = np.logaddexp.reduce(logs, axis=(1, 2)).max()
        return float(whole) - math.log(len(self.windows) * len(POWERS))


@dataclass(slots=True)
class KernelCTM:
    """The running detector of one signal.

    Fields:
        features: fixed by the fit part.
        calibration: m rows; those of a slice lie together.
        seed: of the ties; block k draws from ``default_rng((seed, k))``.
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

    def update(self, block: Vectors) -> None:
        """Fold one block of ``(10, d)`` unit vectors."""
        points = self.features(block)
        draws = np.random.default_rng((self.seed, self.blocks)).random(len(points))
        for chain in self.chains:
            self._settle(chain, points, draws)
        self.blocks += 1
        unusual = np.zeros(len(points), np.float32)
        if len(self.lately) >= LEAST_LEARNED:
            similar = points.places[:, :NEAR] @ self.lately.places[-LATELY:, :NEAR].T
            unusual = self.features.unusual(points, similar)
        self.lately = (self.lately + points)[-WINDOW:]
        self.unusual = np.concatenate([self.unusual, unusual])[-WINDOW:]

    @property
    def log_statistic(self) -> float:
        """Natural log of the strongest test's value, scaled: alarm at ``log(ARL / 10)``."""
        strongest = max(chain.log_statistic for chain in self.chains)
        return strongest - math.log(2 * OPENED * len(self.chains))

    def restart(self) -> None:
        """Forget the stream, not the reference."""
        self.chains = [Chain(chain.windows, chain.refresh) for chain in self.chains]
        self.lately, self.unusual = self.lately[:0], self.unusual[:0]

    def _settle(self, chain: Chain, points: Points, draws: Floats) -> None:
        turn, used = divmod(self.blocks, chain.refresh)
        chain.tests = [test for test in chain.tests if test.closes > self.blocks]
        if not used and len(self.lately) >= LEAST_LEARNED:
            chain.witnesses = self._learned(chain.windows, turn % SLICES)
            if turn % (SLICES // OPENED) == 0:
                nothing = np.full((len(chain.windows), len(POWERS)), -np.inf)
                chain.tests.append(WitnessTest(nothing, self.blocks + chain.life))
        found = chain.witnesses
        if found is None or not chain.tests:
            return
        scores = found.scores(self.features, points)
        gain = gains(p_values(found.ranked, scores, draws))
        found.ranked = np.concatenate([found.ranked, scores], axis=1)
        for test in chain.tests:
            test.log_values = np.logaddexp(test.log_values, 0.0) + gain

    def _learned(self, windows: list[int], part: int) -> Witnesses:
        places = self.lately.places
        directions = [
            self.features.direction(places[-window:], self.unusual[-window:]) for window in windows
        ]
        found = Witnesses(np.stack(directions, axis=1), windows, places[-max(windows) :, :NEAR])
        start, stop = (len(self.calibration) * one // SLICES for one in (part, part + 1))
        found.ranked = found.scores(self.features, self.calibration[start:stop])
        return found


def kernel_detector(fit: Vectors, calibration: Vectors, seed: int) -> KernelCTM:
    """A detector that has seen no event; ``(n, d)`` and ``(m, d)`` unit vectors, disjoint."""
    features = fit_features(fit)
    spread_out = np.argsort(np.arange(len(calibration)) % SLICES, kind="stable")
    points = features(calibration[spread_out])
    return KernelCTM(features, points, seed, points[:0])
