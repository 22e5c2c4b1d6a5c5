"""A part of a history, the reference or the stream: events in time order, by column."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.fitting import Flags, Table
from services.monitor.domain.partition import Cells, unit


@dataclass(frozen=True, slots=True)
class Part:
    """n events in time order, by column; what is not given is absent.

    Fields:
        vectors: ``(n, d)`` embeddings of any length but 0; d = 0 when there are none.
        numbers, words: as in `fitting.Table`, by the signal's name.
        episodes: ``(n,)``; events of one episode are no draws of their own.
        strata: of n.
    """

    vectors: NDArray[np.floating]
    numbers: dict[str, NDArray[np.float64]]
    words: dict[str, list[str]]
    episodes: NDArray[np.int64] | None
    strata: list[str]

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def embedded(self) -> bool:
        return int(self.vectors.shape[1]) > 0

    @property
    def columns(self) -> list[str]:
        """Names of the signals whose values it has, the embedding's aside."""
        return [*self.numbers, *self.words]

    def known(self, name: str) -> Flags:
        """``(n,)``: which events have a value of the signal."""
        if name in self.numbers:
            return np.isfinite(self.numbers[name])
        return np.array([bool(word) for word in self.words[name]])

    def strata_of(self, places: Iterable[int]) -> list[str]:
        return [self.strata[place] for place in places]

    def inside(self, places: Cells, segment: str) -> Flags:
        """``(m,)``: which of ``(m,)`` places are in a segment of a language; "" = all."""
        if not segment:
            return np.ones(len(places), bool)
        language = segment.partition("=")[2]
        return np.array([self.words["language"][place] == language for place in places], bool)

    def table(self, places: Cells) -> Table:
        unknown = {"length": np.full(len(places), np.nan)}
        numbers = {name: column[places] for name, column in self.numbers.items()}
        return Table(
            vectors=unit(self.vectors[places]),
            numbers=unknown | numbers,
            words={name: [column[at] for at in places] for name, column in self.words.items()},
            strata=self.strata_of(places),
        )

    def once(self) -> Cells:
        """Places of the first event of each episode."""
        if self.episodes is None:
            return np.arange(len(self))
        _, places = np.unique(self.episodes, return_index=True)
        return np.sort(places)
