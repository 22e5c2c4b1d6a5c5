"""How a signal's budget of false alarms is split over its channels, and what it remembers."""

import math

import numpy as np
import pytest

from services.monitor.domain.detector import BLOCK
from services.monitor.domain.signal import HISTORY, Signal, channel, weighed


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("learned", [False, True])
def test_the_parts_of_the_budget_add_up_to_one(count: int, learned: bool) -> None:
    nothing = [-math.inf] * count
    alone = [
        weighed([*nothing[:place], 0.0, *nothing[place + 1 :]], -math.inf if learned else None)
        for place in range(count)
    ]
    if learned:
        alone.append(weighed(nothing, 0.0))

    assert sum(map(math.exp, alone)) == pytest.approx(1.0)


def test_the_loudest_channel_counts() -> None:
    quiet, loud = 2.0, 30.0

    assert weighed([quiet, loud], quiet) == weighed([loud, -math.inf], -math.inf)
    assert weighed([quiet, quiet], loud) == weighed([-math.inf], loud)


def test_the_history_is_that_of_the_last_500_blocks_in_time_order() -> None:
    alone = channel(0, ["a", "b"], np.full(2, 0.5), False, 1)
    signal = Signal("length", "input", 10_000.0, [alone])
    block = np.zeros((1, BLOCK), np.int64)

    signal.watch(block, block[0])
    first = signal.history
    for _ in range(HISTORY + 4):
        signal.watch(block, block[0])

    assert first[0].tolist() == [BLOCK]
    assert signal.history.shape == (2, HISTORY)
    assert signal.history[0].tolist() == [BLOCK * (6 + each) for each in range(HISTORY)]
