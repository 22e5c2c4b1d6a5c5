"""Many streams, one budget."""

import math

import numpy as np

from services.monitor.domain.ball import ball_detector
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fleet import e_bh, standing

SHARES = np.array([0.4, 0.3, 0.2, 0.1])
DAY = 10


def test_the_strongest_streams_ring_together_where_none_would_alone() -> None:
    log_e = np.log([30.0, 1.0, 30.0, 30.0, 0.1, 1.0])

    assert list(e_bh(log_e, alpha=0.1)) == [0, 2, 3]
    assert list(e_bh(log_e[:2], alpha=0.05)) == []


def test_no_stream_rings_without_evidence() -> None:
    assert len(e_bh(np.array([]), alpha=0.05)) == 0
    assert len(e_bh(np.full(3, -math.inf), alpha=0.05)) == 0


def test_what_was_gathered_counts_by_the_blocks_it_took() -> None:
    strong = math.log(1000)

    assert standing([(strong, 10)]) == [True]
    assert standing([(strong, 1000)]) == [False]
    assert standing([(strong, 0)]) == [False]


def test_the_same_evidence_stands_alone_and_falls_in_a_crowd() -> None:
    crowd = [(0.0, 10)] * 199

    assert standing([(math.log(1000), 10), *crowd])[0] is False
    assert standing([(math.log(100_000), 10), *crowd])[0] is True


def test_two_hundred_quiet_streams_stay_quiet_and_the_changed_one_stands() -> None:
    random = np.random.default_rng(1)
    counts = random.multinomial(500, SHARES, size=200).astype(float)
    streams = [ball_detector(row, True) for row in counts]

    found = []
    for day in range(1, 5):
        for number, watched in enumerate(streams):
            shares = SHARES[::-1] if day == 4 and number == 7 else SHARES
            for block in random.choice(4, size=(DAY, BLOCK), p=shares):
                watched.update(block)
        stand = standing([(one.log_statistic, day * DAY) for one in streams])
        found.append([number for number, stands in enumerate(stand) if stands])

    assert found == [[], [], [], [7]]
