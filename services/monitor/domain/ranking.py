"""Conformal p-values of a block of ten events."""

from functools import cache

import numpy as np

from services.monitor.domain.partition import Cells, Floats


def p_values(rows: Floats, cells: Cells, strata: Cells, draws: Floats) -> Floats:
    """Conformal p-values of one block, each event ranked among all of its stratum before it.

    Args:
        rows: ``(D, B, K)`` counts of each event's stratum before the block.
        cells, strata: ``(D, B)``.
        draws: ``(D, B)`` uniform on [0, 1).
    """
    size, most = rows.shape[1:]
    earlier = before(size) * (strata[:, :, None] == strata[:, None, :])
    known = rows + earlier @ indicators(most).take(cells, axis=0)
    up_to = running(known)
    place = cells + _first(cells.shape, most)
    equal = known.take(place)
    smaller = up_to.take(place) - equal
    return np.asarray((smaller + draws * (equal + 1)) / (up_to[:, :, -1] + 1))


def running(rows: Floats) -> Floats:
    """Sums up to each place of the last axis; a product with a triangle is quicker than cumsum."""
    size = rows.shape[-1]
    return np.asarray((rows.reshape(-1, size) @ before(size, 1).T).reshape(rows.shape))


@cache
def before(size: int, diagonal: int = 0) -> Floats:
    """``(size, size)`` 1 where the column comes before the row."""
    return np.tril(np.ones((size, size)), diagonal - 1)


@cache
def indicators(size: int) -> Floats:
    return np.eye(size)


@cache
def _first(shape: tuple[int, ...], size: int) -> Cells:
    """Places of the first cells of each row, in ``(*shape, size)`` laid out flat."""
    return np.arange(0, size * int(np.prod(shape)), size).reshape(shape)
