"""The detectors over a history: a reference, and a stream that came after it.

The same as `watch` does with live traffic, column by column instead of event by event. After an
alarm a signal goes back to its reference and listens again, so that a history with several
changes shows them all; a change that stays rings again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.monitor.domain.change import change
from services.monitor.domain.copies import copies, natural
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fitting import PROMPT_EMBEDDING, Column, Fit, Flags, fit
from services.monitor.domain.gathering import FIT_ROWS, LEAST_REFERENCE
from services.monitor.domain.intake import DUPLICATES, Reason, copy
from services.monitor.domain.missing import marked, mostly, named, rarer
from services.monitor.domain.panel import Calibration, Panel, Strata, panel, strata, thinning
from services.monitor.domain.part import Part
from services.monitor.domain.partition import Cells, unit
from services.monitor.domain.rare import Widened, widen
from services.monitor.domain.signal import Signal

CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """An alarm. ``t``: place of the event in the stream; statistic and threshold: natural logs;
    ``change``: what moved, one clause."""

    t: int
    signal: str
    segment: str
    cause: str
    statistic: float
    threshold: float
    change: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What one signal saw: ``events`` of the stream, its largest statistic between alarms."""

    name: str
    segment: str
    cause: str
    reference: int
    every: int
    events: int
    alarms: int
    largest: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Alarms in the order of the stream, and what stands behind them.

    Fields:
        unwatched: signals and strata that were given and of which nothing can be said.
    """

    alarms: list[Found]
    watched: list[Watched]
    notes: list[str]
    unwatched: list[str]


class TooFew(Exception):
    """The reference has fewer independent events than can be fitted."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"{rows} independent reference events; at least {LEAST_REFERENCE} are needed"
        )
        self.rows = rows


def score(reference: Part, stream: Part, average_run_length: float, seed: int) -> Verdict:
    """Every alarm of the stream.

    Args:
        average_run_length: events to a false alarm, at least, over all signals.
    Raises:
        TooFew: fewer than 30 reference events are left.
    """
    first, latter = reference.once(), stream.once()
    before, after = _near(reference), _near(stream)
    thirds = max(1, len(first) // 3)
    repeats = not reference.embedded or natural(unit(reference.vectors[first[:thirds]][:FIT_ROWS]))
    kept = first if repeats else first[~before[first]]
    rows = latter if repeats else latter[~after[latter]]
    if len(kept) < LEAST_REFERENCE:
        raise TooFew(len(kept))
    size = min(FIT_ROWS, len(kept) // 3)
    whole = mostly(reference, kept[:size])
    others = [name for name in reference.columns if name not in whole]
    reference, stream = marked(reference, whole), marked(stream, whole)
    fitted = named(fit(reference.table(kept[:size]), seed, repeats), reference, kept[:size], whole)
    widened = widen(fitted, reference, kept)
    known = widened.known
    tables = _tables(known, reference, kept[size:], stream)
    notes = tables.notes + rarer(reference, stream, others)
    notes += _left_out(reference, stream, (first, latter), (kept, rows), repeats)
    if not tables.own:
        return Verdict([], [], notes, reference.columns)
    copied = _copied(reference, first, before)
    found = _panel(widened, reference, tables, kept[size:], copied, average_run_length, seed)
    cells, everyone = _assign(known, stream, rows), np.arange(len(stream))
    alarms: list[Found] = []
    watched: list[Watched] = []
    columns = known.columns
    for signal in found.signals:
        if signal.name == DUPLICATES.name:
            mine, places = _copied(stream, latter, after)[None, :], everyone
        else:
            mine, places = cells[[channel.column for channel in signal.channels]], rows
        chosen = np.flatnonzero((mine[0] >= 0) & stream.inside(places, signal.segment))
        strata_of = tables.places(stream.strata_of(places[chosen]))
        chosen, strata_of = chosen[strata_of >= 0], strata_of[strata_of >= 0]
        clusters = cells[0, chosen] if signal.groups > 1 else chosen
        inside = signal.tables(strata_of, clusters)
        rang = _run(signal, columns, mine[:, chosen], inside, places[chosen], stream)
        alarms += rang[0]
        watched.append(rang[1])
        if not signal.segment and not signal.events:
            notes.append(
                f"{signal.name} not watched: {len(chosen)} values in the stream that can be "
                f"compared, {BLOCK * signal.every} needed"
            )
    alarms.sort(key=lambda alarm: alarm.t)
    heard = {one.name for one in watched if one.events and not one.segment}
    given = [*reference.columns, *([PROMPT_EMBEDDING] if reference.embedded else [])]
    unwatched = [name for name in given if name not in heard]
    unwatched += [f"stratum {name}" for name in tables.silent]
    return Verdict(alarms, watched, widened.notes + found.notes + notes, unwatched)


def _panel(
    widened: Widened,
    reference: Part,
    tables: Strata,
    rows: Cells,
    copied: Cells,
    average_run_length: float,
    seed: int,
) -> Panel:
    known = widened.known
    reasons: Sequence[Reason] = (DUPLICATES,) if reference.embedded else ()
    places, everyone = tables.places(reference.strata_of(rows)), tables.places(reference.strata)
    rows, places = rows[places >= 0], places[places >= 0]
    cells = _assign(known, reference, rows)
    for row, column in zip(cells, known.columns, strict=True):
        row[rows < widened.since.get(column.signal, 0)] = -1
    calibration = Calibration(
        cells=cells,
        strata=places,
        tables=tables,
        labels=[_labels(reference, int(place)) for place in rows],
        intake=copied[None, everyone >= 0],
        intake_strata=everyone[everyone >= 0],
        reasons=reasons,
        vectors=unit(reference.vectors[rows]) if reference.embedded else None,
    )
    return panel(known, calibration, average_run_length, seed, False)


def _tables(known: Fit, reference: Part, rows: Cells, stream: Part) -> Strata:
    names = reference.strata_of(rows)
    every = thinning(known, _assign(known, reference, rows), names)
    return strata(names, stream.strata, every)


def _run(
    signal: Signal,
    columns: Sequence[Column],
    cells: Cells,
    tables: Cells,
    places: Cells,
    stream: Part,
) -> tuple[list[Found], Watched]:
    alarms: list[Found] = []
    largest = 0.0
    for start in range(0, len(places), BLOCK):
        stop = start + BLOCK
        vectors = unit(stream.vectors[places[start:stop]]) if signal.learned else None
        rang = signal.watch(cells[:, start:stop], tables[start:stop], vectors)
        largest = max(largest, signal.statistic)
        if rang is None:
            continue
        alarms.append(
            Found(
                t=int(places[start + rang]),
                signal=signal.name,
                segment=signal.segment,
                cause=signal.cause,
                statistic=signal.statistic,
                threshold=signal.threshold,
                change=change(signal, columns),
            )
        )
        signal.restart()
    seen = Watched(
        signal.name,
        signal.segment,
        signal.cause,
        signal.calibrated,
        signal.every,
        signal.events,
        len(alarms),
        largest,
        signal.threshold,
    )
    return alarms, seen


def _near(part: Part) -> Flags:
    return copies(part.vectors) if part.embedded else np.zeros(len(part), bool)


def _copied(part: Part, first: Cells, near: Flags) -> Cells:
    """``(n,)`` places among ``DUPLICATES.labels``."""
    again = np.ones(len(part), bool)
    again[first] = False
    return np.array([copy(*each) for each in zip(near, again, strict=True)], np.int64)


def _assign(known: Fit, part: Part, places: Cells) -> Cells:
    starts = range(0, max(len(places), 1), CHUNK)
    chunks = [known.assign(part.table(places[start : start + CHUNK])) for start in starts]
    return np.concatenate(chunks, axis=1)


def _labels(part: Part, place: int) -> list[str]:
    language = part.words["language"][place] if "language" in part.words else ""
    return [f"language={language}"] if language else []


def _left_out(
    reference: Part,
    stream: Part,
    firsts: tuple[Cells, Cells],
    kept: tuple[Cells, Cells],
    repeats: bool,
) -> list[str]:
    found: list[str] = []
    parts = zip(("reference", "stream"), (reference, stream), firsts, kept, strict=True)
    for name, part, first, rows in parts:
        if len(part) > len(first):
            found.append(f"{name}: {len(part) - len(first)} events of an episode seen before")
        if len(first) > len(rows):
            found.append(f"{name}: {len(first) - len(rows)} near copies left out")
    if repeats and reference.embedded:
        found.append("near copies count: this traffic repeats itself at any distance")
    return found
