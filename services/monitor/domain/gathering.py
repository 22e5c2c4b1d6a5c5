"""Whether a reference is whole, and the signals that it calibrates."""

from collections.abc import Iterable

import numpy as np

from services.monitor.domain.fitting import Fit
from services.monitor.domain.held import Collected
from services.monitor.domain.intake import Intake
from services.monitor.domain.panel import Calibration, Panel, Strata, panel, strata, thinning
from services.monitor.domain.partition import unit
from services.monitor.domain.ratings import SHARE

LEAST_REFERENCE = 30
MOST_REFERENCE = 20_000
FIT_ROWS = 500


def gathered(
    known: Fit,
    rows: Collected,
    intake: Intake,
    average_run_length: float,
    seed: int,
    conditional: bool,
    *,
    expected: Iterable[str] = (),
    over: bool = False,
    most: bool = False,
) -> Panel:
    """The signals; none when the reference must be collected on, and the notes say why.

    Args:
        expected: strata that traffic has by its declaration.
        over: no more time is given to a stratum that lacks rows.
        most: no more rows are taken, be they too much alike.
    """
    every = thinning(known, rows.cells.astype(np.int64), rows.strata)
    tables = strata(rows.strata, expected, every)
    if not tables.own or (tables.silent and not (over or most)):
        return Panel([], tables.notes, tables)
    reference = _calibration(rows, intake, tables)
    found = panel(known, reference, average_run_length / (1 - SHARE), seed, conditional)
    first = known.started[0].name if known.started else ""
    enough = most or any(signal.name == first for signal in found.signals)
    return found if enough else Panel([], found.notes, tables)


def _calibration(rows: Collected, intake: Intake, tables: Strata) -> Calibration:
    """What was collected of the strata that have tables."""
    places, taken = tables.places(rows.strata), tables.places(intake.strata)
    inside, vectors = places >= 0, rows.vectors
    return Calibration(
        cells=rows.cells[:, inside].astype(np.int64),
        strata=places[inside],
        tables=tables,
        labels=[rows.labels[place] for place in np.flatnonzero(inside)],
        intake=np.array(intake.rows, np.int64).T[:, taken >= 0],
        intake_strata=taken[taken >= 0],
        vectors=unit(vectors[inside[: len(vectors)]]) if vectors.size else None,
    )
