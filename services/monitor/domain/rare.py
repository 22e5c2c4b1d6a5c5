"""Values that few events have: what they need to be watched, and why they are not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.monitor.domain.fitting import KINDS, LEAST_KNOWN, Fit, also
from services.monitor.domain.panel import LEAST_CALIBRATED
from services.monitor.domain.part import Part
from services.monitor.domain.partition import Cells

LEAST_VALUES = LEAST_KNOWN + LEAST_CALIBRATED


@dataclass(frozen=True, slots=True)
class Widened:
    """
    Fields:
        since: by the signal's name, the reference event from which on its values calibrate.
        notes: one line for each signal that has too few.
    """

    known: Fit
    since: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def widen(known: Fit, reference: Part, kept: Cells) -> Widened:
    """With the signals whose values are too rare in the fit part: each is fitted on the first
    third of the events that have one. It is still fitted on none of those that calibrate it.

    Args:
        kept: places of the independent reference events, those of the fit part included.
    """
    since: dict[str, int] = {}
    notes: list[str] = []
    for kind in KINDS:
        if kind in known.started or kind.name not in reference.columns:
            continue
        places = kept[reference.known(kind.name)[kept]]
        if len(places) < LEAST_VALUES:
            notes.append(
                f"{kind.name} not watched: {len(places)} known values in the reference, "
                f"{LEAST_VALUES} needed"
            )
            continue
        size = max(LEAST_KNOWN, len(places) // 3)
        known = also(known, kind, reference.table(places[:size]))
        since[kind.name] = int(places[size])
    return Widened(known, since, notes)
