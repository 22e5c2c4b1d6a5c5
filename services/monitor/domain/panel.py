"""The signals of one release, calibrated: who watches what, with which part of the promise."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.monitor.domain.ball import DELTA
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fitting import (
    KINDS,
    MEAN_LOGPROB,
    PROMPT_EMBEDDING,
    Column,
    Fit,
    Flags,
    Kind,
)
from services.monitor.domain.held import MOST_VECTORS
from services.monitor.domain.intake import DUPLICATES, INTAKE, Reason
from services.monitor.domain.kernel import kernel_detector
from services.monitor.domain.partition import Cells, Vectors, shares
from services.monitor.domain.persistence import correlation_length
from services.monitor.domain.signal import JOINT, Signal, channel

LEAST_CALIBRATED = 15
LEAST_STRATUM = 100
SHOWN_STRATA = 8
LEAST_SEGMENT = 100
LEAST_KERNEL = 200
MOST_SEGMENTS = 8
WHOLE = 0.9
SEGMENT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Strata:
    """Tables of the detectors: one per stratum that has its 100 calibration rows. Events of the
    others have nothing that they could be compared with and are left out: in a table of several
    strata they would be ranked among each other, and these are different draws."""

    own: list[str] = field(default_factory=lambda: [""])
    silent: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.own)

    @property
    def notes(self) -> list[str]:
        """One line for the strata that are not watched."""
        some = [repr(name) for name in self.silent[:SHOWN_STRATA]]
        more = len(self.silent) - len(some)
        named = ", ".join(some) + (f" and {more} more" if more else "")
        return [f"strata not watched, too few reference rows: {named}"] if some else []

    def knows(self, name: str) -> bool:
        """Whether it has a table; one that has none is named from now on."""
        known = name in self.own
        if not known and name not in self.silent:
            self.silent.append(name)
        return known

    def places(self, names: Sequence[str]) -> Cells:
        """``(n,)`` tables; -1 where the stratum has none."""
        known = {name: place for place, name in enumerate(self.own)}
        return np.array([known.get(name, -1) for name in names], np.int64)


def strata(names: Sequence[str], expected: Iterable[str] = (), every: int = 1) -> Strata:
    """From the calibration rows, of which one in ``every`` counts; traffic that knows no strata
    has one table, whatever its size.

    Args:
        expected: strata that are named even if the reference has none of their rows.
    """
    counted = Counter(names)
    everyone = {*counted, *expected}
    if everyone <= {""}:
        return Strata()
    own = sorted(name for name in everyone if counted[name] >= LEAST_STRATUM * every)
    return Strata(own, sorted(everyone - {*own}))


def thinning(known: Fit, cells: Cells, names: Sequence[str]) -> int:
    """One event in how many of the first signal counts within its stratum, from ``(C, m)`` cells
    and m strata."""
    codes = np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
    first = known.started[0].name if known.started else ""
    found = [1]
    for row, column in zip(cells, known.columns, strict=True):
        usable = row >= 0
        if column.signal == first and usable.any():
            found.append(correlation_length(row[usable], codes[usable], column.ordered))
    return max(found)


def segments(labels: Sequence[Sequence[str]]) -> list[str]:
    """The commonest "label=value" with 100 calibration rows that are not nearly all of them."""
    counted = Counter(label for row in labels for label in row)
    most = WHOLE * len(labels)
    found = [label for label, rows in counted.items() if LEAST_SEGMENT <= rows <= most]
    return sorted(found, key=lambda label: (-counted[label], label))[:MOST_SEGMENTS]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration part, in time order.

    Fields:
        cells: ``(C, m)``, -1 where a row says nothing; strata: ``(m,)`` of ``tables``.
        labels: "label=value" of each row.
        intake: ``(R, r)`` of every event, those left out included; its strata likewise.
        reasons: the R signals over it.
        vectors: ``(m', d)`` unit vectors of the first rows, m' <= m; at most 1,500 are used.
    """

    cells: Cells
    strata: Cells
    tables: Strata
    labels: Sequence[Sequence[str]]
    intake: Cells
    intake_strata: Cells
    reasons: Sequence[Reason] = INTAKE
    vectors: Vectors | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """The signals that have enough reference, why others have not, and the strata."""

    signals: list[Signal]
    notes: list[str]
    tables: Strata


def panel(
    fit: Fit, reference: Calibration, average_run_length: float, seed: int, conditional: bool
) -> Panel:
    """Every signal with its share of the promise, calibrated."""
    columns = fit.columns
    signals: list[tuple[float, Signal]] = []
    notes: list[str] = []
    names = segments(reference.labels)
    most = len(columns) * (1 + len(names)) + len(reference.reasons)
    maker = _Maker(columns, fit.groups, reference, seed, DELTA / most if conditional else 0.0)
    for kind in fit.started:
        whole = maker.make(kind, "", np.ones(reference.cells.shape[1], bool))
        if whole is None:
            notes.append(f"{kind.name}: too small a reference")
        else:
            if conditional and not whole.fixed:
                notes.append(f"{kind.name}: its promise is on average over references")
            if kind.form == "embedding" and not conditional:
                watch_kernel(whole, fit, reference, seed)
            signals.append((kind.share, whole))
    watched = [kind for kind in KINDS if kind.name in (PROMPT_EMBEDDING, MEAN_LOGPROB)]
    for segment in names:
        inside = np.array([segment in row for row in reference.labels])
        found = [maker.make(kind, segment, inside) for kind in watched if kind in fit.started]
        share = SEGMENT_SHARE / 2 / len(names)
        signals += [(share, signal) for signal in found if signal is not None]
    for row, reason in enumerate(reference.reasons):
        if reason is not DUPLICATES or not fit.natural:  # where copies are natural, none is a sign
            signals.append((reason.share, maker.intake(row)))
    total = sum(share for share, _ in signals)
    for share, signal in signals:
        signal.average_run_length = JOINT * average_run_length * total / share
    return Panel([signal for _, signal in signals], notes, reference.tables)


def watch_kernel(signal: Signal, fit: Fit, reference: Calibration, seed: int) -> None:
    """One more channel, where the reference is one kind of draw and has 200 rows for it."""
    if reference.vectors is None or reference.tables.count > 1 or fit.embedding is None:
        return
    rows = reference.vectors[:: signal.every][:MOST_VECTORS]
    if len(rows) >= LEAST_KERNEL:
        signal.learned = kernel_detector(fit.embedding.rows, rows, seed)


@dataclass(slots=True)
class _Maker:
    """
    Fields:
        delta: probability, for each channel, that the promise for this very reference does not
            hold; 0 where none is asked.
    """

    columns: list[Column]
    groups: int
    reference: Calibration
    seed: int
    delta: float
    made: int = 0
    sticks: int = 1
    """Correlation length of the prompts: what follows from them sticks as long, be it too faint to
    be seen in its own autocorrelation."""

    def make(self, kind: Kind, segment: str, inside: Flags) -> Signal | None:
        """A calibrated signal; None when too few rows are far enough apart."""
        places = [at for at, column in enumerate(self.columns) if column.signal == kind.name]
        cells = self.reference.cells[places]
        usable = inside & (cells[0] >= 0)
        columns = [self.columns[place] for place in places]
        groups = self.groups if kind.grouped else 1
        signal = self._signal(kind.cause, places, columns, groups)
        signal.segment = segment
        rows = cells[:, usable]
        tables = signal.tables(self.reference.strata, self.reference.cells[0])[usable]
        signal.every = max(
            correlation_length(row, tables, column.ordered)
            for row, column in zip(rows, columns, strict=True)
        )
        if kind.form == "embedding" and not segment:
            self.sticks = signal.every
        elif kind.cause == "input":
            signal.every = max(signal.every, self.sticks)
        if len(range(0, len(tables), signal.every)) < LEAST_CALIBRATED:
            return None
        signal.calibrate(rows[:, :: signal.every], tables[:: signal.every])
        return signal

    def intake(self, row: int) -> Signal:
        """A signal over every event; a third of them fit, as in the reference."""
        reason = self.reference.reasons[row]
        known = len(self.reference.intake_strata) // 3
        cells, tables = self.reference.intake[row, known:], self.reference.intake_strata[known:]
        seen = shares(self.reference.intake[row, :known], len(reason.labels))
        column = Column(reason.name, list(reason.labels), seen, ordered=False)
        signal = self._signal("data", [row], [column])
        signal.intake = True
        signal.every = max(correlation_length(cells, tables, False), self.sticks)
        signal.calibrate(cells[None, :: signal.every], tables[:: signal.every])
        return signal

    def _signal(
        self, cause: str, places: Sequence[int], columns: Sequence[Column], groups: int = 1
    ) -> Signal:
        channels = []
        tables = self.reference.tables.count * groups
        for place, each in zip(places, columns, strict=True):
            seed = self.seed ^ self.made
            made = channel(place, each.labels, each.shares, each.ordered, seed, tables, self.delta)
            channels.append(made)
            self.made += 1
        return Signal(columns[0].signal, cause, float(BLOCK), channels, groups=groups)
