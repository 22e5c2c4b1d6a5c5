"""How a signal's budget of false alarms is split over its channels."""

import math

import pytest

from services.monitor.domain.signal import weighed


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
