"""One budget of false alarms for many streams: e-BH over what each gained in a window.

E-value. Let M be a Shiryaev-Roberts value (``detector``, ``ball``), M_0 its value when the
window opened and n the blocks settled since. M - blocks is a supermartingale while nothing
has changed, so E[M | M_0] <= M_0 + n, and ``M / (M_0 + n)`` is an e-value given the past.
Detectors run on across windows; slow evidence is not thrown away.

Rule. Sort the e-values of the N streams downwards; the first k ring, for the largest k with
``e_(k) >= N / (k alpha)`` (Wang and Ramdas, False discovery rate control with e-values, 2022).
In expectation at most a part alpha of the streams that ring are quiet ones, whatever the
dependence between streams; when all are quiet, P(any rings in the window) <= alpha. With
windows of a day and alpha = 0.05 an all-quiet fleet of any size rings on one day in twenty at
most.

Assumption. Each stream's own detector keeps its promise, and windows end by the clock: not at
a moment that was chosen by looking at the values.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Floats


@dataclass(slots=True)
class Fleet:
    """Streams that share a budget, by name.

    Fields:
        alpha: part of the ringing streams that may be quiet ones, per window.
        starts: natural log of each M_0; -inf is 0.
        settled: blocks since the window opened.
    """

    alpha: float
    starts: dict[str, float] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)

    def update(self, name: str, blocks: int = 1) -> None:
        """Count what a stream has settled; an unknown one joins with M_0 = 0."""
        self.starts.setdefault(name, -math.inf)
        self.settled[name] = self.settled.get(name, 0) + blocks

    def restarted(self, name: str) -> None:
        """The stream's detector has begun again at M = 0."""
        self.starts[name] = -math.inf
        self.settled[name] = 0

    def judge(self, log_values: dict[str, float]) -> list[str]:
        """Close the window and open the next one.

        Args:
            log_values: natural log of each stream's M now; a stream that is not named is
                where it was.

        Returns:
            The streams that ring, strongest first. Whoever starts their detectors afresh says
            so with `restarted`.
        """
        names = sorted(self.starts)
        now = {name: log_values.get(name, self.starts[name]) for name in names}
        found = [log_e_value(self.starts[name], now[name], self.settled[name]) for name in names]
        self.starts, self.settled = now, dict.fromkeys(names, 0)
        return [names[place] for place in e_bh(np.array(found), self.alpha)]


def log_e_value(start: float, value: float, blocks: int) -> float:
    """Natural log of ``M / (M_0 + n)``, 0 when nothing was settled; the values are logs."""
    return float(value - np.logaddexp(start, math.log(blocks))) if blocks else 0.0


def e_bh(log_e: Floats, alpha: float) -> NDArray[np.int64]:
    """Places of the rejected hypotheses among ``(N,)`` log e-values, largest e-value first."""
    order = np.argsort(-log_e, kind="stable").astype(np.int64)
    ranks = np.arange(1, len(log_e) + 1)
    passing = log_e[order] >= np.log(len(log_e) / (ranks * alpha))
    return order[: int(ranks[passing].max(initial=0))]
