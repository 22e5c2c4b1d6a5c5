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

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain import bets
from services.monitor.domain.partition import Cells, Floats

BLOCK = 10
POOLED = 500.0
"""Rows of all strata together that the pieces' widths lean on. Widths that follow the counts of
one small stratum know too much of its ranks: with 64 strata of 22 rows, and widths of their own,
the run length was half of the promised one."""
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

    def lately(self) -> tuple[Floats, Floats]:
        """``(K,)`` watched events per cell, weights halving every 30 events, and what the
        reference gives for them, in any unit."""

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
        recent: ``(K,)`` watched events per cell, weights halving every 30 events.
        blocks: settled so far; value: natural log of the weighted sum of the M_j.
    """

    ordered: bool
    seed: int
    reference: Floats
    counts: Floats
    log_values: Floats
    seen: Floats
    expected: Floats
    recent: Floats
    blocks: int = 0
    value: float = -math.inf
    drawn: Floats = field(init=False, repr=False, compare=False)
    chunk: int = field(init=False, default=-1, repr=False, compare=False)

    def calibrate(self, cells: Cells, strata: Cells) -> None:
        np.add.at(self.reference, (strata, cells), 1.0)
        np.add.at(self.counts, (strata, cells), 1.0)

    def settle(self, cells: Cells, strata: Cells) -> float:
        settle([self], cells[None, :], strata[None, :])
        return self.statistic()

    def statistic(self) -> float:
        return self.value

    def lately(self) -> tuple[Floats, Floats]:
        alone = len(self.reference) == 1 or not self.expected[0].sum()
        return self.recent, self.reference.sum(axis=0) if alone else self.expected[0]

    def restart(self) -> None:
        self.counts = self.reference.copy()
        self.log_values, self.value = np.full_like(self.log_values, -np.inf), -np.inf
        self.seen = np.zeros_like(self.seen)
        self.expected = np.zeros_like(self.expected)
        self.recent = np.zeros_like(self.recent)

    def draws(self) -> Floats:
        """``(10,)`` uniform on [0, 1) for the next block."""
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
        recent=np.zeros(cells),
    )


def settle(detectors: Sequence[PartitionCTM], cells: Cells, strata: Cells) -> None:
    """Fold one block of each of D detectors at once: numpy's calls are dear, their length is not.

    Smaller partitions are filled up with cells of width 0.

    Args:
        cells, strata: ``(D, 10)``.
    """
    form = _form(tuple((found.counts.shape[1], found.ordered) for found in detectors))
    rows = np.zeros((len(detectors), cells.shape[1], form.most))
    tilts = np.ones((2, len(detectors), len(bets.HALF_LIVES), form.most))
    values = np.full((len(detectors), form.weights.shape[1]), -np.inf)
    pooled = np.zeros((len(detectors), 1, form.most))
    for place, found in enumerate(detectors):
        size = found.counts.shape[1]
        rows[place, :, :size] = found.counts[strata[place]]
        pooled[place, 0, :size] = found.counts.sum(axis=0)
        tilts[0, place, :, :size], tilts[1, place, :, :size] = found.seen, found.expected
        values[place, form.kept[place]] = found.log_values

    p = p_values(rows, cells, strata, np.array([found.draws() for found in detectors]))
    totals = rows.sum(axis=2, keepdims=True)
    lent = POOLED * pooled / np.maximum(pooled.sum(axis=2, keepdims=True), 1.0)
    known = rows + lent + 0.5
    widths = known / (totals + lent.sum(axis=2, keepdims=True) + form.sizes[:, None, None] / 2)
    widths = widths * form.real[:, None, :]
    hits = (np.cumsum(widths, axis=2) <= p[:, :, None]).sum(axis=2)
    hits = np.minimum(hits, form.sizes[:, None] - 1)
    gains = bets.gains(widths, tilts[0], tilts[1], form.sets, hits)
    values = np.minimum(np.logaddexp(values, 0.0) + gains, LOG_CEILING)

    weights, kept = bets.fading(cells.shape[1])
    landed = weights @ _indicators(form.most)[hits]
    tilts = kept * tilts + np.stack([landed, weights @ widths])
    fell = weights[0] @ _indicators(form.most)[cells]
    logs = np.logaddexp.reduce(form.weights + values, axis=1)
    for place, found in enumerate(detectors):
        tables, size = found.counts.shape
        found.seen, found.expected = tilts[:, place, :, :size]
        found.recent = kept[0] * found.recent + fell[place, :size]
        found.log_values = values[place, form.kept[place]]
        found.value = float(logs[place])
        landings = np.bincount(strata[place] * size + cells[place], minlength=tables * size)
        found.counts += landings.reshape(tables, size)
        found.blocks += 1


def p_values(rows: Floats, cells: Cells, strata: Cells, draws: Floats) -> Floats:
    """Conformal p-values of one block, each event ranked among all of its stratum before it.

    Args:
        rows: ``(D, B, K)`` counts of each event's stratum before the block.
        cells, strata: ``(D, B)``; small, the work is B squared.
        draws: ``(D, B)`` uniform on [0, 1).
    """
    earlier = _earlier(cells.shape[1]) & (strata[:, None, :] == strata[:, :, None])
    below = (cells[:, None, :] < cells[:, :, None]) & earlier
    same = (cells[:, None, :] == cells[:, :, None]) & earlier
    place = cells[:, :, None]
    equal = np.take_along_axis(rows, place, 2)[:, :, 0]
    smaller = np.take_along_axis(np.cumsum(rows, axis=2), place, 2)[:, :, 0] - equal
    smaller = smaller + below.sum(axis=2)
    before = rows.sum(axis=2) + earlier.sum(axis=2)
    return np.asarray((smaller + draws * (equal + same.sum(axis=2) + 1)) / (before + 1))


@dataclass(frozen=True, slots=True)
class _Form:
    """How detectors of several sizes lie in one array.

    Fields:
        sizes: ``(D,)``, K each; most: the largest.
        real: ``(D, most)`` 1 where a cell is one.
        sets: ``(D, S, most)`` sets of cells that static bets are on, zeros where there is none.
        kept: the places of each detector's bets among ``(4 + 3 S,)``.
        weights: ``(D, 4 + 3 S)`` natural logs of the bets' stakes; -inf where there is none.
    """

    sizes: Cells
    most: int
    real: Floats
    sets: Floats
    kept: list[Cells]
    weights: Floats


@lru_cache(maxsize=4096)
def _form(kinds: tuple[tuple[int, bool], ...]) -> _Form:
    most = max(size for size, _ in kinds)
    suspects = [bets.suspects(size, ordered) for size, ordered in kinds]
    broad = max(len(found) for found in suspects)
    plug_in, parts = len(bets.HALF_LIVES), len(bets.CONTAMINATIONS)
    real = np.array([np.arange(most) < size for size, _ in kinds]).astype(np.float64)
    sets = np.zeros((len(kinds), broad, most))
    weights = np.full((len(kinds), plug_in + parts * broad), -np.inf)
    kept: list[Cells] = []
    for place, (size, ordered) in enumerate(kinds):
        mine = len(suspects[place])
        sets[place, :mine, :size] = suspects[place]
        static = [plug_in + part * broad + np.arange(mine) for part in range(parts)]
        kept.append(np.concatenate([np.arange(plug_in), *static]))
        weights[place, kept[-1]] = bets.log_weights(size, ordered)
    sizes = np.array([size for size, _ in kinds], np.int64)
    return _Form(sizes, most, real, sets, kept, weights)


@cache
def _earlier(size: int) -> NDArray[np.bool_]:
    return np.tril(np.ones((size, size), bool), -1)


@cache
def _indicators(size: int) -> Floats:
    return np.eye(size)
