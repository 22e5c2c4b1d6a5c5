"""ROUGE-L by hand."""

import pytest

from infra.demo.rater import rouge_l


def test_the_same_words_rate_one() -> None:
    assert rouge_l("Open Cards, then Limits.", "open cards then limits") == 1.0


def test_nothing_in_common_rates_zero() -> None:
    assert rouge_l("alpha beta", "gamma delta") == 0.0


def test_an_empty_answer_rates_zero() -> None:
    assert rouge_l("", "gamma delta") == 0.0


def test_the_longest_common_subsequence_counts_in_order() -> None:
    # LCS of "a b c d" and "b a c d" is 3 words long: F = 2 * 3 / 8.
    assert rouge_l("a b c d", "b a c d") == pytest.approx(0.75)
