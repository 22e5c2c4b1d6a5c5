"""An alarm in full: which cells grew, and prompts of before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain import evidence
from services.monitor.domain.change import change
from services.monitor.domain.fitting import Column, Fit
from services.monitor.domain.held import Held
from services.monitor.domain.partition import Cells
from services.monitor.domain.sample import Alarm
from services.monitor.domain.signal import Signal

REMEMBERED = 60
REPORTED_CELLS = 8


@dataclass(slots=True)
class Lately:
    """The last 60 watched prompts.

    Fields:
        cells: ``(n, C)``, -1 where a prompt says nothing to a column.
        labels: "label=value" of each.
    """

    prompts: list[str] = field(default_factory=list)
    cells: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0), np.int16))
    labels: list[list[str]] = field(default_factory=list)

    def add(self, held: Held, cells: Cells) -> None:
        """A block and its ``(C, n)`` cells."""
        self.prompts = (self.prompts + held.prompts)[-REMEMBERED:]
        self.labels = (self.labels + held.labels)[-REMEMBERED:]
        rows = cells.T.astype(np.int16)
        if self.cells.size:
            rows = np.concatenate([self.cells, rows])
        self.cells = rows[-REMEMBERED:]

    def shown(self, signal: Signal, fit: Fit) -> tuple[list[str], list[str]]:
        """Prompts in the cell of the signal that grew most: the last ones, the newest first, and
        the reference's."""
        growth = [[shift.growth for shift in channel.shifts()] for channel in signal.channels]
        grown = max(range(len(growth)), key=lambda number: max(growth[number]))
        number, cell = signal.channels[grown].column, int(np.argmax(growth[grown]))
        cells = self.cells[:, number].astype(np.int64)
        if signal.segment:
            inside = np.array([signal.segment in row for row in self.labels])
            cells = np.where(inside, cells, -1)
        ordered = fit.columns[number].ordered
        former = evidence.before(fit.prompts, fit.cells[number], cell, ordered)
        return evidence.recent(self.prompts, cells, cell), former


def told(
    signal: Signal,
    *,
    release: str,
    average_run_length: float,
    columns: Sequence[Column],
    reference_events: int,
    generation_id: str,
    after: Sequence[str],
    before: Sequence[str],
    known: Sequence[str],
    seed: int,
) -> Alarm:
    """The alarm of a signal that rang; ``known`` are the reference's prompts, ``columns`` are as in
    `change`."""
    shifts = [shift for channel in signal.channels for shift in channel.shifts()]
    shifts.sort(key=lambda shift: -abs(shift.growth))
    return Alarm(
        release=release,
        signal=signal.name,
        cause=signal.cause,
        statistic=signal.statistic,
        threshold=signal.threshold,
        average_run_length=average_run_length,
        at_event=signal.events,
        reference_events=reference_events,
        cells=tuple(shifts[:REPORTED_CELLS]),
        examples=evidence.distinct(after),
        generation_id=generation_id,
        segment=signal.segment,
        examples_before=evidence.distinct(before),
        terms=evidence.terms(after, known),
        change=change(signal, columns),
        seed=seed,
    )
