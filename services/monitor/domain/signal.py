"""One named signal of a release: its channels, its share of the promise, its history."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.monitor.domain.detector import BLOCK, PartitionCTM, detector
from services.monitor.domain.detector import settle as settle_blocks
from services.monitor.domain.fixed import FixedReference, fixed
from services.monitor.domain.kernel import KernelCTM
from services.monitor.domain.partition import Cells, Floats, Vectors
from services.monitor.domain.sample import CellShift

HISTORY = 500
JOINT = 2.0
"""P(any of the signals within T events) <= T / A makes the average run length of them all at
least A / 2, however the signals depend on each other: each is held to twice its part."""
LEARNED = 0.8
"""The learned channel's part of its signal's budget. On quiet streams it rings ten times more
rarely than its promise allows, the partitions twice. A far change, which these hear first, is so
plain to them that a tenth each is enough."""


@dataclass(slots=True)
class Channel:
    """One partition of the signal.

    Fields:
        column: of the assigned cells that it watches.
        labels: names of its K cells.
    """

    column: int
    labels: list[str]
    detector: PartitionCTM | FixedReference

    def shifts(self) -> list[CellShift]:
        """Shares of the reference and of the last events, weights halving every 30."""
        observed, expected = self.detector.lately()
        observed, expected = (
            observed / max(observed.sum(), 1.0),
            expected / max(expected.sum(), 1.0),
        )
        rows = zip(self.labels, expected, observed, strict=True)
        return [CellShift(label, float(was), float(now)) for label, was, now in rows]


@dataclass(slots=True)
class Signal:
    """Channels that watch the same events, each with a part of the signal's budget (`weighed`).

    The union bound over channels keeps the signal's promise whatever their dependence:
    P(an alarm within T events) <= T / average run length. Their weighted sum would need e-values
    that are fair given the past of all channels; each is fair given its own.

    Fields:
        average_run_length: events to a false alarm, at least, of this signal.
        segment: "label=value" of the events that it watches; "" = all.
        every: the reference's correlation length; one event of so many is watched.
        groups: clusters of the prompts within which it ranks; 1 = it ranks among all.
        intake: it watches every event, those that the others leave out included.
        learned: one more channel, over the embedding itself.
        calibrated: rows counted into the calibration.
        events: watched since the calibration was complete; offered: those left out included.
        alarmed: it rang. It is watched on, for how far it goes above its threshold says whether the
            alarm stands in a crowd (`fleet`); it rings again only after `restart`.
        pending: ``(channels + 1, < 10)`` cells and strata of the unfinished block, and
            waiting: ``(< 10, d)`` its vectors where there is a kernel.
        trace: ``(2, 500)`` events and values of the last ends of blocks, a ring; traced: ever.
    """

    name: str
    cause: str
    average_run_length: float
    channels: list[Channel]
    segment: str = ""
    every: int = 1
    groups: int = 1
    learned: KernelCTM | None = None
    intake: bool = False
    calibrated: int = 0
    events: int = 0
    offered: int = 0
    alarmed: bool = False
    pending: Cells = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    waiting: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    trace: Floats = field(default_factory=lambda: np.zeros((2, HISTORY)))
    traced: int = 0

    @property
    def columns(self) -> list[int]:
        return [channel.column for channel in self.channels]

    @property
    def fixed(self) -> bool:
        """Whether its promise is for this very reference."""
        return all(isinstance(channel.detector, FixedReference) for channel in self.channels)

    @property
    def threshold(self) -> float:
        """Natural log of the value at which it rings."""
        return math.log(self.average_run_length / BLOCK)

    @property
    def statistic(self) -> float:
        """Natural log of the largest channel value, each counted with its part of the budget.

        0 stands for everything up to 1, as it is before the first block.
        """
        known = [channel.detector.statistic() for channel in self.channels]
        learned = self.learned.log_statistic if self.learned else None
        return max(0.0, float(weighed(known, learned)))

    @property
    def margin(self) -> float:
        """Natural log of the statistic over its threshold; at 0 it rings."""
        return self.statistic - self.threshold

    @property
    def history(self) -> Floats:
        """``(2, <= 500)`` events and values of the last ends of blocks, in time order."""
        return np.roll(self.trace, -self.traced, axis=1)[:, max(0, HISTORY - self.traced) :]

    def tables(self, strata: Cells, clusters: Cells) -> Cells:
        """The tables of counts, from ``(n,)`` strata and clusters."""
        return strata * self.groups + clusters if self.groups > 1 else strata

    def calibrate(self, cells: Cells, strata: Cells) -> None:
        """``(channels, n)`` cells and ``(n,)`` strata of calibration rows, thinned already."""
        for channel, row in zip(self.channels, cells, strict=True):
            channel.detector.calibrate(row, strata)
        self.calibrated += cells.shape[1]

    def watch(self, cells: Cells, strata: Cells, vectors: Vectors | None = None) -> int | None:
        """Fold at most ten events: ``(channels, n)``, ``(n,)`` and ``(n, d)``.

        Returns:
            The place in this call of the event at which the signal rang; None when it did not.
        """
        last = self.offer(cells, strata, vectors)
        if last is None:
            return None
        settle([self])
        return last if self.ring() else None

    def ring(self) -> bool:
        """Whether it has reached its threshold and not rung yet; from now on it has."""
        rings = not self.alarmed and self.statistic >= self.threshold
        self.alarmed = self.alarmed or rings
        return rings

    def offer(
        self,
        cells: Cells,
        strata: Cells,
        vectors: Vectors | None = None,
        inside: NDArray[np.bool_] | None = None,
    ) -> int | None:
        """Take events as `watch` does, any number of them, without settling.

        Args:
            inside: ``(n,)`` which ones are for this signal; None: all of them.
        Returns:
            The place of the event that completed a block, which is to be settled.
        """
        if inside is not None:
            chosen = np.flatnonzero(inside)
            some = vectors[chosen] if vectors is not None and self.learned is not None else None
            last = self.offer(cells[:, chosen], strata[chosen], some)
            return None if last is None else int(chosen[last])
        size = len(strata)
        if not size:
            return None
        first = -self.offered % self.every
        self.offered += size
        if first >= size:
            return None
        if self.every > 1:
            cells, strata = cells[:, first :: self.every], strata[first :: self.every]
            vectors = None if vectors is None else vectors[first :: self.every]
        waiting = self.pending.shape[1] if self.pending.size else 0
        self._join(cells, strata, vectors)
        if self.pending.shape[1] < BLOCK:
            return None
        return first + (BLOCK - waiting - 1) * self.every

    def restart(self) -> None:
        """After an alarm: back to the reference, to hear the next one."""
        for channel in self.channels:
            channel.detector.restart()
        if self.learned is not None:
            self.learned.restart()
        self.alarmed = False

    def _join(self, cells: Cells, strata: Cells, vectors: Vectors | None) -> None:
        block = np.concatenate([cells, strata[None, :]])
        self.pending = np.concatenate([self.pending, block], axis=1) if self.pending.size else block
        if self.learned is not None and vectors is not None:
            more = np.concatenate([self.waiting, vectors]) if self.waiting.size else vectors
            self.waiting = more

    def take(self) -> tuple[Cells, Floats | None]:
        """``(channels + 1, 10 m)`` cells and strata of the complete blocks, and the learned
        channel's ``(m,)`` values if there is one."""
        size = self.pending.shape[1] // BLOCK * BLOCK
        blocks, self.pending = self.pending[:, :size], self.pending[:, size:]
        if self.learned is None:
            return blocks, None
        vectors, self.waiting = self.waiting[:size], self.waiting[size:]
        return blocks, self.learned.update(vectors)

    def close(self, values: Floats) -> bool:
        """Remember where ``(m,)`` settled blocks led; whether it is to ring at one of them."""
        values = np.maximum(values, 0.0)
        ends = np.arange(len(values))
        places = (self.traced + ends) % HISTORY
        self.trace[0, places] = self.calibrated + self.events + (ends + 1) * BLOCK
        self.trace[1, places] = values
        self.events += BLOCK * len(values)
        self.traced += len(values)
        return not self.alarmed and float(values.max()) >= self.threshold


def weighed(partitions: ArrayLike, learned: ArrayLike | None) -> Floats:
    """Natural log of the largest value, from those of the channels; the budget's parts add up to 1.

    The learned channel has `LEARNED` of it where there is one, the partitions the rest, evenly.
    """
    known, rest = np.asarray(partitions), 1.0 if learned is None else 1.0 - LEARNED
    largest = np.asarray(known.max(axis=0) + math.log(rest / len(known)))
    return largest if learned is None else np.maximum(largest, np.add(learned, math.log(LEARNED)))


Full = tuple[Signal, int]
"""A signal whose block is complete, and the place of the event that completed it."""

Taken = tuple[Signal, Cells, Floats | None]
"""A signal with what `Signal.take` gave."""


def settle(signals: Sequence[Signal], among: Sequence[Signal] = ()) -> bool:
    """Settle the complete blocks of each of these, all at once; whether one is to ring.

    Args:
        among: these and the ones that join them in other blocks, in an order that lasts.
    """
    detectors = [channel.detector for signal in among for channel in signal.channels]
    every = [each for each in detectors if isinstance(each, PartitionCTM)]
    alike: dict[int, list[Taken]] = {}
    for signal in signals:
        blocks, learned = signal.take()
        alike.setdefault(blocks.shape[1], []).append((signal, blocks, learned))
    return sum(_settle(some, every) for some in alike.values()) > 0


def _settle(taken: Sequence[Taken], among: Sequence[PartitionCTM]) -> bool:
    """Signals that have equally many complete blocks."""
    together: list[tuple[PartitionCTM, Cells, Cells]] = []
    values: dict[int, Floats] = {}
    for signal, blocks, _ in taken:
        for channel, row in zip(signal.channels, blocks[:-1], strict=True):
            if isinstance(channel.detector, PartitionCTM):
                together.append((channel.detector, row, blocks[-1]))
            else:
                values[id(channel.detector)] = channel.detector.settle(row)
    if together:
        detectors, cells, strata = zip(*together, strict=True)
        found = settle_blocks(detectors, np.array(cells), np.array(strata), among)
        values |= zip(map(id, detectors), found, strict=True)
    rang = []
    for signal, _, learned in taken:
        own = [values[id(channel.detector)] for channel in signal.channels]
        rang.append(signal.close(weighed(own, learned)))
    return any(rang)


def channel(
    column: int,
    labels: Sequence[str],
    shares: Floats,
    ordered: bool,
    seed: int,
    strata: int = 1,
    delta: float = 0.0,
) -> Channel:
    """An empty channel.

    Args:
        shares: ``(K,)`` the fit part's, of the cells.
        delta: above 0 for a fixed reference, where there is one stratum and a choice of cells.
    """
    watching: PartitionCTM | FixedReference
    if delta and strata == 1 and len(labels) > 1:
        watching = fixed(len(labels), ordered, delta)
    else:
        watching = detector(shares, ordered, seed, strata)
    return Channel(column, list(labels), watching)
