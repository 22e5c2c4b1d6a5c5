"""How the bets of partitions of several sizes lie in one array."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from services.monitor.domain import bets
from services.monitor.domain.partition import Cells, Floats


@dataclass(frozen=True, slots=True)
class Form:
    """How detectors of several sizes lie in one array.

    Fields:
        most: the largest K; broad: the largest S.
        stakes: ``(D, 4 + 3 S)`` of the bets; 0 where there is none.
        kept: flat places of all bets among those; parts: each detector's part of ``kept``.
    """

    most: int
    broad: int
    stakes: Floats
    kept: Cells
    parts: list[slice]


@lru_cache(maxsize=4096)
def form(kinds: tuple[tuple[int, bool], ...]) -> Form:
    most = max(size for size, _ in kinds)
    sizes = [len(bets.suspects(size, ordered)) for size, ordered in kinds]
    broad = max(sizes)
    plug_in, parts = len(bets.HALF_LIVES), len(bets.CONTAMINATIONS)
    stakes = np.zeros((len(kinds), plug_in + parts * broad))
    kept: list[Cells] = []
    for place, (size, ordered) in enumerate(kinds):
        mine = sizes[place]
        static = [plug_in + part * broad + np.arange(mine) for part in range(parts)]
        own = np.concatenate([np.arange(plug_in), *static])
        stakes[place, own] = np.exp(bets.log_weights(size, ordered))
        kept.append(place * stakes.shape[1] + own)
    ends = np.cumsum([0, *map(len, kept)]).tolist()
    return Form(
        most=most,
        broad=broad,
        stakes=stakes,
        kept=np.concatenate(kept),
        parts=[slice(*pair) for pair in pairwise(ends)],
    )
