"""Conformal p-values of a block of ten events."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Cells, Floats


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
    place = (np.arange(len(cells))[:, None], np.arange(cells.shape[1]), cells)
    equal = rows[place]
    smaller = rows.cumsum(axis=2)[place] - equal
    smaller = smaller + below.sum(axis=2)
    before = rows.sum(axis=2) + earlier.sum(axis=2)
    return np.asarray((smaller + draws * (equal + same.sum(axis=2) + 1)) / (before + 1))


@cache
def _earlier(size: int) -> NDArray[np.bool_]:
    return np.tril(np.ones((size, size), bool), -1)
