import numpy as np
import pytest

from services.monitor.domain.scalar import fit_scalar
from services.monitor.offline import score


def latencies(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(np.log(400), 0.5, count)


@pytest.mark.parametrize("seed", range(4))
def test_a_few_answers_that_time_out_are_heard_among_the_slow_ones(seed: int) -> None:
    stream = latencies(100 + seed, 1_000)
    stream[np.random.default_rng(seed).random(1_000) < 0.05] = 60_000

    verdict = score({"ref_latency_ms": latencies(seed, 1_000), "latency_ms": stream})

    assert [alarm.cause for alarm in verdict.alarms][:1] == ["system"]


def test_both_tails_and_what_lies_beyond_them_have_cells_of_their_own() -> None:
    numbers = np.arange(1.0, 513.0)

    bins = fit_scalar(numbers)

    assert bins.bins(
        np.array([0.0, 1.0, 4.0, 20.0, 300.0, 500.0, 510.0, 512.0, 513.0])
    ).tolist() == [0, 1, 1, 2, 6, 9, 10, 10, 11]


def test_a_small_fit_part_has_no_thin_cells() -> None:
    assert len(fit_scalar(np.arange(40.0)).edges) == 7
