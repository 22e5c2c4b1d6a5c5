"""Canary evidence: its error probabilities by simulation, and what counts as a score."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from services.monitor.domain.canary import Canary, Comparison, canary
from services.monitor.domain.generation import Feedback

LOG_BAR = math.log(1 / 0.05)
RATED = Feedback(
    feedback_id="f",
    version=1,
    campaign="c",
    role="canary",
    share=0.5,
    episode="e",
    rating=0.8,
    prompt="p",
    correction="",
    withdrawn=False,
)


def run(seed: int, difference: float, events: int, share: float = 0.5) -> tuple[str, bool]:
    """First verdict, and whether the interval always held the true difference."""
    random = np.random.default_rng(seed)
    arms, noise = random.random(events) < share, random.beta(2, 2, events) * 0.5
    found, covered, verdict = Comparison(0.05, 0.05), True, "open"
    for arm, base in zip(arms, noise, strict=True):
        found.score(float(base + 0.2 + (difference if arm else 0)), bool(arm), share)
        _, lower, upper = found.interval()
        covered = covered and lower <= difference <= upper
        if verdict == "open" and found.log_e_promote >= LOG_BAR:
            verdict = "promote"
        if verdict == "open" and found.log_e_rollback >= LOG_BAR:
            verdict = "roll back"
    return verdict, covered


def after(seed: int, share: float, events: int) -> Comparison:
    """A comparison in the middle of its life; ratings of 0 and 1, most of them 0."""
    random, found = np.random.default_rng(seed), Comparison(0.05, 0.05)
    for _ in range(events):
        found.score(float(random.random() < 0.2), bool(random.random() < share), share)
    return found


def outcomes(before: Comparison, share: float, worse: float) -> list[tuple[float, Comparison]]:
    """Each next rating of 0 or 1 with its probability, the candidate's mean ``worse`` lower."""
    found = []
    for candidate, drawn, mean in ((True, share, 0.4 - worse), (False, 1.0 - share, 0.4)):
        for rating, chance in ((1.0, mean), (0.0, 1.0 - mean)):
            then = deepcopy(before)
            then.score(rating, candidate, share)
            found.append((drawn * chance, then))
    return found


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("events", [0, 5, 200])
def test_no_bet_gains_on_average_where_its_verdict_would_be_wrong(
    share: float, events: int
) -> None:
    before = after(7, share, events)

    promote = sum(
        chance * np.exp(then.log_promote - before.log_promote)
        for chance, then in outcomes(before, share, worse=0.05)
    )
    roll_back = sum(
        chance * np.exp(then.log_rollback - before.log_rollback)
        for chance, then in outcomes(before, share, worse=0.0)
    )

    assert promote == pytest.approx(np.ones(3), abs=1e-9)
    assert roll_back == pytest.approx(np.ones(3), abs=1e-9)


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("events", [0, 5, 200])
def test_no_rating_costs_more_than_three_quarters_of_what_was_won(
    share: float, events: int
) -> None:
    before = after(8, share, events)

    for _, then in outcomes(before, share, worse=0.0):
        assert np.all(then.log_promote - before.log_promote > math.log(0.2499))
        assert np.all(then.log_rollback - before.log_rollback > math.log(0.2499))


@pytest.mark.parametrize(("difference", "most"), [(0.03, 130), (-0.15, 85)])
def test_low_ratings_in_growing_shares_decide_soon(difference: float, most: int) -> None:
    def scored(seed: int) -> int:
        random, found = np.random.default_rng(seed), Comparison(0.05, 0.05)
        while max(found.log_e_promote, found.log_e_rollback) < LOG_BAR:
            share = 0.05 if found.scored < 10 else 0.25 if found.scored < 40 else 0.5
            candidate = bool(random.random() < share)
            mean = 0.3 + (difference if candidate else 0.0)
            found.score(float(random.beta(11 * mean, 11 * (1 - mean))), candidate, share)
        return found.scored

    assert np.median([scored(500 + seed) for seed in range(30)]) <= most


def test_a_candidate_at_the_margin_is_hardly_ever_promoted() -> None:
    verdicts = [run(seed, -0.05, 500)[0] for seed in range(80)]

    assert verdicts.count("promote") <= 8, "alpha is 5 %: 4 of 80 expected at most"


def test_an_equal_candidate_is_hardly_ever_rolled_back() -> None:
    verdicts = [run(100 + seed, 0.0, 500)[0] for seed in range(80)]

    assert verdicts.count("roll back") <= 8
    assert verdicts.count("promote") > 40


def test_a_better_candidate_is_promoted_and_a_worse_one_rolled_back() -> None:
    better = [run(200 + seed, 0.08, 400)[0] for seed in range(20)]
    worse = [run(300 + seed, -0.15, 400)[0] for seed in range(20)]

    assert better.count("promote") >= 19
    assert worse.count("roll back") >= 19


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_interval_holds_the_difference_at_all_times(share: float) -> None:
    covered = [run(400 + seed, 0.1, 300, share)[1] for seed in range(40)]

    assert covered.count(False) <= 5


def test_the_interval_narrows_round_the_difference() -> None:
    random, found = np.random.default_rng(3), Comparison(0.05, 0.05)

    for _ in range(3_000):
        arm = bool(random.random() < 0.5)
        found.score(0.5 + 0.2 * arm + 0.1 * random.random(), arm, 0.5)
    estimate, lower, upper = found.interval()

    assert estimate == pytest.approx(0.2, abs=0.02)
    assert upper - lower < 0.1


def test_no_score_says_nothing() -> None:
    found = Comparison(0.05, 0.05)

    assert found.interval() == (0.0, -1.0, 1.0)
    assert found.log_e_promote == pytest.approx(0.0)
    assert found.log_e_rollback == pytest.approx(0.0)


def scored(state: Canary, *given: Feedback) -> int:
    for feedback in given:
        state.rate(feedback)
    return state.comparison.scored


def test_an_episode_scores_once_and_a_bet_stands() -> None:
    state = canary(0.05, 0.05)
    assert scored(state, RATED) == 1
    standing = state.comparison.log_e_promote

    count = scored(
        state,
        replace(RATED, version=2, rating=0.1),
        replace(RATED, version=3, withdrawn=True),
        replace(RATED, feedback_id="other", rating=0.2),
    )

    assert count == 1
    assert state.comparison.log_e_promote == standing


@pytest.mark.parametrize(
    "changes",
    [
        {"rating": None},
        {"withdrawn": True},
        {"share": 0.0},
        {"share": 1.0},
        {"role": "shadow"},
        {"role": ""},
    ],
    ids=str,
)
def test_what_was_not_drawn_by_chance_or_not_rated_is_no_score(changes: dict[str, object]) -> None:
    assert scored(canary(0.05, 0.05), replace(RATED, **changes)) == 0  # type: ignore[arg-type]
