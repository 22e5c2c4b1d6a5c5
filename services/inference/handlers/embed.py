"""Texts to vectors, for callers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from libs.faults import RESOURCE_EXHAUSTED, Poison
from services.inference.handlers import instruments
from services.inference.ports import Embedder

MAX_UNDER_WAY: Final = 16


@dataclass(slots=True)
class Embed:
    """Bounded, so that embeddings do not crowd out the event path's."""

    embedder: Embedder
    most: int = MAX_UNDER_WAY
    _under_way: int = 0

    async def __call__(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], int]:
        """``(texts, dimensions)`` float32, and the tokens of all texts.

        Raises:
            Poison: ``resource_exhausted``; ``too_long`` for a text above the model's bound.
            Retryable: the model is away or slow.
        """
        if self._under_way >= self.most:
            instruments.REFUSALS.labels("busy").inc()
            raise Poison("too many embeddings are under way", code=RESOURCE_EXHAUSTED)
        self._under_way += 1
        try:
            return await self.embedder.embed_all(texts)
        finally:
            self._under_way -= 1
