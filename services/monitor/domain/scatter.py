"""Reference against recent prompts in two dimensions: the first two principal axes of the fit."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.detector import BLOCK
from services.monitor.domain.partition import product

POINTS: Final = 400

Plane = NDArray[np.float32]


@dataclass(slots=True)
class Scatter:
    """Where the latest watched prompts lie.

    Fields:
        axes: ``(2, d)`` orthonormal, of the fit's unit vectors; ``(0, 0)`` before the fit.
        points: ``(400, 2)`` projected unit vectors, a ring.
        added: ever.
    """

    axes: Plane = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    points: Plane = field(default_factory=lambda: np.zeros((POINTS, 2), np.float32))
    added: int = 0

    def add(self, rows: Plane, reference: Plane) -> None:
        """Project ``(n, d)`` unit vectors on the axes of the reference's, by the block of ten."""
        if not self.axes.size:
            self.axes = principal(reference)
        places = (self.added + np.arange(len(rows))) % POINTS
        self.points[places[-POINTS:]] = product(rows, self.axes.T, BLOCK)[-POINTS:]
        self.added += len(rows)

    def latest(self) -> Plane:
        """``(n, 2)``, n up to 400, in no order."""
        return self.points[: self.added]


def principal(rows: NDArray[np.floating]) -> Plane:
    """The first two principal axes of ``(n, d)`` rows, each with its largest part positive."""
    whole = rows.astype(np.float64)
    axes = np.linalg.svd(whole - whole.mean(axis=0), full_matrices=False)[2][:2]
    largest = np.abs(axes).argmax(axis=1)
    signs = np.sign(axes[np.arange(len(axes)), largest])
    return np.asarray(axes * signs[:, None], np.float32)
