"""What users say of a release's answers: a signal of its own, over the ratings as they arrive.

One draw is the first rating of an episode, however late it comes: later versions of it, other
ratings of the episode and redelivered ones are none. Nothing else goes in, in the order of the
log's one partition that has them, so the alarm is the same however answers and ratings
interleave. A rating taken back after it was counted stays counted.

Statistic, promise and assumption are `detector.PartitionCTM`'s, over quantile bins. The reference
is the release's first 200 ratings: a third fits, the rest calibrates. Where they stick together so
long that fewer than 15 of these count, it is twice as many.

Who rates chooses to. Ratings are ranked among ratings: the signal is about what is said, an answer
without a rating says nothing, and how many have one is not watched. Nor is a correction without a
rating a draw: whoever writes corrections picks the answers, mostly after an alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.monitor.domain import evidence
from services.monitor.domain.fitting import Column
from services.monitor.domain.generation import Feedback
from services.monitor.domain.held import SHOWN_CHARACTERS
from services.monitor.domain.panel import LEAST_CALIBRATED
from services.monitor.domain.partition import Cells
from services.monitor.domain.persistence import correlation_length
from services.monitor.domain.policy import Policy
from services.monitor.domain.recent import Recent, fingerprint, recent
from services.monitor.domain.sample import Alarm
from services.monitor.domain.scalar import ScalarBins, fit_scalar
from services.monitor.domain.signal import JOINT, Signal, channel
from services.monitor.domain.strata import SEASONS, season
from services.monitor.domain.telling import REMEMBERED, told
from services.monitor.domain.units import labels, marks

FEEDBACK: Final = "feedback"
SHARE: Final = 0.05
"""Of a release's false alarms, kept for the ratings whether there will be any or not: it must not
depend on which comes first, the end of a reference or a rating."""
WANTED: Final = 200
EPISODES: Final = 4096


@dataclass(slots=True)
class Rated:
    """Prompts, each with the cell of its rating."""

    prompts: list[str] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)

    def add(self, prompt: str, cell: int) -> None:
        self.prompts = [*self.prompts, prompt][-REMEMBERED:]
        self.cells = [*self.cells, cell][-REMEMBERED:]


@dataclass(slots=True)
class Ratings:
    """The ratings of one release.

    Fields:
        wanted: reference ratings; held, served, prompts: those so far, when their answers were
            served, seconds since 1970, and the first prompts, until it is complete.
        average_run_length: events to a false alarm, at least, over all signals of the release.
        seasonal: kinds of hours are apart, by the hour of the answer.
        collected: reference ratings so far; duplicates: ratings of an episode that had one.
        former, lately: the reference's first and the stream's last 60.
    """

    release: str
    seed: int
    wanted: int = WANTED
    average_run_length: float = 0.0
    seasonal: bool = False
    episodes: Recent = field(default_factory=lambda: recent(EPISODES))
    held: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    bins: ScalarBins | None = None
    signal: Signal | None = None
    collected: int = 0
    duplicates: int = 0
    former: Rated = field(default_factory=Rated)
    lately: Rated = field(default_factory=Rated)

    def observe(self, feedback: Feedback, rating: float, drift: Policy) -> Alarm | None:
        """Fold one rating; the alarm that it completes.

        Args:
            drift: its terms hold from the end of the reference on.
        """
        if not self.episodes.add(feedback.episode):
            self.duplicates += 1
            return None
        prompt = feedback.prompt[:SHOWN_CHARACTERS]
        if self.signal is None or self.bins is None:
            self.held.append(rating)
            self.served.append(feedback.served_at)
            self.prompts = [*self.prompts, prompt][:REMEMBERED]
            self.collected += 1
            if self.collected >= self.wanted:
                self._complete(drift)
            return None
        cells = self.bins.bins(np.array([rating]))
        self.lately.add(prompt, int(cells[0]))
        if self.signal.watch(cells[None, :], self._tables([feedback.served_at])) is None:
            return None
        return self._alarm(self.signal, self.bins, feedback.generation_id)

    def _tables(self, served: Sequence[float]) -> Cells:
        return np.array([SEASONS.index(season(at)) if self.seasonal else 0 for at in served])

    def _complete(self, drift: Policy) -> None:
        self.average_run_length, self.seasonal = drift.average_run_length, drift.seasonal
        ratings, size = np.array(self.held), len(self.held) // 3
        bins = fit_scalar(ratings[:size])
        cells, tables = bins.bins(ratings), self._tables(self.served)
        every = correlation_length(cells[size:], tables[size:], ordered=True)
        calibration = slice(size, None, every)
        if len(cells[calibration]) < LEAST_CALIBRATED:
            self.wanted *= 2
            return
        strata = len(SEASONS) if self.seasonal else 1
        watching = channel(0, column(bins).labels, bins.shares, True, self.seed, strata)
        run_length = JOINT * self.average_run_length / SHARE
        self.signal = Signal(FEEDBACK, "behaviour", run_length, [watching], every=every)
        self.signal.calibrate(cells[None, calibration], tables[calibration])
        self.bins = bins
        for prompt, cell in zip(self.prompts, cells.tolist(), strict=False):
            self.former.add(prompt, cell)
        self.held, self.served, self.prompts = [], [], []

    def _alarm(self, signal: Signal, bins: ScalarBins, generation_id: str) -> Alarm:
        grown = int(np.argmax([shift.growth for shift in signal.channels[0].shifts()]))
        former, lately = self.former, self.lately
        return told(
            signal,
            release=self.release,
            average_run_length=self.average_run_length,
            columns=[column(bins)],
            reference_events=self.collected,
            generation_id=generation_id,
            after=evidence.recent(lately.prompts, np.array(lately.cells), grown),
            before=evidence.before(former.prompts, np.array(former.cells), grown, ordered=True),
            known=former.prompts,
            seed=self.seed,
        )


def column(bins: ScalarBins) -> Column:
    edges = marks(FEEDBACK, bins.edges)
    return Column(FEEDBACK, labels(edges), bins.shares, True, edges)


def ratings(application: str, release: str) -> Ratings:
    """None yet; the seed follows from the names, so that a replay draws the same."""
    return Ratings(release, fingerprint(f"{application}/{release}/feedback"))


def opinion(feedback: Feedback) -> float | None:
    """The rating that users gave of an answer which they were shown; None when it is none."""
    return feedback.rating if feedback.role == "champion" and not feedback.withdrawn else None
