"""What an application promises of its answers, and whether one of them keeps it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.monitor.domain.generation import Generation
from services.monitor.domain.units import duration, plain

MONTH_S: Final = 30 * 86_400.0
MOST: Final = 16
"""Objectives of an application."""


@dataclass(frozen=True, slots=True)
class Objective:
    """At least ``target`` of the answers are good.

    Fields:
        threshold: good is at or below it (for ``tokens_per_s`` at or above it): seconds, or
            currency per answer; not for rates.
        target: share, in (0, 1); period_s: over which the error budget is meant.
    """

    name: str
    threshold: float = 0.0
    target: float = 0.99
    period_s: float = MONTH_S

    @property
    def key(self) -> str:
        """Tells the objectives of an application apart."""
        return _key(self.name, self.threshold)

    def asked(self, currency: str) -> str:
        """What is promised, for people."""
        seconds, number = duration(self.threshold), plain(self.threshold)
        kept = {
            "time_to_first_token": f"begin within {seconds}",
            "time_per_output_token": f"take {seconds} a token at most",
            "latency": f"take {seconds} at most",
            "cost": f"cost {number} {currency} at most",
            "tokens_per_s": f"come at {number} tokens per second or more",
            "errors": "do not fail",
            "refusals": "are no refusals",
            "blocks": "are not blocked by a guard",
        }
        return f"{100 * self.target:.4g} % of the answers {kept[self.name]}"


@lru_cache(maxsize=1024)
def _key(name: str, threshold: float) -> str:
    return f"{name} {threshold:g}" if threshold else name


def bad(objective: Objective, answer: Generation) -> bool | None:
    """Whether the answer breaks the objective; None when the objective is not about it."""
    if answer.role == "shadow" or answer.outcome == "cancelled":
        return None
    if objective.name == "errors":
        return answer.outcome == "failed"
    if objective.name == "blocks":
        return answer.guard_verdict == "block"
    if answer.outcome == "failed":
        return None
    if objective.name == "refusals":
        return answer.refused
    if objective.name == "tokens_per_s":
        return answer.tokens < objective.threshold * answer.latency_s
    measured = MEASURES[objective.name](answer)
    return measured > objective.threshold if measured == measured else None


MEASURES: Final = {
    "time_to_first_token": lambda answer: answer.first_token_s,
    "time_per_output_token": lambda answer: answer.per_token_s,
    "latency": lambda answer: answer.latency_s,
    "cost": lambda answer: answer.cost,
}
NAMES: Final = frozenset({*MEASURES, "errors", "blocks", "refusals", "tokens_per_s"})
