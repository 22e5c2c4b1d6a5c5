"""Numbers within their bounds, and what is said of those that are not."""

import math
from collections.abc import Iterable, Iterator

Bound = tuple[str, float, float, float]
"""(name, value, least, most), both ends allowed."""


class Invalid(ValueError):
    """What was declared cannot be taken; the message names the field and what is asked of it."""


def outside(bounds: Iterable[Bound]) -> Iterator[str]:
    """One sentence for each value that is not within its bounds, or no number."""
    for name, value, least, most in bounds:
        if not (math.isfinite(value) and least <= value <= most):
            yield f"{name} is {value:g}: it must lie in [{least:g}, {most:g}]"


def insist(problems: Iterable[str]) -> None:
    """
    Raises:
        Invalid: with the first of ``problems``.
    """
    for problem in problems:
        raise Invalid(problem)
