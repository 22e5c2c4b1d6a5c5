"""Which alarms stand in a crowd of streams: e-detectors with the Benjamini-Hochberg rule.

An application's own promise bounds its own false alarms. Two hundred quiet applications that each
ring once in 100,000 events ring together every 500.

Rule. Let m be a stream's loudest statistic over its threshold: it rings at m >= 1. Sort the m of
all N streams downwards; the first k stand, for the largest k with ``m_(k) >= N / k`` (e-d-BH:
Dandapanthula and Ramdas, Multiple testing in multi-stream sequential change detection, arXiv
2501.04130; Wang and Ramdas, False discovery rate control with e-values, 2022). A change that lasts
is watched on after its alarm, and soon stands; a false alarm rarely gets there.

Promise. Let a stream with a run length A have watched T events. While it is quiet E[m] <= T / A
at any T that was fixed beforehand, so in expectation the quiet ones among those that stand are at
most a part ``mean of T / A`` over the streams, whatever their dependence: as if one of them were
watched alone, not N. No rule with a finite run length can bound that part for ever (there, 3).

Assumption. Each stream's own detectors keep their promise, and looks are taken by the clock: not
at a moment that was chosen by looking at the values.
"""

from collections.abc import Sequence

import numpy as np


def bar(margins: Sequence[float]) -> float:
    """Natural log of the least m that stands; inf when none does.

    Args:
        margins: natural log of m of each stream.
    """
    ranked = np.sort(np.array(margins, float))[::-1]
    bars = np.log(len(ranked) / np.arange(1, len(ranked) + 1))
    return float(bars[ranked >= bars].min(initial=np.inf))
