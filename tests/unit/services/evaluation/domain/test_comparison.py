import math

import numpy as np
import pytest

from services.evaluation.domain.comparison import (
    RowScore,
    compare,
    paired_interval,
    perplexity,
)


def scored(losses: list[float], segment: str = "bank", **more: list[float]) -> list[RowScore]:
    return [
        RowScore(
            f"{segment}-{number:03}",
            segment,
            {"answer_loss": loss, **{name: values[number] for name, values in more.items()}},
        )
        for number, loss in enumerate(losses)
    ]


def test_a_constant_difference_has_no_width() -> None:
    reference = np.linspace(2.0, 4.0, 30)

    interval = paired_interval(reference - 0.5, reference, seed=1)

    assert (interval.estimate, interval.lower, interval.upper) == pytest.approx((-0.5, -0.5, -0.5))
    assert interval.n == 30


def test_the_interval_is_the_normal_one_where_rows_are_many() -> None:
    difference = np.random.default_rng(7).normal(-0.3, 0.4, 400)

    interval = paired_interval(difference, np.zeros(400), seed=1)

    half = 1.96 * difference.std() / math.sqrt(400)
    assert interval.lower == pytest.approx(difference.mean() - half, abs=0.004)
    assert interval.upper == pytest.approx(difference.mean() + half, abs=0.004)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    covered = 0
    for run in range(120):
        difference = random.normal(0.2, 0.5, 60)
        interval = paired_interval(difference, np.zeros(60), seed=run)
        covered += interval.lower <= 0.2 <= interval.upper

    assert 106 <= covered <= 120  # 95 % of 120 is 114; binomial 99.9 % is 106


def test_the_same_seed_gives_the_same_interval_and_pairs_keep_together() -> None:
    random = np.random.default_rng(3)
    reference = random.normal(3.0, 1.0, 50)
    candidate = reference + random.normal(-0.1, 0.05, 50)

    first, second = (paired_interval(candidate, reference, seed=5) for _ in range(2))

    assert first == second
    assert first.upper - first.lower < 0.05  # unpaired it would be 0.8


def test_perplexity_is_the_exponential_of_the_mean_loss() -> None:
    [segment] = compare(scored([1.0, 2.0]), scored([2.0, 3.0]), "seed")

    found = segment.difference("perplexity")
    assert found.candidate == pytest.approx(math.exp(1.5))
    assert found.reference == pytest.approx(math.exp(2.5))
    assert perplexity(np.array([0.0])) == 1.0


def test_segments_are_compared_apart_and_text_only_where_there_is_some() -> None:
    candidate = scored([1.0] * 4, rouge_l=[0.5] * 4) + scored([5.0] * 3, "python")
    reference = scored([2.0] * 4, rouge_l=[0.2] * 4) + scored([4.0] * 3, "python")

    segments = compare(candidate, reference, "seed")

    told = [
        (
            segment.name,
            segment.rows,
            [(d.metric, round(d.interval.estimate, 9)) for d in segment.differences],
        )
        for segment in segments
    ]
    assert told == [
        (
            "bank",
            4,
            [("answer_loss", -1.0), ("perplexity", round(math.e - math.e**2, 9)), ("rouge_l", 0.3)],
        ),
        ("python", 3, [("answer_loss", 1.0), ("perplexity", round(math.exp(5) - math.exp(4), 9))]),
    ]


def test_rows_are_matched_by_id_whatever_their_order() -> None:
    reference = scored([1.0, 2.0, 3.0])

    [segment] = compare(list(reversed(scored([0.5, 1.5, 2.5]))), reference, "seed")

    interval = segment.difference("answer_loss").interval
    assert (interval.lower, interval.upper) == pytest.approx((-0.5, -0.5))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match="answer_loss of row bank-001"):
        compare(scored([1.0, loss]), scored([1.0, 1.0]), "seed")


def test_models_scored_on_different_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="1 rows"):
        compare(scored([1.0, 2.0]), scored([1.0]), "seed")
