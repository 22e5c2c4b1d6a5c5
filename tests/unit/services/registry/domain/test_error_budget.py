import math

import pytest

from services.registry.domain.error_budget import alpha_of, gamma, threshold


def test_the_shares_of_all_tests_sum_to_at_most_one() -> None:
    n = 200_000

    first = math.fsum(gamma(k) for k in range(1, n + 1))
    rest = 1 / (2.10974281 * math.log(n + 1))  # integral of the tail, an upper bound

    assert 0.999 < first + rest <= 1.0 + 1e-6


def test_the_first_campaigns_are_practicable() -> None:
    thresholds = [
        threshold(alpha_of(1, 0, 0.05)),
        threshold(alpha_of(2, 1, 0.05)),
        threshold(alpha_of(3, 2, 0.05)),
        threshold(alpha_of(10, 9, 0.05)),
    ]

    assert thresholds == pytest.approx([3.702, 4.336, 4.683, 5.587], abs=1e-3)


def test_promotions_give_budget_back() -> None:
    assert alpha_of(5, 4, 0.05) == pytest.approx(5 * alpha_of(5, 0, 0.05))


@pytest.mark.parametrize(("ordinal", "promotions"), [(0, 0), (1, 1), (3, -1)])
def test_a_history_that_cannot_be_is_refused(ordinal: int, promotions: int) -> None:
    with pytest.raises(ValueError, match=r"promotions|counted"):
        alpha_of(ordinal, promotions, 0.05)
