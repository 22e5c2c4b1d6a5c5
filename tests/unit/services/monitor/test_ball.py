"""E-values that hold for every reference the sample allows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.monitor.domain import bets
from services.monitor.domain.ball import (
    agrawal_radius,
    ball_detector,
    clopper_pearson,
    confidence_ball,
    divergence,
    projected,
    threshold,
)
from services.monitor.domain.detector import BLOCK

SHARES = np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.02])
SEEDS = st.integers(0, 2**32 - 1)


def sphere(random: np.random.Generator, centre: np.ndarray, radius: float) -> np.ndarray:
    """Distributions at divergence just under ``radius`` from the centre, in random directions."""
    toward = random.dirichlet(np.full(len(centre), 0.3), size=300)
    low, high = np.zeros(300), np.full(300, 1 - 1e-9)
    for _ in range(60):
        middle = (low + high) / 2
        mixed = (1 - middle[:, None]) * centre + middle[:, None] * toward
        inside = divergence(centre, mixed) <= radius
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    found: np.ndarray = (1 - low[:, None]) * centre + low[:, None] * toward
    return found


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rows=st.integers(60, 3000))
def test_a_projected_bet_pays_at_most_its_stake_everywhere_in_the_ball(
    seed: int, rows: int
) -> None:
    random = np.random.default_rng(seed)
    ball = confidence_ball(random.multinomial(rows, SHARES).astype(float), ordered=False)
    alternatives = random.dirichlet(np.full(len(SHARES), 0.5), size=20)

    values = projected(alternatives, ball)
    worst = np.concatenate([sphere(random, ball.centre, ball.radius), ball.centre[None]])

    assert (worst @ values.T).max() <= 1 + 1e-9


def test_the_bet_is_tight_at_its_own_projection() -> None:
    ball = confidence_ball(1500 * SHARES, ordered=False)
    bet = SHARES[::-1][None].copy()

    value = projected(bet, ball)[0]
    projection = bet[0] / value

    assert math.isclose(divergence(ball.centre, projection[None])[0], ball.radius, rel_tol=1e-6)
    assert math.isclose(projection @ value, 1.0, rel_tol=1e-9)


def test_a_bet_inside_the_ball_is_not_placed() -> None:
    ball = confidence_ball(200 * SHARES, ordered=False)

    assert (projected(SHARES[None] * 1.0, ball) == 1.0).all()


def test_a_cell_that_nobody_has_seen_pays_no_more_than_the_ball_allows() -> None:
    ball = confidence_ball(np.array([300.0, 200.0, 0.0, 0.0]), ordered=False)
    bet = np.array([[0.2, 0.8, 0.0, 0.0]])

    value = projected(bet, ball)[0]
    most = 1 - math.exp(-ball.radius)
    inside = (1 - most) * ball.centre + most * np.array([0.0, 0.0, 0.5, 0.5])

    assert divergence(ball.centre, inside[None])[0] <= ball.radius + 1e-12
    assert np.isfinite(value).all()
    assert inside @ value <= 1 + 1e-9


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rows=st.integers(60, 3000), ordered=st.booleans())
def test_a_bet_on_a_set_pays_at_most_its_stake_under_its_bound(
    seed: int, rows: int, ordered: bool
) -> None:
    random = np.random.default_rng(seed)
    ball = confidence_ball(random.multinomial(rows, SHARES).astype(float), ordered)
    share = ball.bounds * random.random(len(ball.bounds))

    for part in bets.CONTAMINATIONS:
        inside = 1 + (1 - ball.bounds) * part / ball.bounds
        outside = np.where(ball.bounds < 1, 1 - part, 1.0)
        assert (share * inside + (1 - share) * outside).max() <= 1 + 1e-12


def test_the_ball_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    radius = agrawal_radius(1500, len(SHARES), 0.05)
    drawn = random.multinomial(1500, SHARES, size=20_000) / 1500
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(drawn > 0, drawn * np.log(drawn / SHARES), 0.0)

    assert (terms.sum(axis=1) > radius).mean() <= 0.05


def test_the_radius_of_a_known_case() -> None:
    assert agrawal_radius(1500, 16, 0.017) == pytest.approx(0.0193, abs=5e-5)


def test_the_bound_of_a_share_is_the_exact_binomial_one() -> None:
    assert clopper_pearson(0, 100, 0.05) == pytest.approx(1 - 0.05**0.01)
    assert clopper_pearson(100, 100, 0.05) == 1.0


def test_a_quiet_stream_does_not_ring_and_a_changed_one_does() -> None:
    random = np.random.default_rng(2)
    found = ball_detector(random.multinomial(1500, SHARES).astype(float), ordered=True)

    for block in random.choice(len(SHARES), size=(300, BLOCK), p=SHARES):
        found.update(block)
        assert found.log_statistic < threshold(10_000)
    for block in random.choice(len(SHARES), size=(60, BLOCK), p=SHARES[::-1]):
        found.update(block)

    assert found.log_statistic >= threshold(10_000)
