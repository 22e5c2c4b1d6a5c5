"""Watched events with their cells, as the signals take them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.monitor.domain.fitting import Flags
from services.monitor.domain.held import Held
from services.monitor.domain.partition import Cells, Vectors
from services.monitor.domain.signal import Full, Signal


@dataclass(slots=True)
class Block:
    """
    Fields:
        cells: ``(C, 10 m)``, -1 where an event says nothing to a column.
        vectors: ``(10 m, d)`` unit vectors.
    """

    held: Held
    cells: Cells
    vectors: Vectors

    def offer(self, signals: Sequence[Signal], strata: Cells) -> list[Full]:
        """Give the events, of ``(10 m,)`` strata, to the signals of what was held."""
        inside = self.cells >= 0
        whole: Flags = np.all(inside, axis=1)
        full: list[Full] = []
        for signal in signals:
            if signal.intake:
                continue
            first = signal.columns[0]
            mine: Flags | None = None if whole[first] else inside[first]
            if signal.segment:
                mine = inside[first] & [signal.segment in row for row in self.held.labels]
            tables = signal.tables(strata, self.cells[0])
            last = signal.offer(self.cells[signal.columns], tables, self.vectors, mine)
            if last is not None:
                full.append((signal, last))
        return full
