"""One release under watch: collects its reference, then compares the traffic with it.

The first third of the reference fits the partitions (500 events at most), the rest calibrates them;
reference and stream are the same kind of draw from the same traffic, or the detectors' promise is
void. So one event per episode counts, near copies are left out (`copies`), of traffic that sticks
to a topic one event in so many counts (`persistence`), and times of the day and week can have
counts of their own (`panel.Strata`): then the reference lasts until each of them has its rows, a
week at most, and what has none is left out. The reference is taken once, after a promotion; it is
never renewed by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.block import Block
from services.monitor.domain.copies import Ring, natural
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fitting import Fit, fit
from services.monitor.domain.gathering import FIT_ROWS, LEAST_REFERENCE, MOST_REFERENCE, gathered
from services.monitor.domain.held import Collected, Held
from services.monitor.domain.intake import Intake
from services.monitor.domain.panel import Strata
from services.monitor.domain.recent import Recent, fingerprint, recent
from services.monitor.domain.sample import Alarm, Sample
from services.monitor.domain.scatter import Scatter
from services.monitor.domain.signal import Full, Signal, settle
from services.monitor.domain.strata import SEASONS, WEEK_S
from services.monitor.domain.telling import Lately, told

MOST_STRATUM = MOST_REFERENCE // len(SEASONS)
EPISODES = 4096
GATHERED = ("seasonal", "labels", "timed", "form")
PROMISED = ("wanted", "average_run_length", "conditional", "units")
FORM = 4
"""Of the stored state; one of another form takes its reference anew."""


@dataclass(slots=True)
class Watch:
    """The detectors of one release.

    Fields:
        wanted: reference events, a third of which (at most 500) fit.
        average_run_length: events to a false alarm, at least, over all signals.
        conditional: hold it for this very reference, not on average over references.
        seasonal, labels, timed: the kinds of hours apart, by whose values the traffic is watched
            apart, whether the latency is watched; what is held was gathered with these.
        units: of lengths and costs, as alarms tell them.
        natural: near copies stay in; None while the fit part is not complete.
        bare: watched without embeddings: the first answers all came without.
        tables: strata that have counts of their own; strange: events of others, left out.
        began: when its first answer was given, or when another week of the reference began.
        notes: why some signal does not watch.
        collected: reference events so far; calibration: its rows, until it is complete.
        duplicates: events left out because their episode had one already; copies: because they
            nearly repeat one of the last 50.
        unusable: events left out for want of an embedding, or one of another length.
    """

    release: str
    seed: int
    wanted: int
    average_run_length: float
    conditional: bool = False
    seasonal: bool = False
    labels: list[str] = field(default_factory=list)
    timed: bool = False
    units: dict[str, str] = field(default_factory=dict)
    form: int = 0
    began: float = 0.0
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
    strange: int = 0
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
    def remarks(self) -> list[str]:
        """Why some signal or stratum is not watched."""
        some = [f"{self.strange} answers of strata that are not watched"] if self.strange else []
        return [*self.notes, *self.tables.notes, *some]

    def under(self, newer: "Watch") -> "Watch":
        """This one, not fitted yet, under the terms of ``newer``; that one when what is held was
        gathered otherwise."""
        if any(getattr(self, name) != getattr(newer, name) for name in GATHERED):
            return newer
        for name in PROMISED:
            setattr(self, name, getattr(newer, name))
        return self

    def observe(self, sample: Sample, waits: bool = False) -> list[Alarm]:
        """Fold one answered request of the champion; the alarms that it completes, unless what it
        completes ``waits`` for `settle`."""
        self.began = self.began or sample.at
        again = not self.episodes.add(sample.episode)
        usable = self._comparable(sample.vector)
        near = usable and not self.bare and self.ring.add(sample.vector)
        if not self._asked_for(sample.stratum, sample.at):
            return []
        self.intake.add(sample, near, again)
        if again:
            self.duplicates += 1
        elif not usable:
            self.unusable += 1
        elif near and self.natural is False:
            self.copies += 1
        else:
            self.held.add(sample, sample.vector[:0] if self.bare else sample.vector, near)
            if not self.watching and len(self.held.generations) >= self._due():
                self._advance(sample.at)
        return [] if waits or not self.watching else self._tell(*self._blocks())

    def settle(self) -> bool:
        """Settle the blocks that wait, before the state is stored; whether a signal is to ring,
        and with it its event should have been told."""
        return self.watching and self._settle(*self._blocks())[2]

    def _over(self, at: float) -> bool:
        """Whether the reference had its week."""
        return self.seasonal and at - self.began >= WEEK_S

    def _asked_for(self, stratum: str, at: float) -> bool:
        """Whether the reference still takes this stratum's events, or has its rows."""
        if not self.watching:
            full = stratum and self.calibration.counts.get(stratum, 0) >= MOST_STRATUM
            return not full or self._over(at)
        known = self.tables.knows(stratum)
        self.strange += not known
        return known

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

    def _advance(self, at: float) -> None:
        """The fit part or a block of the calibration is complete."""
        if self.fit is None:
            self._fit()
            return
        held, self.held = self.held, Held()
        self.collected += len(held.generations)
        self.calibration.add(held, self._assigned(self.fit, held).cells)
        if self.collected >= self.wanted or self._over(at):
            self._complete(self.fit, at)

    def _assigned(self, known: Fit, held: Held) -> Block:
        table = held.table()
        if known.embedding is not None:
            self.scatter.add(table.vectors, known.embedding.rows)
        return Block(held, known.assign(table, BLOCK), table.vectors)

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
        self.fit = fit(held.table(), self.seed, self.natural, held.prompts, self.units)
        self.collected = len(held.generations)

    def _complete(self, known: Fit, at: float) -> None:
        over, most = self._over(at), self.wanted >= MOST_REFERENCE
        terms = self.average_run_length, self.seed, self.conditional
        rows, expected = self.calibration, SEASONS if self.seasonal else ()
        found = gathered(known, rows, self.intake, *terms, expected=expected, over=over, most=most)
        self.notes = found.notes
        if not found.signals:
            self.wanted = min(2 * self.wanted, MOST_REFERENCE)
            self.began = at if over else self.began
            return
        self.signals, self.tables = found.signals, found.tables
        self.wanted = min(self.wanted, self.collected)
        self.calibration, self.intake = Collected(), Intake()

    def _blocks(self) -> tuple[Intake | None, Block | None]:
        """The complete blocks of all events and of the watched ones, taken out."""
        taken, watched = None, None
        if size := len(self.intake.rows) // BLOCK * BLOCK:
            taken, self.intake = self.intake.cut(size)
        if self.fit and (size := len(self.held.generations) // BLOCK * BLOCK):
            held, self.held = self.held.cut(size)
            watched = self._assigned(self.fit, held)
        return taken, watched

    def _settle(
        self, taken: Intake | None, watched: Block | None
    ) -> tuple[list[Full], list[Full], bool]:
        """The signals with a complete block, settled all at once; whether one is to ring."""
        own = taken.offer(self.signals, self.tables.places(taken.strata)) if taken else []
        full: list[Full] = []
        if watched:
            self.lately.add(watched.held, watched.cells)
            full = watched.offer(self.signals, self.tables.places(watched.held.strata))
        return own, full, settle([signal for signal, _ in (*full, *own)], self.signals)

    def _tell(self, taken: Intake | None, watched: Block | None) -> list[Alarm]:
        """Of the input one signal is told until there is another reference."""
        if not taken and not watched:
            return []
        own, full, _ = self._settle(taken, watched)
        rang = taken.rang(own) if taken else []
        alarms = [self._alarm(signal, at, after, []) for signal, at, after in rang]
        for signal, place in full:
            told_already = signal.cause == "input" and self.latched
            if watched and self.fit and not told_already and signal.ring():
                shown = self.lately.shown(signal, self.fit)
                alarms.append(self._alarm(signal, watched.held.generations[place], *shown))
        return alarms

    def _alarm(self, signal: Signal, at: str, after: list[str], former: list[str]) -> Alarm:
        known = self.fit or Fit()
        return told(
            signal,
            release=self.release,
            average_run_length=self.average_run_length,
            columns=known.columns,
            reference_events=self.collected,
            generation_id=at,
            after=after,
            before=former,
            known=known.prompts,
            seed=self.seed,
        )


def watch(
    application: str,
    release: str,
    wanted: int,
    average_run_length: float,
    conditional: bool = False,
    seasonal: bool = False,
    labels: Sequence[str] = (),
    timed: bool = False,
    currency: str = "",
) -> Watch:
    """A new watch; its seed follows from the names, so that a replay draws the same."""
    return Watch(
        release=release,
        seed=fingerprint(f"{application}/{release}"),
        wanted=min(max(wanted, LEAST_REFERENCE), MOST_REFERENCE),
        average_run_length=average_run_length,
        conditional=conditional,
        seasonal=seasonal,
        labels=list(labels),
        timed=timed,
        units={"length": "characters", "cost": currency},
        form=FORM,
    )
