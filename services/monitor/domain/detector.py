"""PartitionCTM: a conformal Shiryaev-Roberts e-detector over a finite partition.

Statistic. For an event in cell b, with C the counts of the calibration rows and of the stream
so far, n their sum and U uniform:
``p = (sum of C below b + U (C_b + 1)) / (n + 1)``, then C_b grows by one. If calibration rows
and stream are exchangeable, the p-values are exactly independent and uniform (Vovk, Gammerman
and Shafer, Algorithmic Learning in a Random World). Each bet j multiplies its e-values over a
block of ten events and sums them as ``M_j <- e_j (M_j + 1)``; the detector's value is the
weighted sum of the M_j.

Bets. They know the p-values before theirs and the fit part, nothing else (`bets`): the pieces of
[0, 1] that they tell apart are as wide as the fit part's shares of the cells. Where these differ
from the calibration's the bets lose sharpness, never fairness.

Strata. An event is ranked among the rows of its own stratum (time of day, weekday or weekend);
each stratum has counts of its own, the bets are shared.

Promise. Given the fit part ``M - blocks`` is a martingale of the p-values, so an alarm at
``value >= c`` has an average run length of at least c blocks, and P(alarm within T events) <=
T / (10 c) for every T, however often it is looked at (Shin, Ramdas and Rinaldo, E-detectors,
arXiv 2203.03532; Vovk et al., Retrain or not retrain, arXiv 2102.10439). The promise is marginal
over the reference's draw, and holds up to the first alarm: a reference that rang once by chance
is likely to ring again.

Assumption. Within a stratum, reference and undisturbed stream are exchangeable: one event per
episode, near copies left out, events further apart than the correlation length. A very slow
change is absorbed by the growing counts in part.

Parameters. Blocks of 10 events; bets with half-lives of 30, 120, 500 and 2000 events and
contaminations of 3, 10 and 30 % (`bets`). State: about 2 kB.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from services.monitor.domain import bets
from services.monitor.domain.draws import Draws
from services.monitor.domain.form import form
from services.monitor.domain.partition import Cells, Floats
from services.monitor.domain.ranking import indicators, p_values

BLOCK = 10
AT_ONCE = 32
"""Blocks whose arrays are made at once: more are slower, for they leave the processor's cache."""
LOG_CEILING = 200.0


@dataclass(slots=True)
class PartitionCTM:
    """One partition under watch, K cells in S strata.

    Fields:
        shares: ``(K,)`` of the cells in the fit part, each above 0, their sum 1.
        ordered: whether neighbouring cells mean similar things.
        seed: of the p-values' ties (`draws`), so that an alarm can be recomputed.
        reference: ``(S, K)`` calibration rows per cell.
        counts: ``(S, K)`` rows per cell, calibration and stream.
        log_values: ``(J,)`` natural log of each M_j; -inf is 0.
        seen: ``(H, P)`` decayed counts of hit pieces (`bets.pieces`).
        recent, expected: ``(K,)`` watched events per cell, and what the rows of their strata let
            expect; weights halving every 30 events.
        blocks: settled so far; value: natural log of the weighted sum of the M_j.
    """

    shares: Floats
    ordered: bool
    seed: int
    reference: Floats
    counts: Floats
    log_values: Floats
    seen: Floats
    recent: Floats
    expected: Floats
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
        alone = len(self.reference) == 1 or not self.expected.sum()
        return self.recent, self.reference.sum(axis=0) if alone else self.expected

    def restart(self) -> None:
        self.stack = None
        self.counts = self.reference.copy()
        self.log_values, self.value = np.full_like(self.log_values, -np.inf), -np.inf
        self.seen = np.zeros_like(self.seen)
        self.recent, self.expected = np.zeros_like(self.recent), np.zeros_like(self.expected)


def detector(shares: Floats, ordered: bool, seed: int, strata: int = 1) -> PartitionCTM:
    """An empty detector over K cells, from the fit part's ``(K,)`` shares of them."""
    cells, (widths, _) = len(shares), bets.pieces(shares, ordered)
    return PartitionCTM(
        shares=shares,
        ordered=ordered,
        seed=seed,
        reference=np.zeros((strata, cells)),
        counts=np.zeros((strata, cells)),
        log_values=np.full(len(bets.log_weights(cells, ordered)), -np.inf),
        seen=np.zeros((len(bets.HALF_LIVES), len(widths))),
        recent=np.zeros(cells),
        expected=np.zeros(cells),
    )


def settle(
    detectors: Sequence[PartitionCTM],
    cells: Cells,
    strata: Cells,
    among: Sequence[PartitionCTM] = (),
) -> Floats:
    """Fold m blocks of each of D detectors at once: numpy's calls are dear, their length is not.

    Smaller partitions are filled up with cells of width 0.

    Args:
        cells, strata: ``(D, 10 m)``.
        among: these and the ones that join them in other blocks, in an order that lasts.
    Returns:
        ``(D, m)`` statistics at the end of each block, the same as of one block after another.
    """
    among = among or detectors
    stack = detectors[0].stack
    if stack is None or not stack.holds(among):
        stack = _Stack(among)
    size, step = len(detectors), AT_ONCE * BLOCK
    found = [
        stack.settle(
            detectors,
            cells[:, start : start + step].reshape(size, -1, BLOCK),
            strata[:, start : start + step].reshape(size, -1, BLOCK),
        )
        for start in range(0, cells.shape[1], step)
    ]
    return np.concatenate(found, axis=1)


class _Stack:
    """Detectors that are settled together, in one array of each kind.

    Their own arrays are parts of these, so that the next block finds them where they are. A
    detector is of one stack at a time; a change from outside takes it out (``stack = None``).

    Fields:
        counts: ``(D, largest S, most)``.
        widths: ``(D, P)`` of the pieces; edges: ``(D, 1, P)`` where they end, 2 for the last.
        sets: ``(D, S, P)`` of pieces that static bets are on, zeros where there is none; odds: of
            these bets (`bets.contamination`).
        seen: ``(D, H, P)``; lately: ``(D, 2, most)`` recent and expected.
        values: ``(D, 4 + 3 S)`` of the bets.
    """

    __slots__ = (
        "counts",
        "edges",
        "form",
        "lately",
        "members",
        "odds",
        "seen",
        "sets",
        "values",
        "widths",
    )

    def __init__(self, detectors: Sequence[PartitionCTM]) -> None:
        self.form = form(tuple((len(found.shares), found.ordered) for found in detectors))
        size, most = len(detectors), self.form.most
        cut = [bets.pieces(found.shares, found.ordered) for found in detectors]
        finest = max(len(widths) for widths, _ in cut)
        tables = max(len(found.counts) for found in detectors)
        self.members = list(detectors)
        self.counts = np.zeros((size, tables, most))
        self.widths, self.edges = np.zeros((size, finest)), np.full((size, 1, finest), 2.0)
        self.sets = np.zeros((size, self.form.broad, finest))
        self.seen = np.zeros((size, len(bets.HALF_LIVES), finest))
        self.lately = np.zeros((size, 2, most))
        self.values = np.full(self.form.stakes.shape, -np.inf)
        for place, found in enumerate(detectors):
            self._take(place, found, *cut[place])
        self.odds = bets.contamination(self.widths, self.sets)

    def holds(self, detectors: Sequence[PartitionCTM]) -> bool:
        return len(detectors) == len(self.members) and all(
            found is known and found.stack is self
            for found, known in zip(detectors, self.members, strict=True)
        )

    def settle(self, detectors: Sequence[PartitionCTM], cells: Cells, strata: Cells) -> Floats:
        """Fold ``(D, m, 10)`` events of some of the members, in their order; ``(D, m)`` logs."""
        at, blocks = self._at(detectors), cells.shape[1]
        form, widths = self.form, self.widths[at, None]
        rows = self._ranked_among(at, cells, strata)
        draws = [
            found.draws.of(found.blocks + block) for found in detectors for block in range(blocks)
        ]
        flat = (-1, BLOCK)
        p = p_values(
            rows.reshape(*flat, form.most),
            cells.reshape(flat),
            strata.reshape(flat),
            np.array(draws),
        ).reshape(cells.shape)
        hits = (self.edges[at, None] <= p[..., None]).sum(axis=3)
        pieces = indicators(widths.shape[2]).take(hits, axis=0)
        landed = pieces.sum(axis=2)
        gains = [
            bets.plug_in(widths, self._fade(at, cells, pieces, rows), landed),
            bets.static(self.odds[:, at, None], self.sets[at, None], landed),
        ]
        logs = self._gain(at, np.concatenate(gains, axis=2))
        for found, value in zip(detectors, logs[:, -1].tolist(), strict=True):
            found.value = value
            found.blocks += blocks
        kept = self.values.take(form.kept)
        for found, own in zip(self.members, form.parts, strict=True):
            found.log_values = kept[own]
        return logs

    def _at(self, detectors: Sequence[PartitionCTM]) -> slice | list[int]:
        if len(detectors) == len(self.members):
            return slice(None)
        number = {id(found): place for place, found in enumerate(self.members)}
        return [number[id(found)] for found in detectors]

    def _ranked_among(self, at: slice | list[int], cells: Cells, strata: Cells) -> Floats:
        """``(D, m, 10, most)`` counts of each event's stratum before its block; then they count."""
        size, blocks, _ = cells.shape
        tables, most = self.counts.shape[1:]
        number, block = np.arange(size)[:, None, None], np.arange(blocks)[:, None]
        places = ((number * blocks + block) * tables + strata) * most + cells
        came = np.bincount(places.ravel(), minlength=size * blocks * tables * most)
        up_to = came.reshape(size, blocks, tables, most).cumsum(axis=1)
        known = self.counts[at, None]
        before = np.concatenate([known, known + up_to[:, :-1]], axis=1)
        self.counts[at] += up_to[:, -1]
        return np.asarray(before[number, block, strata])

    def _fade(self, at: slice | list[int], cells: Cells, pieces: Floats, rows: Floats) -> Floats:
        """Add the blocks' pieces and events, and the rows of their strata; ``(D, m, H, P)`` seen
        before each block."""
        weights, fading = bets.fading(BLOCK)
        came = weights[0] @ indicators(self.form.most).take(cells, axis=0)
        expected = weights[0] @ (rows / np.maximum(rows.sum(axis=3, keepdims=True), 1.0))
        both = np.stack([came, expected], axis=2)
        self.lately[at] = _faded(self.lately[at], both, fading[0])[:, -1]
        seen = _faded(self.seen[at], weights @ pieces, fading)
        self.seen[at] = seen[:, -1]
        return seen[:, :-1]

    def _gain(self, at: slice | list[int], gains: Floats) -> Floats:
        """Fold the blocks' ``(D, m, J)`` log e-values; ``(D, m)`` logs of the weighted sums."""
        known, values = self.values[at], np.empty_like(gains)
        for block in range(gains.shape[1]):
            grown = np.log1p(np.exp(known)) + gains[:, block]
            known = values[:, block] = np.minimum(grown, LOG_CEILING)
        self.values[at] = known
        return np.asarray(np.log((np.exp(values) * self.form.stakes[at, None]).sum(axis=2)))

    def _take(self, place: int, found: PartitionCTM, widths: Floats, sets: Floats) -> None:
        (tables, size), cut = found.counts.shape, len(widths)
        counts, seen = self.counts[place, :tables, :size], self.seen[place, :, :cut]
        recent, expected = self.lately[place, :, :size]
        counts[:], seen[:] = found.counts, found.seen
        recent[:], expected[:] = found.recent, found.expected
        self.widths[place, :cut], self.sets[place, : len(sets), :cut] = widths, sets
        self.edges[place, 0, : cut - 1] = np.cumsum(widths)[:-1]
        self.values.ravel()[self.form.kept[self.form.parts[place]]] = found.log_values
        found.counts, found.recent, found.seen, found.expected = counts, recent, seen, expected
        found.stack = self


def _faded(before: Floats, came: Floats, fading: Floats) -> Floats:
    """``(D, m + 1, ...)`` what fades by the block, from ``(D, ...)`` and ``(D, m, ...)`` new."""
    found = np.empty((len(came), came.shape[1] + 1, *came.shape[2:]))
    found[:, 0] = before
    for block in range(came.shape[1]):
        found[:, block + 1] = found[:, block] * fading + came[:, block]
    return found
