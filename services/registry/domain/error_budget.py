"""How sure a canary must be, so that promises hold for an application's whole life.

e-LOND (Xu and Ramdas, arXiv 2311.06412): the k-th test promotes when its e-value reaches
1 / alpha_k with ``alpha_k = alpha * gamma_k * (R + 1)``, where R promotions came out of the
tests before it and the gammas sum to 1. Then at most a fraction alpha of all promotions is
expected to be wrong, for ever, however the tests depend on each other and however often each
is looked at.

``gamma_k = 1 / ((k + 1) ln(k + 1)^2) / 2.10974...`` sums to 1 and leaves the first
campaigns practicable: at alpha 0.05 the first asks for e >= 40.5 (ln 3.70 against 3.00 for a
single test), the second, after one promotion, for e >= 76.4 (ln 4.34), the tenth, after nine,
for e >= 267 (ln 5.59).

Counted are campaigns that reached a canary: one that the offline gate stopped has tested
nothing on users, and the first release of an application has nobody to be compared with.
"""

import math
from typing import Final

NORMALISER: Final = 2.10974281
"""Sum over j >= 2 of 1 / (j ln(j)^2) = 2.10974280..., rounded up."""


def gamma(ordinal: int) -> float:
    """Share of the life's budget for the ``ordinal``-th test; 1, 2, ..."""
    if ordinal < 1:
        raise ValueError(f"tests are counted from 1, not {ordinal}")
    return 1.0 / ((ordinal + 1) * math.log(ordinal + 1) ** 2) / NORMALISER


def alpha_of(ordinal: int, promotions: int, alpha: float) -> float:
    """Error probability that the ``ordinal``-th test may spend, in (0, alpha].

    Args:
        promotions: how many of the ``ordinal - 1`` tests before promoted.
    """
    if not 0 <= promotions < ordinal:
        raise ValueError(f"{promotions} promotions in {ordinal - 1} tests")
    return min(alpha, alpha * gamma(ordinal) * (promotions + 1))


def threshold(alpha: float) -> float:
    """Natural logarithm that an e-value must reach."""
    return -math.log(alpha)
