"""Near copies: retries, bursts and loops say the same thing again, and are one draw.

An event whose prompt has a cosine above 0.95 with one of the last 50 events is a near copy.
Whether copies are left out is decided once, on the fit part: where two events far apart are
near copies as well, repeating is how this traffic is (buttons, templates), and its copies are
draws like any other.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Vectors, unit

WINDOW = 50
NEAR = 0.95
NATURAL = 0.05
CHUNK = 512


@dataclass(slots=True)
class Ring:
    """The last 50 prompts.

    Fields:
        rows: ``(50, d)`` float16, as they came; zeros where empty.
        cursor: the place that is overwritten next.
    """

    rows: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    cursor: int = 0
    units: Vectors = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.units = unit(self.rows)

    def add(self, vector: NDArray[np.float16]) -> bool:
        """Remember ``(d,)``; whether it is a near copy of one that was there."""
        if self.rows.shape[1] != len(vector):
            self.rows, self.cursor = np.zeros((WINDOW, len(vector)), np.float16), 0
            self.units = unit(self.rows)
        full = vector.astype(np.float32)
        length = math.sqrt(full @ full)
        if length > 0:
            full /= length
        near = bool(np.maximum.reduce(self.units @ full) > NEAR)
        self.rows[self.cursor] = vector
        self.units[self.cursor] = full
        self.cursor = (self.cursor + 1) % WINDOW
        return near


def copies(vectors: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of ``(n, d)`` vectors, in time order, are near copies: what `Ring` says of each."""
    found = np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), CHUNK):
        first, stop = max(0, start - WINDOW), min(start + CHUNK, len(vectors))
        rows = unit(vectors[first:stop])
        similar = rows[start - first :] @ rows.T
        behind = np.arange(start, stop)[:, None] - np.arange(first, stop)[None, :]
        similar[(behind < 1) | (behind > WINDOW)] = -1.0
        found[start:stop] = similar.max(axis=1) > NEAR
    return found


def natural(vectors: Vectors) -> bool:
    """Whether this traffic repeats itself at any distance in time.

    From the share q of near copies among the pairs that are more than 50 events apart (or
    half of n, if that is less): by chance ``1 - (1 - q)^50`` of all events would be called
    copies; above 5 % they are no sign of a burst.

    Args:
        vectors: ``(n, d)`` unit vectors of the fit part in time order, copies included.
    """
    gap = min(WINDOW, len(vectors) // 2)
    similar = vectors @ vectors.T
    apart = np.triu(np.ones(similar.shape, bool), gap + 1)
    pairs = int(apart.sum())
    if not pairs:
        return False
    share = float((similar[apart] > NEAR).sum()) / pairs
    return 1.0 - (1.0 - share) ** WINDOW > NATURAL
