"""The detector's promises, by small seeded simulations."""

import math

import numpy as np
import pytest

from services.monitor.domain import bets
from services.monitor.domain.detector import AT_ONCE, BLOCK, PartitionCTM, detector, settle
from services.monitor.domain.ranking import p_values

SHARES = np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.02])


def calibrated(seed: int, rows: int = 300) -> PartitionCTM:
    found = detector(SHARES, ordered=bool(seed % 2), seed=seed)
    random = np.random.default_rng(seed)
    cells = random.choice(len(SHARES), size=rows, p=SHARES)
    found.calibrate(cells, np.zeros_like(cells))
    return found


def alarmed_at(found: PartitionCTM, stream: np.ndarray, log_threshold: float) -> int | None:
    for start in range(0, len(stream) - BLOCK + 1, BLOCK):
        block = stream[start : start + BLOCK]
        if found.settle(block, np.zeros_like(block)) >= log_threshold:
            return start + BLOCK
    return None


def test_p_values_of_an_exchangeable_stream_are_uniform_and_independent() -> None:
    random = np.random.default_rng(1)
    counts = np.bincount(random.choice(7, size=20, p=SHARES), minlength=7).astype(float)
    found = []

    for _ in range(400):
        cells = random.choice(7, size=BLOCK, p=SHARES)
        rows = np.tile(counts, (1, BLOCK, 1))
        strata = np.zeros((1, BLOCK), np.int64)
        found.append(p_values(rows, cells[None, :], strata, random.random((1, BLOCK)))[0])
        counts += np.bincount(cells, minlength=7)

    p = np.sort(np.concatenate(found))
    gap = np.abs(p - np.arange(1, len(p) + 1) / len(p)).max()
    assert gap < 1.63 / math.sqrt(len(p)), "Kolmogorov-Smirnov at 1 %"
    pairs = np.corrcoef(np.concatenate(found)[:-1], np.concatenate(found)[1:])[0, 1]
    assert abs(pairs) < 3 / math.sqrt(len(p))


def test_a_p_value_ranks_the_event_among_all_before_it() -> None:
    rows = np.tile([2.0, 3.0, 1.0], (1, 3, 1))
    cells, strata = np.array([[1, 1, 0]]), np.zeros((1, 3), np.int64)

    p = p_values(rows, cells, strata, np.full((1, 3), 0.5))

    assert np.allclose(p[0], [(2 + 0.5 * 4) / 7, (2 + 0.5 * 5) / 8, 0.5 * 3 / 9])


def test_every_bet_has_mean_one_under_uniform_p_values() -> None:
    random = np.random.default_rng(2)
    seen = np.tile(random.random((4, 7)) * 9, (7, 1, 1))
    widths, pieces = np.tile(SHARES, (7, 1)), np.eye(7)

    for ordered in (False, True):
        sets = np.tile(bets.suspects(7, ordered), (7, 1, 1))
        adaptive = np.exp(bets.plug_in(widths, seen, pieces))
        static = np.exp(bets.static(bets.contamination(widths, sets), sets, pieces))

        assert np.allclose(SHARES @ adaptive, 1)
        assert np.allclose(SHARES @ static, 1)
        assert np.isclose(np.exp(bets.log_weights(7, ordered)).sum(), 1)


@pytest.mark.parametrize("strata", [1, 4])
def test_a_small_reference_leaves_every_bet_at_mean_one(strata: int) -> None:
    """Widths from the rows that events are ranked among would make it 1.13 (a hundred rows)."""
    random, size, found = np.random.default_rng(8), 16, []
    for seed in range(1500):
        one = detector(np.full(size, 1 / size), False, seed, strata)
        rows, events = 100, BLOCK
        one.calibrate(random.integers(0, size, rows), random.integers(0, strata, rows))
        one.settle(random.integers(0, size, events), random.integers(0, strata, events))
        found.append(np.exp(one.log_values))

    static = np.array(found)[:, 4 + size : 4 + 2 * size].mean(axis=1)
    assert abs(static.mean() - 1) < 3 * static.std() / math.sqrt(len(static))
    assert static.std() / math.sqrt(len(static)) < 0.02


def test_false_alarms_are_as_rare_as_promised() -> None:
    average_run_length, events, runs = 5_000, 1_000, 60
    alarms = 0

    for seed in range(runs):
        stream = np.random.default_rng(1000 + seed).choice(7, size=events, p=SHARES)
        found = alarmed_at(calibrated(seed), stream, math.log(average_run_length / BLOCK))
        alarms += found is not None

    promised = runs * events / average_run_length
    assert alarms <= promised + 2.33 * math.sqrt(promised), f"{alarms} in {runs} runs"


def test_a_changed_mix_is_found_soon() -> None:
    shifted = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3])

    delays = []
    for seed in range(10):
        stream = np.random.default_rng(seed).choice(7, size=500, p=shifted)
        delays.append(alarmed_at(calibrated(seed), stream, math.log(100_000 / BLOCK)) or 501)

    assert np.median(delays) <= 60, delays


def test_the_statistic_stays_finite_however_long_the_change_lasts() -> None:
    found = calibrated(1)

    for _ in range(300):
        found.settle(np.full(BLOCK, 6), np.zeros(BLOCK, np.int64))

    assert math.isfinite(found.statistic())


def test_blocks_settled_at_once_leave_the_very_bits_that_one_after_another_do() -> None:
    random, sizes, blocks = np.random.default_rng(4), ((7, True, 1), (3, False, 6)), AT_ONCE + 3
    cells = np.array([random.integers(size, size=BLOCK * blocks) for size, _, _ in sizes])
    strata = np.array([random.integers(tables, size=BLOCK * blocks) for _, _, tables in sizes])

    found = []
    for step in (BLOCK, 3 * BLOCK, BLOCK * blocks):
        some = [detector(np.full(size, 1 / size), way, 5, tables) for size, way, tables in sizes]
        ends = range(0, BLOCK * blocks, step)
        values = [settle(some, cells[:, at : at + step], strata[:, at : at + step]) for at in ends]
        kept = [(one.counts, one.log_values, one.seen, one.recent, one.expected) for one in some]
        found.append([np.concatenate(values, axis=1), *(array for row in kept for array in row)])

    for arrays in zip(*found, strict=True):
        assert len({array.tobytes() for array in arrays}) == 1


def test_detectors_of_several_sizes_settle_in_any_company_as_each_does_alone() -> None:
    random = np.random.default_rng(3)
    sizes = ((7, True), (3, False), (1, False), (12, False))
    together = [detector(np.full(size, 1 / size), ordered, 5 + size, 2) for size, ordered in sizes]
    alone = [detector(np.full(size, 1 / size), ordered, 5 + size, 2) for size, ordered in sizes]
    for one, other, (size, _) in zip(together, alone, sizes, strict=True):
        cells, strata = random.integers(size, size=80), random.integers(2, size=80)
        one.calibrate(cells, strata)
        other.calibrate(cells, strata)

    for block in range(20):
        cells = np.array([random.integers(size, size=BLOCK) for size, _ in sizes])
        strata = random.integers(2, size=(len(sizes), BLOCK))
        for first, last in [(0, 4)] if block % 4 else [(0, 1), (1, 4)]:
            settle(together[first:last], cells[first:last], strata[first:last])
        for other, row, places in zip(alone, cells, strata, strict=True):
            other.settle(row, places)
        if block == 9:
            together[1].restart()
            alone[1].restart()

    for one, other in zip(together, alone, strict=True):
        assert one.statistic() == pytest.approx(other.statistic())
        assert np.allclose(one.counts, other.counts)
        assert np.allclose(one.seen, other.seen)
        assert np.allclose(one.recent, other.recent)
        assert np.allclose(one.log_values, other.log_values)


def test_a_daily_cycle_does_not_ring_where_each_stratum_has_its_counts() -> None:
    """By day the first cells, by night the last ones; the stream is all night."""
    day, night = SHARES, SHARES[::-1]
    random = np.random.default_rng(4)
    pooled, apart = detector(SHARES, False, 1), detector(SHARES, False, 1, 2)
    cells = np.concatenate([random.choice(7, 300, p=day), random.choice(7, 300, p=night)])
    strata = np.repeat([0, 1], 300)
    pooled.calibrate(cells, np.zeros_like(strata))
    apart.calibrate(cells, strata)

    highest = [0.0, 0.0]
    for _ in range(60):
        block = random.choice(7, BLOCK, p=night)
        highest[0] = max(highest[0], pooled.settle(block, np.zeros(BLOCK, np.int64)))
        highest[1] = max(highest[1], apart.settle(block, np.ones(BLOCK, np.int64)))

    assert highest[0] > math.log(100_000 / BLOCK) > highest[1]


def test_after_a_restart_the_counts_are_the_reference_and_the_draws_go_on() -> None:
    found = calibrated(2)
    reference, first = found.counts.copy(), found.draws.of(found.blocks)
    found.settle(np.full(BLOCK, 6), np.zeros(BLOCK, np.int64))

    found.restart()

    assert np.array_equal(found.counts, reference)
    assert found.statistic() == -math.inf
    assert not np.array_equal(found.draws.of(found.blocks), first)


def test_many_small_strata_keep_the_run_length() -> None:
    promised, events, alarms = 500, 0, 0

    for seed in range(4):
        random = np.random.default_rng(seed)
        found = detector(np.full(8, 1 / 8), True, seed, 64)
        found.calibrate(random.integers(0, 8, 1400), random.integers(0, 64, 1400))
        for _ in range(400):
            value = found.settle(random.integers(0, 8, BLOCK), random.integers(0, 64, BLOCK))
            events += BLOCK
            if value >= math.log(promised / BLOCK):
                alarms += 1
                found.restart()

    assert alarms <= events / promised
