"""Many streams: which of their alarms stand."""

import math

import numpy as np

from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fleet import bar
from services.monitor.domain.signal import Signal, channel

SHARES = np.array([0.4, 0.3, 0.2, 0.1])
STREAMS = 100
NONE = np.zeros(BLOCK, np.int64)


def standing(margins: list[float]) -> list[int]:
    least = bar(margins)
    return [number for number, margin in enumerate(margins) if margin >= least]


def test_one_stream_alone_stands_when_it_rings() -> None:
    assert standing([0.1]) == [0]
    assert standing([-0.1]) == standing([]) == standing([-math.inf] * 3) == []


def test_the_same_margin_stands_alone_and_falls_in_a_crowd() -> None:
    crowd = [-5.0] * 199

    assert standing([5.2, *crowd]) == []
    assert standing([5.3, *crowd]) == [0], "ln 200 is 5.298"


def test_streams_that_change_together_stand_together_where_none_would_alone() -> None:
    assert standing([1.2, 0.9, -1.0, 0.9, -2.0, -3.0]) == [0, 1, 3], "ln 2 is 0.693"
    assert standing([0.9, -1.0, -1.0, 0.9, -2.0, -3.0]) == []


def signal(seed: int, random: np.random.Generator) -> Signal:
    made = Signal("length", "input", 100.0, [channel(0, list("abcd"), SHARES, True, seed)])
    made.calibrate(random.choice(4, size=(1, 300), p=SHARES), np.zeros(300, np.int64))
    return made


def test_in_a_crowd_false_alarms_ring_and_fall_and_the_change_soon_stands() -> None:
    """A run length of 100 events, so that quiet streams do ring."""
    random = np.random.default_rng(1)
    crowd = [signal(seed, random) for seed in range(STREAMS)]

    rang: set[int] = set()
    for _ in range(10):
        for number, one in enumerate(crowd):
            if one.watch(random.choice(4, size=(1, BLOCK), p=SHARES), NONE) is not None:
                rang.add(number)
    assert len(rang) > 10
    assert standing([one.margin for one in crowd]) == []

    for _ in range(5):
        crowd[7].watch(random.choice(4, size=(1, BLOCK), p=SHARES[::-1]), NONE)
    assert standing([one.margin for one in crowd]) == [7]
