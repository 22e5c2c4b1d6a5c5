"""One named signal of a release: its channels, its share of the promise, its history."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.detector import BLOCK, PartitionCTM, detector
from services.monitor.domain.partition import Cells, Floats
from services.monitor.domain.sample import CellShift

HISTORY = 500
LATELY = 30.0


@dataclass(slots=True)
class Channel:
    """One partition of the signal.

    Fields:
        labels: names of its K cells.
        reference: ``(K,)`` calibration events per cell.
        lately: ``(K,)`` watched events per cell, weights halving every 30 events.
    """

    labels: list[str]
    detector: PartitionCTM
    reference: Floats
    lately: Floats

    def calibrate(self, cells: Cells) -> None:
        self.reference += np.bincount(cells, minlength=len(self.reference))
        self.detector.calibrate(cells)

    def settle(self, cells: Cells) -> None:
        landed = np.bincount(cells, minlength=len(self.lately))
        self.lately = self.lately * 0.5 ** (len(cells) / LATELY) + landed
        self.detector.settle(cells)

    def shifts(self) -> list[CellShift]:
        expected = self.reference / max(self.reference.sum(), 1.0)
        observed = self.lately / max(self.lately.sum(), 1.0)
        rows = zip(self.labels, expected, observed, strict=True)
        return [CellShift(label, float(was), float(now)) for label, was, now in rows]


@dataclass(slots=True)
class Signal:
    """Channels that watch the same events, an even part of the signal's budget each.

    The union bound over channels keeps the signal's promise whatever their dependence:
    P(an alarm within T events) <= T / average run length.

    Fields:
        average_run_length: events to a false alarm, at least, of this signal.
        calibrated: events counted into the calibration.
        events: watched since the calibration was complete.
        pending: ``(channels, < 10)`` cells of the unfinished block.
        history_events, history_values: the last 500 block ends.
    """

    name: str
    cause: str
    average_run_length: float
    channels: list[Channel]
    calibrated: int = 0
    events: int = 0
    alarmed: bool = False
    pending: Cells = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    history_events: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    history_values: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def threshold(self) -> float:
        """Natural log of the value at which it rings."""
        return math.log(self.average_run_length / BLOCK)

    @property
    def statistic(self) -> float:
        """Natural log of the largest channel value, each counted with its share of the budget.

        0 stands for everything up to 1, as it is before the first block.
        """
        values = [channel.detector.statistic() for channel in self.channels]
        return max(0.0, max(values) - math.log(len(self.channels)))

    def calibrate(self, cells: Cells) -> None:
        """``(channels, n)`` cells of calibration rows."""
        for channel, row in zip(self.channels, cells, strict=True):
            channel.calibrate(row)
        self.calibrated += cells.shape[1]

    def watch(self, cells: Cells) -> int | None:
        """Fold at most ten events, ``(channels, n)``.

        Returns:
            The place in this call of the event at which the signal rang; None when it did not.
        """
        if self.alarmed or not cells.shape[1]:
            return None
        waiting = self.pending.shape[1] if self.pending.size else 0
        joined = np.concatenate([self.pending, cells], axis=1) if waiting else cells
        if joined.shape[1] < BLOCK:
            self.pending = joined
            return None
        self.pending = joined[:, BLOCK:]
        self._settle(joined[:, :BLOCK])
        return BLOCK - waiting - 1 if self.alarmed else None

    def _settle(self, block: Cells) -> None:
        for channel, row in zip(self.channels, block, strict=True):
            channel.settle(row)
        self.events += BLOCK
        value = self.statistic
        self.alarmed = value >= self.threshold
        at = self.calibrated + self.events
        self.history_events = np.append(self.history_events, at)[-HISTORY:]
        self.history_values = np.append(self.history_values, value)[-HISTORY:]


def channel(labels: list[str], ordered: bool, seed: int) -> Channel:
    size = len(labels)
    return Channel(labels, detector(size, ordered, seed), np.zeros(size), np.zeros(size))
