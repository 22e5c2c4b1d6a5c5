"""One release under watch: it collects its own reference, then compares the traffic with it.

The first third of the reference fits the partitions (500 events at most), the rest calibrates
them; reference and stream are the same kind of draw from the same traffic, or the detector's
promise is void. One event per episode.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.detector import BLOCK
from services.monitor.domain.partition import (
    Cells,
    EmbeddingCells,
    Floats,
    ResidualBins,
    Vectors,
    fit_embedding,
    fit_residual,
    unit,
)
from services.monitor.domain.recent import Recent, fingerprint, recent
from services.monitor.domain.sample import Alarm, Sample
from services.monitor.domain.signal import Signal, channel

__all__ = ["Alarm", "Sample", "Watch", "watch"]

LEAST_REFERENCE = 30
FIT_ROWS = 500
LEAST_SCALARS = 30
EPISODES = 4096
REMEMBERED = 60
EXAMPLES = 5
EXAMPLE_CHARACTERS = 300
REPORTED_CELLS = 8

Flags = NDArray[np.bool_]

PROMPT_EMBEDDING = "prompt_embedding"
MEAN_LOGPROB = "mean_logprob"
BUDGETS = {PROMPT_EMBEDDING: 0.5, MEAN_LOGPROB: 0.5}


@dataclass(frozen=True, slots=True)
class Fit:
    """What the fit part gave; fixed for the life of the watch."""

    embedding: EmbeddingCells
    residual: ResidualBins | None


@dataclass(slots=True)
class Held:
    """Samples that wait for the fit or for the end of their block, by column."""

    vectors: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    logprobs: list[float] = field(default_factory=list)
    generations: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        row = sample.vector[None, :]
        self.vectors = np.concatenate([self.vectors, row]) if self.generations else row
        self.logprobs.append(sample.logprob)
        self.generations.append(sample.generation_id)
        self.prompts.append(sample.prompt[:EXAMPLE_CHARACTERS])


@dataclass(slots=True)
class Watch:
    """The detectors of one release.

    Fields:
        wanted: reference events, a third of which (at most 500) fit.
        average_run_length: events to a false alarm, at least, over all signals.
        collected: reference events so far.
        recent_prompts, recent_cells: the last 60 watched prompts and ``(cluster, distance bin,
            residual bin)``, -1 where there is none.
        duplicates: events left out because their episode had one already.
        unusable: events left out for want of an embedding, or one of another length.
    """

    release: str
    seed: int
    wanted: int
    average_run_length: float
    conditional: bool = False
    episodes: Recent = field(default_factory=lambda: recent(EPISODES))
    held: Held = field(default_factory=Held)
    fit: Fit | None = None
    signals: list[Signal] = field(default_factory=list)
    collected: int = 0
    duplicates: int = 0
    unusable: int = 0
    recent_prompts: list[str] = field(default_factory=list)
    recent_cells: list[list[int]] = field(default_factory=list)

    @property
    def fit_wanted(self) -> int:
        return min(FIT_ROWS, self.wanted // 3)

    @property
    def progress(self) -> int:
        """Reference events so far, those that still wait for the fit included."""
        return self.collected or len(self.held.generations)

    @property
    def phase(self) -> str:
        """ "collecting reference", "watching" or "alarmed"; after a colon what is amiss."""
        if not self.watching:
            return "collecting reference"
        return "alarmed" if self.latched else "watching"

    @property
    def watching(self) -> bool:
        return self.collected >= self.wanted

    @property
    def latched(self) -> bool:
        """The input signal rang: nothing more is said of this release."""
        return any(signal.alarmed and signal.cause == "input" for signal in self.signals)

    def observe(self, sample: Sample) -> list[Alarm]:
        """Fold one answered request of the champion; the alarms that it completes."""
        if self.latched:
            return []
        if not self._comparable(sample.vector):
            self.unusable += 1
            return []
        if not self.episodes.add(sample.episode):
            self.duplicates += 1
            return []
        self.held.add(sample)
        if len(self.held.generations) < self._due():
            return []
        held, self.held = self.held, Held()
        if self.fit is None:
            self._fit(held)
            return []
        return self._compare(self.fit, held)

    def _comparable(self, vector: NDArray[np.float16]) -> bool:
        if self.fit is not None:
            return len(vector) == int(self.fit.embedding.rows.shape[1])
        return len(vector) > 0 and self.held.vectors.shape[1] in (0, len(vector))

    def _due(self) -> int:
        if self.fit is None:
            return self.fit_wanted
        missing = self.wanted - self.collected
        return min(BLOCK, missing) if missing > 0 else BLOCK

    def _fit(self, held: Held) -> None:
        vectors, logprobs = unit(held.vectors), np.array(held.logprobs)
        usable = np.isfinite(logprobs)
        residual = None
        if usable.sum() >= LEAST_SCALARS:
            residual = fit_residual(vectors[usable], logprobs[usable])
        self.fit = Fit(fit_embedding(vectors, self.seed), residual)
        self.collected = len(held.generations)
        self.signals = _signals(self.fit, self.average_run_length, self.seed)

    def _compare(self, fit: Fit, held: Held) -> list[Alarm]:
        inputs, behaviour, familiar = assign(fit, unit(held.vectors), np.array(held.logprobs))
        calibrating = not self.watching
        if calibrating:
            self.collected += len(held.generations)
        self._remember(held, inputs, behaviour, familiar)
        alarms: list[Alarm] = []
        for signal in self.signals:
            places = np.arange(len(held.generations))
            cells = inputs
            if signal.name == MEAN_LOGPROB:
                places, cells = np.flatnonzero(familiar), behaviour[:, familiar]
            if calibrating:
                signal.calibrate(cells)
            elif not alarms and (rang := signal.watch(cells)) is not None:
                alarms.append(self._alarm(signal, held.generations[places[rang]]))
        return alarms

    def _remember(self, held: Held, inputs: Cells, behaviour: Cells, familiar: Flags) -> None:
        bins = np.where(familiar, behaviour[0], -1)
        self.recent_prompts = (self.recent_prompts + held.prompts)[-REMEMBERED:]
        rows = np.stack([*inputs, bins], axis=1).tolist()
        self.recent_cells = (self.recent_cells + rows)[-REMEMBERED:]

    def _alarm(self, signal: Signal, generation_id: str) -> Alarm:
        shifts = [shift for channel in signal.channels for shift in channel.shifts()]
        shifts.sort(key=lambda shift: -abs(shift.growth))
        return Alarm(
            release=self.release,
            signal=signal.name,
            cause=signal.cause,
            statistic=signal.statistic,
            threshold=signal.threshold,
            average_run_length=self.average_run_length,
            at_event=signal.events,
            reference_events=self.collected,
            cells=tuple(shifts[:REPORTED_CELLS]),
            examples=self._examples(signal),
            generation_id=generation_id,
        )

    def _examples(self, signal: Signal) -> tuple[str, ...]:
        """The newest distinct prompts in the cell of the signal that grew most."""
        growth = [[shift.growth for shift in channel.shifts()] for channel in signal.channels]
        grown = max(range(len(growth)), key=lambda number: max(growth[number]))
        column = 2 if signal.name == MEAN_LOGPROB else grown
        cell = int(np.argmax(growth[grown]))
        rows = zip(reversed(self.recent_prompts), reversed(self.recent_cells), strict=True)
        found = [prompt for prompt, cells in rows if cells[column] == cell]
        return tuple(dict.fromkeys(found))[:EXAMPLES]


def assign(fit: Fit, vectors: Vectors, logprobs: Floats) -> tuple[Cells, Cells, Flags]:
    """The cells of some samples.

    The behaviour is judged on prompts like the reference's only: elsewhere the regression
    would be a guess, and a new topic would look like a new behaviour. The choice looks at
    nothing but the prompt and the fit part, so what is chosen stays exchangeable.

    Args:
        vectors: ``(n, d)`` unit vectors; logprobs: ``(n,)``, nan where there is none.
    Returns:
        ``(2, n)`` cluster and distance bin; ``(1, n)`` residual bin; ``(n,)`` whether the
        residual bin counts.
    """
    distances = fit.embedding.distances(vectors)
    inputs = np.stack([fit.embedding.clusters(vectors), fit.embedding.bins(distances)])
    if fit.residual is None:
        return inputs, np.zeros((1, len(vectors)), np.int64), np.zeros(len(vectors), bool)
    familiar = np.isfinite(logprobs) & (distances <= fit.embedding.familiar)
    bins = fit.residual.bins(vectors, np.where(np.isfinite(logprobs), logprobs, 0.0))
    return inputs, bins[None, :], familiar


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
        wanted=max(wanted, LEAST_REFERENCE),
        average_run_length=average_run_length,
        conditional=conditional,
    )


def _signals(fit: Fit, average_run_length: float, seed: int) -> list[Signal]:
    clusters = [f"cluster {cell}" for cell in range(len(fit.embedding.centres))]
    marks = [f"distance <= {edge:.3f}" for edge in fit.embedding.edges]
    marks.append(f"distance > {fit.embedding.edges[-1]:.3f}")
    channels = [channel(clusters, False, seed), channel(marks, True, seed ^ 1)]
    run_length = average_run_length / BUDGETS[PROMPT_EMBEDDING]
    signals = [Signal(PROMPT_EMBEDDING, "input", run_length, channels)]
    if fit.residual is not None:
        count = len(fit.residual.edges) + 1
        bins = [f"residual bin {cell + 1} of {count}" for cell in range(count)]
        run_length = average_run_length / BUDGETS[MEAN_LOGPROB]
        signals.append(
            Signal(MEAN_LOGPROB, "behaviour", run_length, [channel(bins, True, seed ^ 2)])
        )
    return signals
