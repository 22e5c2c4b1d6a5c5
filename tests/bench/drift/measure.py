"""From runs to figures: run lengths with intervals over seeds, delays, misses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2  # type: ignore[import-untyped]  # it ships none

from tests.bench.drift.cache import Record, Run

RESAMPLES = 2000
TAILS = (0.025, 0.975)

Runs = Mapping[int, Run]


@dataclass(frozen=True, slots=True)
class RunLength:
    """Events per false alarm; ``low``, ``high``: 95 %, the wider of two intervals: seeds resampled,
    and exact for a Poisson number of alarms (Garwood 1936), as few alarms leave nothing to
    resample. Without any alarm ``mean`` and ``high`` are infinite."""

    mean: float
    low: float
    high: float
    alarms: int
    events: int
    seeds: int

    @property
    def per_thousand_windows(self) -> float:
        return 100_000.0 * self.alarms / self.events


@dataclass(frozen=True, slots=True)
class Delay:
    """Events from the change to the first alarm after it. ``median`` is infinite when more than
    half of the seeds heard none; early: seeds left out, for they had rung before the change."""

    median: float
    missed: int
    early: int
    seeds: int
    quartiles: tuple[float, float]


def heard_run_length(runs: Runs) -> RunLength:
    """Of quiet runs that were heard on after each alarm."""
    return _length([(len(run.alarms), run.events) for run in runs.values()])


def run_length(runs: Runs, threshold: float) -> RunLength:
    """Of quiet runs to their first crossing: events watched per crossing."""
    found = [(run, _first(run.records, threshold)) for run in runs.values()]
    return _length([(int(at is not None), at or run.events) for run, at in found])


def threshold_at(runs: Runs, mean: float) -> float:
    """The least threshold at which the measured run length of quiet runs is ``mean``."""
    low, high = 0.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if run_length(runs, middle).mean >= mean else (middle, high)
    return high


def heard_delay(runs: Runs) -> Delay:
    """Of runs that were heard on after each alarm."""
    return _delay(
        [
            min(
                (at - (run.change or 0) for at in run.alarms if at > (run.change or 0)),
                default=None,
            )
            for run in runs.values()
        ],
        early=0,
    )


def delay(runs: Runs, threshold: float) -> Delay:
    crossed = [(run, _first(run.records, threshold)) for run in runs.values()]
    late = [(run, at) for run, at in crossed if at is None or at > (run.change or 0)]
    found = [None if at is None else at - (run.change or 0) for run, at in late]
    return _delay(found, early=len(crossed) - len(late))


def events_per_second(groups: Iterable[Runs]) -> float:
    """Of one core, setting up left out."""
    runs = [run for group in groups for run in group.values()]
    return sum(run.events for run in runs) / max(sum(run.watch_s for run in runs), 1e-9)


def _first(found: Sequence[Record], threshold: float) -> int | None:
    return next((at for at, value in found if value >= threshold), None)


def _length(pairs: Sequence[tuple[int, int]]) -> RunLength:
    alarms, events = (np.array(column, float) for column in zip(*pairs, strict=True))
    count, total = int(alarms.sum()), int(events.sum())
    least = total / float(chi2.ppf(TAILS[1], 2 * (count + 1)) / 2)
    if not count:
        return RunLength(math.inf, least, math.inf, 0, total, len(pairs))
    most = total / float(chi2.ppf(TAILS[0], 2 * count) / 2)
    picks = np.random.default_rng(1).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    with np.errstate(divide="ignore"):
        means = events[picks].sum(axis=1) / alarms[picks].sum(axis=1)
    low, high = np.quantile(means, TAILS, method="nearest")
    low, high = min(least, float(low)), max(most, float(high))
    return RunLength(total / count, low, high, count, total, len(pairs))


def _delay(found: Sequence[int | None], early: int) -> Delay:
    values = np.array([math.inf if one is None else float(one) for one in found] or [math.inf])
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    missed = sum(one is None for one in found)
    return Delay(float(middle), missed, early, len(found), (float(low), float(high)))
