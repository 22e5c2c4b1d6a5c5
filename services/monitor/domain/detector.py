"""PartitionCTM: a conformal Shiryaev-Roberts e-detector over a finite partition.

Statistic. For an event in cell b, with C the counts of the calibration rows and of the stream
so far, n their sum and U uniform:
``p = (sum of C below b + U (C_b + 1)) / (n + 1)``, then C_b grows by one. If calibration rows
and stream are exchangeable, the p-values are exactly independent and uniform (Vovk, Gammerman
and Shafer, Algorithmic Learning in a Random World). Each bet j multiplies its e-values over a
block of ten events and sums them as ``M_j <- e_j (M_j + 1)``; the detector's value is the
weighted sum of the M_j.

Strata. An event is ranked among the rows of its own stratum (time of day, weekday or weekend);
each stratum has counts of its own, the bets are shared.

Promise. ``M - blocks`` is a martingale, so an alarm at ``value >= c`` has an average run
length of at least c blocks, and P(alarm within T events) <= T / (10 c) for every T, however
often it is looked at (Shin, Ramdas and Rinaldo, E-detectors, arXiv 2203.03532; Vovk et al.,
Retrain or not retrain, arXiv 2102.10439). The promise is marginal over the reference's draw.

Assumption. Within a stratum, reference and undisturbed stream are exchangeable: one event per
episode, near copies left out, events further apart than the correlation length. A very slow
change is absorbed by the growing counts in part.

Parameters. Blocks of 10 events; bets with half-lives of 30, 120, 500 and 2000 events and
contaminations of 3, 10 and 30 % (`bets`). State: about 2 kB.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain import bets
from services.monitor.domain.partition import Cells, Floats

BLOCK = 10
LOG_CEILING = 200.0
DRAWN = 64


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
    """One partition under watch, K cells in S strata.

    Fields:
        ordered: whether neighbouring cells mean similar things.
        seed: of the p-values' ties; blocks 64 c to 64 c + 63 draw from
            ``default_rng((seed, c))``, so that an alarm can be recomputed.
        reference: ``(S, K)`` calibration rows per cell.
        counts: ``(S, K)`` rows per cell, calibration and stream.
        log_values: ``(J,)`` natural log of each M_j; -inf is 0.
        seen, expected: ``(H, K)`` decayed counts of hit pieces and of their widths.
        blocks: settled so far.
    """

    ordered: bool
    seed: int
    reference: Floats
    counts: Floats
    log_values: Floats
    seen: Floats
    expected: Floats
    blocks: int = 0
    drawn: Floats = field(init=False, repr=False, compare=False)
    chunk: int = field(init=False, default=-1, repr=False, compare=False)

    def calibrate(self, cells: Cells, strata: Cells) -> None:
        np.add.at(self.reference, (strata, cells), 1.0)
        np.add.at(self.counts, (strata, cells), 1.0)

    def settle(self, cells: Cells, strata: Cells) -> float:
        size = self.counts.shape[1]
        totals = self.counts.sum(axis=1, keepdims=True)
        widths = ((self.counts + 0.5) / (totals + size / 2))[strata]
        p = p_values(self.counts, cells, strata, self._draws())
        hits = np.minimum((np.cumsum(widths, axis=1) <= p[:, None]).sum(axis=1), size - 1)
        gains = np.concatenate(
            [
                bets.plug_in(widths, self.seen, self.expected, hits),
                bets.contamination(widths, bets.suspects(size, self.ordered), hits),
            ]
        )
        self.log_values = np.minimum(np.logaddexp(self.log_values, 0.0) + gains, LOG_CEILING)
        weights, kept = bets.fading(len(cells))
        self.seen = kept * self.seen + weights @ _indicators(size)[hits]
        self.expected = kept * self.expected + weights @ widths
        np.add.at(self.counts, (strata, cells), 1.0)
        self.blocks += 1
        return self.statistic()

    def statistic(self) -> float:
        weights = bets.log_weights(self.counts.shape[1], self.ordered)
        return float(np.logaddexp.reduce(weights + self.log_values))

    def restart(self) -> None:
        self.counts = self.reference.copy()
        self.log_values = np.full_like(self.log_values, -np.inf)
        self.seen = np.zeros_like(self.seen)
        self.expected = np.zeros_like(self.expected)

    def _draws(self) -> Floats:
        chunk, place = divmod(self.blocks, DRAWN)
        if chunk != self.chunk:
            self.drawn = np.random.default_rng((self.seed, chunk)).random((DRAWN, BLOCK))
            self.chunk = chunk
        return np.asarray(self.drawn[place])


def detector(cells: int, ordered: bool, seed: int, strata: int = 1) -> PartitionCTM:
    """An empty detector over ``cells`` cells."""
    kinds = len(bets.HALF_LIVES)
    return PartitionCTM(
        ordered=ordered,
        seed=seed,
        reference=np.zeros((strata, cells)),
        counts=np.zeros((strata, cells)),
        log_values=np.full(len(bets.log_weights(cells, ordered)), -np.inf),
        seen=np.zeros((kinds, cells)),
        expected=np.zeros((kinds, cells)),
    )


def p_values(counts: Floats, cells: Cells, strata: Cells, draws: Floats) -> Floats:
    """Conformal p-values of one block, each event ranked among all of its stratum before it.

    Args:
        counts: ``(S, K)`` before the block.
        cells, strata: ``(B,)``; small, the work is B squared.
        draws: ``(B,)`` uniform on [0, 1).
    """
    rows = counts[strata]
    place = np.arange(len(cells))
    earlier = _earlier(len(cells)) & (strata[None, :] == strata[:, None])
    equal = rows[place, cells]
    smaller = np.cumsum(rows, axis=1)[place, cells] - equal
    smaller = smaller + (earlier & (cells[None, :] < cells[:, None])).sum(axis=1)
    equal = equal + (earlier & (cells[None, :] == cells[:, None])).sum(axis=1)
    before = rows.sum(axis=1) + earlier.sum(axis=1)
    return np.asarray((smaller + draws * (equal + 1)) / (before + 1))


@cache
def _earlier(size: int) -> NDArray[np.bool_]:
    return np.tril(np.ones((size, size), bool), -1)


@cache
def _indicators(size: int) -> Floats:
    return np.eye(size)
