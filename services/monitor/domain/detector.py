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
from functools import lru_cache
from itertools import pairwise

import numpy as np

from services.monitor.domain import bets
from services.monitor.domain.draws import Draws
from services.monitor.domain.partition import Cells, Floats
from services.monitor.domain.ranking import indicators, p_values, running

BLOCK = 10
POOLED = 500.0
"""Rows of all strata together that the pieces' widths lean on. Widths that follow the counts of
one small stratum know too much of its ranks: with 64 strata of 22 rows, and widths of their own,
the run length was half of the promised one."""
LOG_CEILING = 200.0


@dataclass(slots=True)
class PartitionCTM:
    """One partition under watch, K cells in S strata.

    Fields:
        ordered: whether neighbouring cells mean similar things.
        seed: of the p-values' ties (`draws`), so that an alarm can be recomputed.
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
    draws: Draws = field(init=False, repr=False, compare=False)
    stack: "_Stack | None" = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.draws = Draws(self.seed, BLOCK)

    def calibrate(self, cells: Cells, strata: Cells) -> None:
        self.stack = None
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
        self.stack = None
        self.counts = self.reference.copy()
        self.log_values, self.value = np.full_like(self.log_values, -np.inf), -np.inf
        self.seen = np.zeros_like(self.seen)
        self.expected = np.zeros_like(self.expected)
        self.recent = np.zeros_like(self.recent)


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


def settle(
    detectors: Sequence[PartitionCTM],
    cells: Cells,
    strata: Cells,
    among: Sequence[PartitionCTM] = (),
) -> None:
    """Fold one block of each of D detectors at once: numpy's calls are dear, their length is not.

    Smaller partitions are filled up with cells of width 0.

    Args:
        cells, strata: ``(D, 10)``.
        among: these and the ones that join them in other blocks, in an order that lasts.
    """
    among = among or detectors
    stack = detectors[0].stack
    if stack is None or not stack.holds(among):
        stack = _Stack(among)
    stack.settle(detectors, cells, strata)


class _Stack:
    """Detectors that are settled together, in one array of each kind.

    Their own arrays are parts of these, so that the next block finds them where they are. A
    detector is of one stack at a time; a change from outside takes it out (``stack = None``).

    Fields:
        counts: ``(D, largest S, most)``; pooled: ``(D, 1, most)`` its sums over the strata.
        tilts: ``(2, D, H, most)`` seen and expected; recent: ``(D, most)``.
        values: ``(D, 4 + 3 S)`` of the bets.
        places: ``(D, 1)`` numbers of the detectors.
    """

    __slots__ = ("counts", "form", "members", "places", "pooled", "recent", "tilts", "values")

    def __init__(self, detectors: Sequence[PartitionCTM]) -> None:
        self.form = _form(tuple((found.counts.shape[1], found.ordered) for found in detectors))
        size, most = len(detectors), self.form.most
        tables = max(len(found.counts) for found in detectors)
        self.members = list(detectors)
        self.places = np.arange(size)[:, None]
        self.counts = np.zeros((size, tables, most))
        self.tilts = np.ones((2, size, len(bets.HALF_LIVES), most))
        self.recent = np.zeros((size, most))
        self.values = np.full(self.form.stakes.shape, -np.inf)
        for place, found in enumerate(detectors):
            self._take(place, found)
        self.pooled = self.counts.sum(axis=1, keepdims=True)

    def holds(self, detectors: Sequence[PartitionCTM]) -> bool:
        return len(detectors) == len(self.members) and all(
            found is known and found.stack is self
            for found, known in zip(detectors, self.members, strict=True)
        )

    def settle(self, detectors: Sequence[PartitionCTM], cells: Cells, strata: Cells) -> None:
        """Fold one block of some of the members, in their order."""
        at = self._at(detectors)
        form, places, pooled = self.form, self.places[at], self.pooled[at]
        rows = self.counts[places, strata]
        p = p_values(
            rows, cells, strata, np.array([found.draws.of(found.blocks) for found in detectors])
        )
        lent = pooled * (POOLED / np.maximum(pooled.sum(axis=2, keepdims=True), 1.0))
        known = (rows + lent + 0.5) * form.real[at]
        widths = known / known.sum(axis=2, keepdims=True)
        reached = running(widths) > p[:, :, None]
        reached[:, :, -1] = True
        hits = np.minimum(reached.argmax(axis=2), form.last[at])
        seen, expected = self.tilts[:, at]
        gains = bets.gains(widths, seen, expected, form.sets[at], hits)
        values = np.minimum(np.log1p(np.exp(self.values[at])) + gains, LOG_CEILING)
        self.values[at] = values
        self._count(at, cells, hits, widths)
        np.add.at(self.counts, (places, strata, cells), 1.0)
        logs = np.log((np.exp(values) * form.stakes[at]).sum(axis=1)).tolist()
        for found, value in zip(detectors, logs, strict=True):
            found.value = value
            found.blocks += 1
        kept = self.values.take(form.kept)
        for found, own in zip(self.members, form.parts, strict=True):
            found.log_values = kept[own]

    def _at(self, detectors: Sequence[PartitionCTM]) -> slice | list[int]:
        if len(detectors) == len(self.members):
            return slice(None)
        number = {id(found): place for place, found in enumerate(self.members)}
        return [number[id(found)] for found in detectors]

    def _count(self, at: slice | list[int], cells: Cells, hits: Cells, widths: Floats) -> None:
        """Add a block's events, its hit pieces and the widths that these had."""
        one, weights = indicators(self.form.most), bets.fading(BLOCK)[0]
        landed, fading = one.take(cells, axis=0), self.form.fading[at]
        added = np.array([weights @ one.take(hits, axis=0), weights @ widths])
        self.tilts[:, at] = self.tilts[:, at] * fading + added
        self.recent[at] = self.recent[at] * fading[:, 0] + weights[0] @ landed
        self.pooled[at] += landed.sum(axis=1, keepdims=True)

    def _take(self, place: int, found: PartitionCTM) -> None:
        tables, size = found.counts.shape
        counts, recent = self.counts[place, :tables, :size], self.recent[place, :size]
        seen, expected = self.tilts[:, place, :, :size]
        counts[:], recent[:] = found.counts, found.recent
        seen[:], expected[:] = found.seen, found.expected
        self.values.ravel()[self.form.kept[self.form.parts[place]]] = found.log_values
        found.counts, found.recent, found.seen, found.expected = counts, recent, seen, expected
        found.stack = self


@dataclass(frozen=True, slots=True)
class _Form:
    """How detectors of several sizes lie in one array.

    Fields:
        most: the largest K; last: ``(D, 1)`` each one's last cell.
        real: ``(D, 1, most)`` 1 where a cell is one.
        fading: ``(D, H, most)`` what a block leaves of the decayed counts.
        sets: ``(D, S, most)`` sets of cells that static bets are on, zeros where there is none.
        stakes: ``(D, 4 + 3 S)`` of the bets; 0 where there is none.
        kept: flat places of all bets among those; parts: each detector's part of ``kept``.
    """

    most: int
    last: Cells
    real: Floats
    fading: Floats
    sets: Floats
    stakes: Floats
    kept: Cells
    parts: list[slice]


@lru_cache(maxsize=4096)
def _form(kinds: tuple[tuple[int, bool], ...]) -> _Form:
    most = max(size for size, _ in kinds)
    suspects = [bets.suspects(size, ordered) for size, ordered in kinds]
    broad = max(len(found) for found in suspects)
    plug_in, parts = len(bets.HALF_LIVES), len(bets.CONTAMINATIONS)
    real = np.array([np.arange(most) < size for size, _ in kinds])[:, None, :]
    sets = np.zeros((len(kinds), broad, most))
    stakes = np.zeros((len(kinds), plug_in + parts * broad))
    kept: list[Cells] = []
    for place, (size, ordered) in enumerate(kinds):
        mine = len(suspects[place])
        sets[place, :mine, :size] = suspects[place]
        static = [plug_in + part * broad + np.arange(mine) for part in range(parts)]
        own = np.concatenate([np.arange(plug_in), *static])
        stakes[place, own] = np.exp(bets.log_weights(size, ordered))
        kept.append(place * stakes.shape[1] + own)
    ends = np.cumsum([0, *map(len, kept)]).tolist()
    return _Form(
        most=most,
        last=np.array([[size - 1] for size, _ in kinds]),
        real=real.astype(np.float64),
        fading=np.where(real, bets.fading(BLOCK)[1], 1.0),
        sets=sets,
        stakes=stakes,
        kept=np.concatenate(kept),
        parts=[slice(*pair) for pair in pairwise(ends)],
    )
