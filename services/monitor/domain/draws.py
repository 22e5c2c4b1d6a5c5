"""Uniform numbers of the randomised p-values: known from the seed and the block alone."""

from dataclasses import dataclass, field

import numpy as np

from services.monitor.domain.partition import Floats

DRAWN = 64
"""Blocks that one generator draws for: to make one takes as long as forty of its blocks."""


@dataclass(slots=True)
class Draws:
    """Blocks 64 c to 64 c + 63 of ``size`` events draw from ``default_rng((seed, c))``."""

    seed: int
    size: int
    chunk: int = -1
    rows: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def of(self, block: int) -> Floats:
        """``(size,)`` uniform on [0, 1)."""
        chunk, place = divmod(block, DRAWN)
        if chunk != self.chunk:
            self.rows = np.random.default_rng((self.seed, chunk)).random((DRAWN, self.size))
            self.chunk = chunk
        return np.asarray(self.rows[place])
