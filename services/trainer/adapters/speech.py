"""What the measuring job asks of an engine of any runtime, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Answer:
    """New token ids, their log-probabilities, and when they came, s after the request."""

    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    first_s: float = 0.0
    last_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """As the served engine takes them; ``temperature`` 0 is greedy, ``top_k`` 0 takes all."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 1


GREEDY = Sampling()


class Speaker(Protocol):
    """An engine, loaded."""

    def score(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of every token but the first, given those before it."""

    def answer(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Answer]:
        """Answers, all at once; the token that ends one is part of it."""

    def close(self) -> None:
        """Free its memory."""
