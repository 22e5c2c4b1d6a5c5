"""One release under watch: collects its reference, then compares the traffic with it.

The first third of the reference fits the partitions (500 events at most), the rest calibrates
them; reference and stream are the same kind of draw from the same traffic, or the detectors'
promise is void. So one event per episode counts, near copies are left out (`copies`), of
traffic that sticks to a topic one event in so many counts (`persistence`), and times of the
day can have counts of their own (`panel.Strata`). The reference is taken once, after a
promotion; it is never renewed by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.block import Block
from services.monitor.domain.copies import Ring, natural
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fitting import (
    MEAN_LOGPROB,
    PROMPT_EMBEDDING,
    Fit,
    fit,
)
from services.monitor.domain.held import Collected, Held
from services.monitor.domain.intake import Intake
from services.monitor.domain.panel import Calibration, Strata, panel, strata
from services.monitor.domain.partition import unit
from services.monitor.domain.recent import Recent, fingerprint, recent
from services.monitor.domain.sample import Alarm, Sample
from services.monitor.domain.scatter import Scatter
from services.monitor.domain.signal import Full, Signal, settle
from services.monitor.domain.telling import Lately, told

__all__ = ["MEAN_LOGPROB", "PROMPT_EMBEDDING", "Alarm", "Sample", "Watch", "watch"]

LEAST_REFERENCE = 30
MOST_REFERENCE = 20_000
FIT_ROWS = 500
EPISODES = 4096
FORM = 2
"""Of the stored state; one of another form takes its reference anew."""


@dataclass(slots=True)
class Watch:
    """The detectors of one release.

    Fields:
        wanted: reference events, a third of which (at most 500) fit.
        average_run_length: events to a false alarm, at least, over all signals.
        conditional: hold it for this very reference, not on average over references.
        natural: near copies stay in; None while the fit part is not complete.
        bare: watched without embeddings: the first answers all came without.
        tables: strata that have counts of their own.
        notes: why some signal does not watch.
        collected: reference events so far.
        calibration: its rows, until it is complete.
        duplicates: events left out because their episode had one already; copies: because they
            nearly repeat one of the last 50.
        unusable: events left out for want of an embedding, or one of another length.
    """

    release: str
    seed: int
    wanted: int
    average_run_length: float
    conditional: bool = False
    form: int = 0
    episodes: Recent = field(default_factory=lambda: recent(EPISODES))
    ring: Ring = field(default_factory=Ring)
    natural: bool | None = None
    bare: bool = False
    held: Held = field(default_factory=Held)
    intake: Intake = field(default_factory=Intake)
    fit: Fit | None = None
    tables: Strata = field(default_factory=Strata)
    signals: list[Signal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    collected: int = 0
    calibration: Collected = field(default_factory=Collected)
    duplicates: int = 0
    copies: int = 0
    unusable: int = 0
    lately: Lately = field(default_factory=Lately)
    scatter: Scatter = field(default_factory=Scatter)

    @property
    def fit_wanted(self) -> int:
        return min(FIT_ROWS, self.wanted // 3)

    @property
    def progress(self) -> int:
        """Reference events so far, those that still wait for the fit included."""
        return self.collected or len(self.held.generations)

    @property
    def watching(self) -> bool:
        return bool(self.signals)

    @property
    def latched(self) -> bool:
        """A signal of the input rang: nothing more is said of this release's input."""
        return any(signal.alarmed and signal.cause == "input" for signal in self.signals)

    @property
    def phase(self) -> str:
        """ "collecting reference", "watching" or "alarmed"; after a colon what is amiss."""
        if not self.watching:
            amiss = self.notes or (["prompts nearly repeat each other"] if self.copies else [])
            return ": ".join(["collecting reference", *amiss[:1]])
        return "alarmed" if self.latched else "watching"

    def observe(self, sample: Sample) -> list[Alarm]:
        """Fold one answered request of the champion; the alarms that it completes."""
        if self.form != FORM:
            self._renew()
        if not self.episodes.add(sample.episode):
            self.duplicates += 1
            return []
        usable = self._comparable(sample.vector)
        near = usable and not self.bare and self.ring.add(sample.vector)
        block, watched = self._take_in(sample, near), None
        if not usable:
            self.unusable += 1
        elif near and self.natural is False:
            self.copies += 1
        else:
            vector = sample.vector[:0] if self.bare else sample.vector
            self.held.add(sample, vector, near)
            if len(self.held.generations) >= self._due():
                watched = self._advance()
        return self._settle(block, watched) if block or watched else []

    def _renew(self) -> None:
        """Begin again: the stored state is of another form."""
        fresh = Watch(self.release, self.seed, self.wanted, self.average_run_length)
        for name in ("held", "fit", "signals", "collected", "lately", "scatter"):
            setattr(self, name, getattr(fresh, name))
        self.form = FORM

    def _comparable(self, vector: NDArray[np.float16]) -> bool:
        if self.bare:
            return True
        if self.fit is not None and self.fit.embedding is not None:
            return len(vector) == int(self.fit.embedding.rows.shape[1])
        if not len(vector) and not self.held.generations and self.unusable + 1 >= self.fit_wanted:
            self.bare = True
        return self.bare or (len(vector) > 0 and self.held.vectors.shape[1] in (0, len(vector)))

    def _due(self) -> int:
        if self.fit is None:
            return self.fit_wanted
        missing = self.wanted - self.collected
        return min(BLOCK, missing) if missing > 0 else BLOCK

    def _advance(self) -> Block | None:
        """The fit part, a block of the calibration or a watched block is complete: the latter."""
        if self.fit is None:
            self._fit()
            return None
        held, self.held = self.held, Held()
        table = held.table()
        cells = self.fit.assign(table)
        if self.fit.embedding is not None:
            self.scatter.add(table.vectors, self.fit.embedding.rows)
        if self.watching:
            return Block(held, cells, table.vectors)
        self.collected += len(held.generations)
        self.calibration.add(held, cells)
        if self.collected >= self.wanted:
            self._complete(self.fit)
        return None

    def _fit(self) -> None:
        table = self.held.table()
        if self.natural is None:
            self.natural = self.bare or natural(table.vectors)
            if not self.natural:
                near = np.array(self.held.near)
                self.copies += int(near.sum())
                self.held = self.held.only(~near)
        if len(self.held.generations) < self.fit_wanted:
            return
        held, self.held = self.held, Held()
        self.fit = fit(held.table(), self.seed, self.natural, held.prompts)
        self.collected = len(held.generations)

    def _complete(self, known: Fit) -> None:
        """Calibrate; a reference whose events are too much alike is collected on."""
        rows = self.calibration
        tables = strata(rows.strata)
        reference = Calibration(
            cells=rows.cells.astype(np.int64),
            strata=tables.places(rows.strata),
            tables=tables,
            labels=rows.labels,
            intake=np.array(self.intake.rows, np.int64).T,
            intake_strata=tables.places(self.intake.strata),
            vectors=unit(rows.vectors) if rows.vectors.size else None,
        )
        found = panel(known, reference, self.average_run_length, self.seed, self.conditional)
        self.notes = found.notes
        first = known.started[0].name if known.started else ""
        if all(signal.name != first for signal in found.signals) and self.wanted < MOST_REFERENCE:
            self.wanted = min(2 * self.wanted, MOST_REFERENCE)
            return
        self.signals, self.tables = found.signals, tables
        self.calibration = Collected()
        self.intake = Intake()

    def _take_in(self, sample: Sample, near: bool) -> Intake | None:
        """Ten events of the intake, once they are complete and watched."""
        self.intake.add(sample, near)
        if not self.watching or len(self.intake.rows) < BLOCK:
            return None
        block, self.intake = self.intake, Intake()
        return block

    def _settle(self, block: Intake | None, watched: Block | None) -> list[Alarm]:
        """What the blocks that this event completes say, all their signals settled at once."""
        latched = self.latched
        going = [
            signal
            for signal in self.signals
            if not signal.alarmed and (signal.intake or not (latched and signal.cause == "input"))
        ]
        taken = block.offer(going, self.tables.places(block.strata)) if block else []
        full: list[Full] = []
        if watched:
            self.lately.add(watched.held, watched.cells)
            full = watched.offer(going, self.tables.places(watched.held.strata))
        settle([signal for signal, _ in (*full, *taken)], going)
        alarms = self._tell_intake(taken, block) if block else []
        return alarms + self._tell(full, watched, self.fit) if watched and self.fit else alarms

    def _tell(self, full: Sequence[Full], watched: Block, known: Fit) -> list[Alarm]:
        rang = [(signal, place) for signal, place in full if signal.alarmed]
        return [
            self._alarm(signal, watched.held.generations[place], *self.lately.shown(signal, known))
            for signal, place in self._told(rang)
        ]

    def _tell_intake(self, taken: Sequence[Full], block: Intake) -> list[Alarm]:
        alarms: list[Alarm] = []
        for signal, last in taken:
            if not signal.alarmed:
                continue
            shown = block.grown(signal)
            if shown is None:  # fewer broken prompts or copies are no incident
                signal.restart()
            else:
                alarms.append(self._alarm(signal, block.generations[last], shown, []))
        return alarms

    def _alarm(
        self, signal: Signal, generation_id: str, after: list[str], former: list[str]
    ) -> Alarm:
        return told(
            signal,
            release=self.release,
            average_run_length=self.average_run_length,
            reference_events=self.collected,
            generation_id=generation_id,
            after=after,
            before=former,
            known=self.fit.prompts if self.fit else [],
            seed=self.seed,
        )

    def _told(self, rang: list[tuple[Signal, int]]) -> list[tuple[Signal, int]]:
        """Of several alarms of the input at one event the first signal's."""
        first = [signal for signal, _ in rang if signal.cause == "input"][:1]
        return [(signal, at) for signal, at in rang if signal.cause != "input" or signal in first]


def watch(
    application: str,
    release: str,
    wanted: int,
    average_run_length: float,
    conditional: bool = False,
) -> Watch:
    """A new watch; its seed follows from the names, so that a replay draws the same.

    Args:
        conditional: hold the run length for this very reference, not on average over references.
    """
    return Watch(
        release=release,
        seed=fingerprint(f"{application}/{release}"),
        wanted=min(max(wanted, LEAST_REFERENCE), MOST_REFERENCE),
        average_run_length=average_run_length,
        conditional=conditional,
        form=FORM,
    )
