"""The detector's promises, by small seeded simulations."""

import math

import numpy as np

from services.monitor.domain import bets
from services.monitor.domain.detector import BLOCK, PartitionCTM, detector, p_values

SHARES = np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.02])


def calibrated(seed: int, rows: int = 300) -> PartitionCTM:
    found = detector(len(SHARES), ordered=bool(seed % 2), seed=seed)
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
    counts = np.bincount(random.choice(7, size=20, p=SHARES), minlength=7)[None, :].astype(float)
    found = []

    for _ in range(400):
        cells = random.choice(7, size=BLOCK, p=SHARES)
        found.append(p_values(counts, cells, np.zeros_like(cells), random.random(BLOCK)))
        counts += np.bincount(cells, minlength=7)

    p = np.sort(np.concatenate(found))
    gap = np.abs(p - np.arange(1, len(p) + 1) / len(p)).max()
    assert gap < 1.63 / math.sqrt(len(p)), "Kolmogorov-Smirnov at 1 %"
    pairs = np.corrcoef(np.concatenate(found)[:-1], np.concatenate(found)[1:])[0, 1]
    assert abs(pairs) < 3 / math.sqrt(len(p))


def test_a_p_value_ranks_the_event_among_all_before_it() -> None:
    counts, cells, draws = np.array([[2.0, 3.0, 1.0]]), np.array([1, 1, 0]), np.full(3, 0.5)

    p = p_values(counts, cells, np.zeros(3, np.int64), draws)

    assert np.allclose(p, [(2 + 0.5 * 4) / 7, (2 + 0.5 * 5) / 8, 0.5 * 3 / 9])


def test_every_bet_has_mean_one_under_uniform_p_values() -> None:
    random = np.random.default_rng(2)
    seen, expected = random.random((4, 7)) * 9, random.random((4, 7)) * 9

    for ordered in (False, True):
        sets = bets.suspects(7, ordered)
        cells = [np.array([cell]) for cell in range(7)]
        adaptive = [np.exp(bets.plug_in(SHARES[None, :], seen, expected, cell)) for cell in cells]
        static = [np.exp(bets.contamination(SHARES[None, :], sets, cell)) for cell in cells]

        assert np.allclose(SHARES @ np.array(adaptive), 1)
        assert np.allclose(SHARES @ np.array(static), 1)
        assert np.isclose(np.exp(bets.log_weights(7, ordered)).sum(), 1)


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
