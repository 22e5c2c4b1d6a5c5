"""Texts to vectors, for callers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.inference.domain.admission import Priority
from services.inference.domain.release import Table
from services.inference.handlers.admit import Admit
from services.inference.ports import Embedder


@dataclass(frozen=True, slots=True)
class Embed:
    """A request takes a place of its application, as an answer does, and is charged its tokens."""

    embedder: Embedder
    admit: Admit

    async def __call__(
        self, table: Table, texts: Sequence[str], timeout_s: float | None = None
    ) -> tuple[NDArray[np.float32], int]:
        """``(texts, dimensions)`` float32, and the tokens of all texts.

        Args:
            timeout_s: of the caller, for waiting.
        Raises:
            Overloaded: too many requests are under way or wait.
            EngineFailed: ``deadline``, there was no place in time.
            Poison: ``too_long`` for a text above the model's bound.
            Retryable: the model is away or slow.
        """
        seat = await self.admit.seat(table, Priority.NORMAL, timeout_s or math.inf)
        try:
            rows, seat.tokens = await self.embedder.embed_all(texts)
            return rows, seat.tokens
        finally:
            seat.leave()
