"""One budget of false alarms for many streams: e-BH over what each has gathered.

E-value. Let M be a stream's Shiryaev-Roberts value after n blocks (``detector``, ``ball``,
``kernel``). While nothing has changed M - n is a supermartingale from 0, so E[M] <= n at any
n that was fixed beforehand, and ``M / n`` is an e-value.

Rule. Sort the e-values of the N streams downwards; the first k stand, for the largest k with
``e_(k) >= N / (k alpha)`` (Wang and Ramdas, False discovery rate control with e-values, 2022).
In expectation at most a part alpha of the streams that stand are quiet ones, whatever the
dependence between streams; when all are quiet, P(any stands) <= alpha at each look. Two hundred
quiet streams that would each ring once in 10,000 events ring together every 50: of those alarms
the ones that stand here are the ones to get up for.

Assumption. Each stream's own detector keeps its promise, and looks are taken by the clock: not at
a moment that was chosen by looking at the values.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Floats

ALPHA: Final = 0.05


def standing(streams: Sequence[tuple[float, int]], alpha: float = ALPHA) -> list[bool]:
    """Whether each stream stands among all of them.

    Args:
        streams: natural log of M, and the blocks that were settled; 0 blocks stand never.
        alpha: expected part of the standing streams that may be quiet ones.
    """
    log_e = np.array([value - np.log(n) if n else -np.inf for value, n in streams], float)
    stand = np.zeros(len(streams), bool)
    stand[e_bh(log_e, alpha)] = True
    return [bool(one) for one in stand]


def e_bh(log_e: Floats, alpha: float) -> NDArray[np.int64]:
    """Places of the rejected hypotheses among ``(N,)`` log e-values, largest e-value first."""
    order = np.argsort(-log_e, kind="stable").astype(np.int64)
    ranks = np.arange(1, len(log_e) + 1)
    passing = log_e[order] >= np.log(len(log_e) / (ranks * alpha))
    return order[: int(ranks[passing].max(initial=0))]
