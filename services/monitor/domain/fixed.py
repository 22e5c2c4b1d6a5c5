"""The detector with a fixed reference, in the shape of the others."""

from dataclasses import dataclass

import numpy as np

from services.monitor.domain.ball import DELTA, RIPrSR, ball_detector
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.partition import Cells, Floats


@dataclass(slots=True)
class FixedReference:
    """`ball.RIPrSR` over the calibration rows that it was given; all strata are one to it.

    Fields:
        reference: ``(K,)`` calibration rows per cell, K > 1.
        delta: probability that this reference's promise does not hold.
    """

    ordered: bool
    reference: Floats
    delta: float = DELTA
    inner: RIPrSR | None = None

    def calibrate(self, cells: Cells, strata: Cells) -> None:
        self.reference += np.bincount(cells, minlength=len(self.reference))

    def settle(self, cells: Cells) -> Floats:
        """Fold ``(10 m,)`` cells; ``(m,)`` statistics at the ends of the blocks."""
        inner = self.inner = self.inner or ball_detector(self.reference, self.ordered, self.delta)
        return np.array([inner.update(block) for block in cells.reshape(-1, BLOCK)])

    def statistic(self) -> float:
        return -np.inf if self.inner is None else self.inner.log_statistic

    def lately(self) -> tuple[Floats, Floats]:
        nothing = np.zeros(len(self.reference))
        return nothing if self.inner is None else self.inner.seen[0], self.reference

    def restart(self) -> None:
        self.inner = None


def fixed(cells: int, ordered: bool, delta: float) -> FixedReference:
    return FixedReference(ordered, np.zeros(cells), delta)
