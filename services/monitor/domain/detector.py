"""PartitionCTM: a conformal Shiryaev-Roberts e-detector over a finite partition.

Statistic. For an event in cell b, with C the counts of the calibration rows and of the stream
so far, n their sum and U uniform:
``p = (sum of C below b + U (C_b + 1)) / (n + 1)``, then C_b grows by one. If calibration rows
and stream are exchangeable, the p-values are exactly independent and uniform (Vovk, Gammerman
and Shafer, Algorithmic Learning in a Random World). Each bet j multiplies its e-values over a
block of ten events and sums them as ``M_j <- e_j (M_j + 1)``; the detector's value is the
weighted sum of the M_j.

Promise. ``M - blocks`` is a martingale, so an alarm at ``value >= c`` has an average run
length of at least c blocks, and P(alarm within T events) <= T / (10 c) for every T, however
often it is looked at (Shin, Ramdas and Rinaldo, E-detectors, arXiv 2203.03532; Vovk et al.,
Retrain or not retrain, arXiv 2102.10439). The promise is marginal over the reference's draw.

Assumption. Reference and undisturbed stream are exchangeable: one event per episode, no daily
cycle. A very slow change is absorbed by the growing counts in part.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.monitor.domain import bets
from services.monitor.domain.partition import Cells, Floats

BLOCK = 10
LOG_CEILING = 200.0


class Detector(Protocol):
    """Watches one partition in blocks of ten events; a dataclass of numbers and arrays, so that
    it can be stored between any two calls.

    The value is compared with the average run length in blocks over the detector's share of
    the budget: under the reference its expectation after n blocks is at most n.
    """

    def calibrate(self, cells: Cells, strata: Cells) -> None:
        """Take ``(n,)`` reference rows and the stratum of each; before the first block."""

    def settle(self, cells: Cells, strata: Cells) -> float:
        """Fold one block of ``(10,)`` cells and strata; the natural log of the value."""

    def statistic(self) -> float:
        """Natural log of the value; -inf before the first block."""

    def restart(self) -> None:
        """After an alarm: back to the reference; draws go on, they never repeat."""


@dataclass(slots=True)
class PartitionCTM:
    """One partition under watch.

    Fields:
        ordered: whether neighbouring cells mean similar things.
        seed: of the p-values' ties; block k draws from ``default_rng((seed, k))``, so that an
            alarm can be recomputed.
        counts: ``(K,)`` events per cell, calibration and stream.
        log_values: ``(J,)`` natural log of each M_j; -inf is 0.
        seen, expected: ``(H, K)`` decayed counts of hit pieces and of their widths.
        blocks: settled so far.
    """

    ordered: bool
    seed: int
    counts: Floats
    log_values: Floats
    seen: Floats
    expected: Floats
    blocks: int = 0

    def calibrate(self, cells: Cells) -> None:
        """Count calibration rows; only before the first block."""
        self.counts += np.bincount(cells, minlength=len(self.counts))

    def settle(self, cells: Cells) -> float:
        """Fold one block of ``(10,)`` cells; the natural log of the detector's value."""
        widths = (self.counts + 0.5) / (self.counts.sum() + len(self.counts) / 2)
        draws = np.random.default_rng((self.seed, self.blocks)).random(len(cells))
        p = p_values(self.counts, cells, draws)
        hits = np.searchsorted(np.cumsum(widths)[:-1], p, side="right").astype(np.int64)
        gains = np.concatenate(
            [
                bets.plug_in(widths, self.seen, self.expected, hits),
                bets.contamination(widths, bets.suspects(len(widths), self.ordered), hits),
            ]
        )
        self.log_values = np.minimum(np.logaddexp(self.log_values, 0.0) + gains, LOG_CEILING)
        self._remember(widths, hits)
        self.counts += np.bincount(cells, minlength=len(self.counts))
        self.blocks += 1
        return self.statistic()

    def statistic(self) -> float:
        """Natural log of the weighted sum of the M_j; -inf before the first block."""
        weights = bets.log_weights(len(self.counts), self.ordered)
        return float(np.logaddexp.reduce(weights + self.log_values))

    def _remember(self, widths: Floats, hits: Cells) -> None:
        size = len(hits)
        for row, half_life in enumerate(bets.HALF_LIVES):
            fading = 0.5 ** (np.arange(size - 1, -1, -1) / half_life)
            kept = 0.5 ** (size / half_life)
            landed = np.bincount(hits, weights=fading, minlength=len(widths))
            self.seen[row] = kept * self.seen[row] + landed
            self.expected[row] = kept * self.expected[row] + fading.sum() * widths


def detector(cells: int, ordered: bool, seed: int) -> PartitionCTM:
    """An empty detector over ``cells`` cells."""
    kinds = len(bets.HALF_LIVES)
    return PartitionCTM(
        ordered=ordered,
        seed=seed,
        counts=np.zeros(cells),
        log_values=np.full(len(bets.log_weights(cells, ordered)), -np.inf),
        seen=np.zeros((kinds, cells)),
        expected=np.zeros((kinds, cells)),
    )


def p_values(counts: Floats, cells: Cells, draws: Floats) -> Floats:
    """Conformal p-values of one block, each event ranked against all before it.

    Args:
        counts: ``(K,)`` before the block.
        cells: ``(B,)``; small, the work is B squared.
        draws: ``(B,)`` uniform on [0, 1).
    """
    earlier = np.tril(np.ones((len(cells), len(cells))), -1)
    smaller = np.concatenate([[0.0], np.cumsum(counts)])[cells]
    smaller = smaller + (earlier * (cells[None, :] < cells[:, None])).sum(axis=1)
    equal = counts[cells] + (earlier * (cells[None, :] == cells[:, None])).sum(axis=1)
    return np.asarray((smaller + draws * (equal + 1)) / (counts.sum() + np.arange(len(cells)) + 1))
