"""Candidate minus reference on the same rows, per segment and metric, with intervals."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ANSWER_LOSS: Final = "answer_loss"
PERPLEXITY: Final = "perplexity"
TEXT_METRICS: Final = ("rouge_l", "bleu", "chrf", "exact_match")
RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
CHUNK: Final = 1_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowScore:
    """One model's figures on one held-out row.

    ``metrics`` has the answer loss (nats per answer token, mean over the row) always, and
    the text metrics (each in [0, 1]) where the model was asked to answer.
    """

    record_id: str
    segment: str
    metrics: Mapping[str, float]
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    estimate: float
    lower: float
    upper: float
    confidence: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus reference on one metric."""

    metric: str
    candidate: float
    reference: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    rows: int
    differences: Sequence[Difference]

    def difference(self, metric: str) -> Difference:
        return next(entry for entry in self.differences if entry.metric == metric)


def mean(values: Floats) -> Floats:
    """Mean over the last axis."""
    found: Floats = values.mean(axis=-1)
    return found


def perplexity(losses: Floats) -> Floats:
    """exp of the mean loss over the last axis."""
    found: Floats = np.exp(mean(losses))
    return found


def paired_interval(
    candidate: Floats,
    reference: Floats,
    seed: int,
    statistic: Callable[[Floats], Floats] = mean,
) -> Interval:
    """Percentile bootstrap interval of statistic(candidate) - statistic(reference).

    Args:
        candidate, reference: ``(rows,)``, the same rows in the same order; rows >= 1.
        seed: the same seed and data give the same interval.
    """
    rows = len(candidate)
    random = np.random.default_rng(seed)
    found = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, CHUNK):
        picks = random.integers(0, rows, size=(CHUNK, rows))
        found[start : start + CHUNK] = statistic(candidate[picks]) - statistic(reference[picks])
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(found, [tail, 1 - tail])
    estimate = float(statistic(candidate) - statistic(reference))
    return Interval(estimate, float(lower), float(upper), CONFIDENCE, rows)


def compare(
    candidate: Sequence[RowScore], reference: Sequence[RowScore], seed: str
) -> list[Segment]:
    """Every segment's differences, segments by name.

    Raises:
        ValueError: the two models were not scored on the same rows, or a figure is not finite.
    """
    mine, theirs = _by_id(candidate), _by_id(reference)
    if mine.keys() != theirs.keys():
        raise ValueError(f"{len(mine.keys() ^ theirs.keys())} rows were scored for one model only")
    names = sorted({score.segment for score in candidate})
    return [
        _segment(
            name,
            [(mine[key], theirs[key]) for key in sorted(mine) if mine[key].segment == name],
            seed,
        )
        for name in names
    ]


def _segment(name: str, pairs: Sequence[tuple[RowScore, RowScore]], seed: str) -> Segment:
    differences = []
    for metric in (ANSWER_LOSS, PERPLEXITY, *TEXT_METRICS):
        source = ANSWER_LOSS if metric == PERPLEXITY else metric
        both = [
            (mine.metrics[source], theirs.metrics[source])
            for mine, theirs in pairs
            if source in mine.metrics and source in theirs.metrics
        ]
        if both:
            statistic = perplexity if metric == PERPLEXITY else mean
            differences.append(_difference(metric, both, f"{seed}:{name}:{metric}", statistic))
    return Segment(name, len(pairs), differences)


def _difference(
    metric: str,
    pairs: Sequence[tuple[float, float]],
    seed: str,
    statistic: Callable[[Floats], Floats],
) -> Difference:
    candidate, reference = np.array(pairs, dtype=np.float64).T
    interval = paired_interval(candidate, reference, _number(seed), statistic)
    return Difference(metric, float(statistic(candidate)), float(statistic(reference)), interval)


def _by_id(scores: Sequence[RowScore]) -> dict[str, RowScore]:
    for score in scores:
        for metric, value in score.metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"{metric} of row {score.record_id} is {value}")
    return {score.record_id: score for score in scores}


def _number(seed: str) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
