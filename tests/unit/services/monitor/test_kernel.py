"""The kernel detector's promise and what it sees, on small seeded simulations."""

import math

import numpy as np
import pytest

from services.monitor.adapters import blob
from services.monitor.domain.features import Points, fit_features
from services.monitor.domain.fitting import Fit, Table, fit
from services.monitor.domain.kernel import (
    BLOCK,
    Chain,
    KernelCTM,
    gains,
    kernel_detector,
    p_values,
)
from services.monitor.domain.panel import Calibration, panel, strata
from services.monitor.domain.partition import unit

DIMENSIONS = 24


def rows(random: np.random.Generator, count: int, shift: float = 0.0) -> np.ndarray:
    drawn = random.normal(size=(count, DIMENSIONS)) / (1 + np.arange(DIMENSIONS))
    drawn[:, 5] += shift
    return unit(drawn)


def watching(seed: int, reference: int = 300) -> tuple[KernelCTM, np.random.Generator]:
    random = np.random.default_rng(seed)
    return kernel_detector(rows(random, 150), rows(random, reference), seed), random


def alarmed_at(found: KernelCTM, stream: np.ndarray, average_run_length: float) -> int | None:
    for start in range(0, len(stream) - BLOCK + 1, BLOCK):
        found.update(stream[start : start + BLOCK])
        if found.log_statistic >= math.log(average_run_length / BLOCK):
            return start + BLOCK
    return None


def test_a_bet_pays_its_stake_on_average() -> None:
    p = (np.arange(1_000_000) + 0.5) / 1_000_000

    paid = np.exp(gains(p[:, None]))

    assert np.allclose(paid.mean(axis=0), 1.0, atol=2e-3)


def test_p_values_of_a_frozen_witness_are_uniform_and_independent() -> None:
    random = np.random.default_rng(1)
    found = []

    for _ in range(4000):
        scores = np.round(random.normal(size=26), 1).astype(np.float32)
        found.append(p_values(scores[None, :], random.random(3))[0])
    p = np.array(found)

    assert (
        np.abs(
            np.quantile(p, [0.1, 0.25, 0.5, 0.75, 0.9], axis=0).T - [0.1, 0.25, 0.5, 0.75, 0.9]
        ).max()
        < 0.03
    )
    assert np.abs(np.corrcoef(p.T)[np.triu_indices(3, 1)]).max() < 0.05


class Noting(KernelCTM):
    """Notes the slice of the calibration rows that each witness was given, and when."""

    given: dict[tuple[int, ...], dict[int, int]]

    def _renew(self, chain: Chain, part: int) -> Points:
        self.given.setdefault(tuple(chain.windows), {})[self.blocks] = part
        return super()._renew(chain, part)


def test_a_test_spends_every_slice_once() -> None:
    found, random = watching(2)
    noting = Noting(found.features, found.calibration, 2, found.lately)
    noting.given = {}
    lives = set()

    for row in rows(random, 1500).reshape(-1, BLOCK, DIMENSIONS):
        noting.update(row)
        lives |= {
            (tuple(chain.windows), test.closes - chain.life, test.closes)
            for chain in noting.chains
            for test in chain.tests
            if test.closes <= 150
        }

    assert len(lives) > 30
    for windows, opens, closes in lives:
        given = noting.given[windows]
        assert sorted(part for at, part in given.items() if opens <= at < closes) == [*range(10)]


def test_the_run_length_is_kept_with_a_reference_of_300_rows() -> None:
    promised, events, seeds = 2000, 1000, 15
    alarms = 0

    for seed in range(seeds):
        found, random = watching(seed)
        alarms += alarmed_at(found, rows(random, events), promised) is not None

    assert alarms <= seeds * events / promised + 3 * math.sqrt(seeds / 4)


def test_a_thin_change_is_seen() -> None:
    delays = []

    for seed in range(5):
        found, random = watching(seed)
        stream = rows(random, 2000)
        late = random.random(2000) < 0.25
        late[:500] = False
        stream[late] = rows(random, int(late.sum()), shift=0.8)
        delays.append(alarmed_at(found, stream, 2_000) or 2000)

    assert sorted(delays)[2] < 1000


def test_state_frozen_and_thawed_goes_on_the_same_way() -> None:
    found, random = watching(3)
    stream = rows(random, 400, shift=0.3)
    for start in range(0, 200, BLOCK):
        found.update(stream[start : start + BLOCK])

    thawed = blob.thaw(KernelCTM, blob.freeze(found))
    for start in range(200, 400, BLOCK):
        found.update(stream[start : start + BLOCK])
        thawed.update(stream[start : start + BLOCK])

    assert found.log_statistic == thawed.log_statistic


def test_before_the_first_test_there_is_no_evidence() -> None:
    found, random = watching(5)

    found.update(rows(random, BLOCK))

    assert found.log_statistic == -math.inf


def test_constant_vectors_do_no_harm() -> None:
    same = unit(np.ones((40, DIMENSIONS)))
    found = kernel_detector(same[:20], same[20:], seed=1)

    for _ in range(30):
        found.update(same[:BLOCK])

    assert found.log_statistic < math.log(1000 / BLOCK)


@pytest.mark.parametrize("count", [5, 200])
def test_features_of_few_and_of_many_rows_are_finite(count: int) -> None:
    random = np.random.default_rng(count)

    points = fit_features(rows(random, count))(rows(random, 7))

    assert np.isfinite(points.places).all()
    assert np.isfinite(points.familiar).all()


def table(random: np.random.Generator, count: int) -> Table:
    lengths = {"length": random.normal(size=count)}
    return Table(rows(random, count), lengths, {}, [""] * count)


def calibration(known: Fit, drawn: Table, names: list[str]) -> Calibration:
    found = strata(names)
    none = np.zeros((0, 0), np.int64)
    return Calibration(
        cells=known.assign(drawn),
        strata=found.places(names),
        tables=found,
        labels=[[] for _ in names],
        intake=none,
        intake_strata=none,
        reasons=(),
        vectors=drawn.vectors,
    )


def test_the_embedding_is_watched_by_a_kernel_where_the_reference_is_one_kind_of_draw() -> None:
    random = np.random.default_rng(8)
    known = fit(table(random, 150), 1, natural=True)

    def watched(count: int, names: list[str], conditional: bool) -> bool:
        reference = calibration(known, table(random, count), names)
        signals = panel(known, reference, 10_000, 1, conditional).signals
        return signals[0].learned is not None

    assert watched(300, [""] * 300, False)
    assert not watched(300, [""] * 300, True)
    assert not watched(150, [""] * 150, False)
    assert not watched(300, ["day", "night"] * 150, False)
