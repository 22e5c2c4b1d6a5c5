"""How long the traffic remembers: consecutive events are often alike, and then count as one."""

import numpy as np

from services.monitor.domain.partition import Cells, Floats

LONGEST = 200


def correlation_length(cells: Cells, strata: Cells, ordered: bool) -> int:
    """The smallest lag at which the autocorrelation of the cells is no longer to be seen.

    Events that far apart are taken for independent, and one of so many is watched: a
    conformal p-value is uniform given the past only for exchangeable events, and topics that
    stick make the detector ring in hundreds of events instead of thousands.

    Statistic. Nominal cells: that of the centred indicators, ``sum_t Z_t . Z_(t+l) / sum |Z|^2``
    with Z the one-hot rows less their stratum's mean. Ordered cells: that of the cell's number.
    It is seen while it is at least 2 / sqrt(m) (Bartlett's bound for white noise); at lag 1
    while it is at least 3 / sqrt(m), for one look in forty at white noise passes the other.

    Args:
        cells, strata: ``(m,)`` of the reference, in time order.
    Returns:
        1 for exchangeable traffic; at most 200 and at most a quarter of m.
    """
    size = len(cells)
    longest = min(LONGEST, size // 4)
    if longest < 2:
        return 1
    centred = _centred(cells, strata, ordered)
    power = float((centred**2).mean(axis=0).sum())
    if power == 0.0:
        return 1
    for lag in range(1, longest):
        shared = float((centred[:-lag] * centred[lag:]).sum()) / (size - lag)
        if shared / power < (3.0 if lag == 1 else 2.0) / np.sqrt(size):
            return lag
    return longest


def _centred(cells: Cells, strata: Cells, ordered: bool) -> Floats:
    """``(m, 1)`` or ``(m, K)`` less the mean of each stratum."""
    rows = cells[:, None].astype(np.float64) if ordered else np.eye(int(cells.max()) + 1)[cells]
    for stratum in np.unique(strata):
        inside = strata == stratum
        rows[inside] -= rows[inside].mean(axis=0)
    return rows
