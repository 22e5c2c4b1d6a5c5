"""Many streams, one budget."""

import math

import numpy as np

from services.monitor.domain.ball import ball_detector
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fleet import Fleet, e_bh, log_e_value

SHARES = np.array([0.4, 0.3, 0.2, 0.1])
DAY = 10


def test_the_strongest_streams_ring_together_where_none_would_alone() -> None:
    log_e = np.log([30.0, 1.0, 30.0, 30.0, 0.1, 1.0])

    assert list(e_bh(log_e, alpha=0.1)) == [0, 2, 3]
    assert list(e_bh(log_e[:2], alpha=0.05)) == []


def test_no_stream_rings_without_evidence() -> None:
    assert len(e_bh(np.array([]), alpha=0.05)) == 0
    assert len(e_bh(np.full(3, -math.inf), alpha=0.05)) == 0


def test_a_window_counts_what_was_gained_in_it() -> None:
    assert math.isclose(log_e_value(-math.inf, math.log(500), 10), math.log(50))
    assert math.isclose(log_e_value(math.log(490), math.log(500), 10), 0.0, abs_tol=1e-12)
    assert log_e_value(-math.inf, -math.inf, 0) == 0.0


def test_old_evidence_rings_once() -> None:
    fleet = Fleet(alpha=0.05)
    fleet.update("a", DAY)

    assert fleet.judge({"a": math.log(1e6)}) == ["a"]
    fleet.update("a", DAY)
    assert fleet.judge({"a": math.log(1e6)}) == []


def test_a_restarted_detector_is_judged_from_nothing() -> None:
    fleet = Fleet(alpha=0.05, starts={"a": math.log(1e6)})
    fleet.restarted("a")
    fleet.update("a", DAY)

    assert fleet.judge({"a": math.log(1000)}) == ["a"]


def test_two_hundred_quiet_streams_stay_quiet_and_the_changed_one_rings() -> None:
    random = np.random.default_rng(1)
    fleet = Fleet(alpha=0.05)
    counts = random.multinomial(500, SHARES, size=200).astype(float)
    streams = {f"stream-{n:03}": ball_detector(row, True) for n, row in enumerate(counts)}
    changed = {"stream-007"}

    rings = []
    for day in range(4):
        for name, watched in streams.items():
            shares = SHARES[::-1] if day == 3 and name in changed else SHARES
            for block in random.choice(4, size=(DAY, BLOCK), p=shares):
                watched.update(block)
            fleet.update(name, DAY)
        rings.append(fleet.judge({name: found.log_statistic for name, found in streams.items()}))

    assert rings == [[], [], [], ["stream-007"]]
