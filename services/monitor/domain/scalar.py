"""Finite partitions of numbers and words, fitted on a part of the reference that is set aside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.monitor.domain.partition import Cells, Floats, Vectors, product, shares

SCALAR_BINS = 8
THINNEST = 1 / 64
WIDEST_TAIL = 1 / 12
LEAST_IN_TAIL = 4
"""Rows of the fit part in a tail's slice."""
COMPONENTS = 32
PENALTIES = tuple(float(10.0**power) for power in range(-3, 4))
MOST_WORDS = 15


@dataclass(frozen=True, slots=True)
class ScalarBins:
    """Quantile bins of a number.

    Fields:
        edges: ``(<= 11,)`` strictly growing, in the number's unit.
        shares: of the fit part.
    """

    edges: Floats
    shares: Floats

    @property
    def typical(self) -> Floats:
        """The edges of a typical prompt: all have the same."""
        return self.edges

    def bins(self, numbers: Floats) -> Cells:
        """``(n,)`` -> ``(n,)``."""
        return np.asarray(self.edges.searchsorted(numbers, side="right"), np.int64)


@dataclass(slots=True)
class Words:
    """The commonest words of the fit part, each a cell; the last cell is for all others.

    Fields:
        shares: of the fit part.
    """

    known: list[str]
    shares: Floats
    places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.places = {word: place for place, word in enumerate(self.known)} | {"": -1}

    @property
    def labels(self) -> list[str]:
        return [*self.known, "another"]

    def cells(self, words: Sequence[str]) -> Cells:
        """``(n,)``, -1 for ""."""
        places, another = self.places, len(self.known)
        return np.array([places.get(word, another) for word in words], np.int64)


@dataclass(frozen=True, slots=True)
class ResidualBins:
    """Bins of what the input does not explain of a number.

    A ridge regression on the leading principal components of (embedding, log length) over the
    fit part: a change of topic moves the number through the input, a change of behaviour moves
    the residual.

    Fields:
        mean: ``(d + 1,)`` of the fit part's inputs.
        slope: ``(d + 1,)`` of the number on the centred inputs.
        level: the number's mean.
        edges: ``(<= 11,)`` quantiles of the fit part's leave-one-out residuals; shares: of these.
    """

    mean: Floats
    slope: Floats
    level: float
    edges: Floats
    shares: Floats

    @property
    def typical(self) -> Floats:
        """The edges as numbers, for a prompt that explains nothing."""
        return self.level + self.edges

    def bins(self, given: Floats, numbers: Floats, at_once: int = 0) -> Cells:
        """``(n, d + 1)`` and ``(n,)`` -> ``(n,)`` bin of the residual, made as `product` says."""
        explained = product(given - self.mean, self.slope, at_once)
        if not np.isfinite(explained).all():
            explained = product(_centred(given, self.mean), self.slope, at_once)
        residuals = numbers - self.level - explained
        return np.asarray(self.edges.searchsorted(residuals, side="right"), np.int64)


def inputs(vectors: Vectors, log_lengths: Floats) -> Floats:
    """What the residuals are taken on: ``(n, d)`` and ``(n,)`` -> ``(n, d + 1)``.

    A unit vector and a natural log have spreads of the same order; an unknown length is nan
    and stands for the typical one.
    """
    return np.asarray(np.column_stack([vectors, log_lengths]), np.float64)


def fit_scalar(numbers: Floats) -> ScalarBins:
    """Edges at the eighths and in the tails of ``(n,)`` finite numbers."""
    edges = _edges(numbers)
    return ScalarBins(edges, _shares(edges, numbers))


def fit_words(words: Sequence[str]) -> Words:
    """The fifteen commonest; ties by the alphabet, so that a refit gives the same."""
    counted = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    known = sorted(counted[:MOST_WORDS])
    cells = np.repeat(np.arange(len(known)), [count for _, count in known])
    others = np.full(len(words) - len(cells), len(known))
    found = shares(np.concatenate([cells, others]), len(known) + 1)
    return Words([word for word, _ in known], found)


def fit_residual(given: Floats, numbers: Floats) -> ResidualBins:
    """Ridge on the leading components, its penalty by the leave-one-out error.

    Args:
        given: ``(n, d + 1)`` of the fit part, as `inputs` makes them.
        numbers: ``(n,)`` finite.
    """
    known = np.isfinite(given)
    mean = np.where(known, given, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    level, centred = float(numbers.mean()), _centred(given, mean)
    with threadpool_limits(limits=1):
        left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    kept = min(COMPONENTS, max(1, len(numbers) // 5), int((sizes > 1e-6).sum()))
    left, sizes, right = left[:, :kept], sizes[:kept], right[:kept]
    shadow = left.T @ (numbers - level)

    best, slope, residuals = np.inf, np.zeros(given.shape[1]), numbers - level
    for penalty in PENALTIES:
        shrink = sizes**2 / (sizes**2 + penalty)
        leverage = (left**2 * shrink).sum(axis=1) + 1 / len(numbers)
        errors = (numbers - level - left @ (shrink * shadow)) / np.maximum(1 - leverage, 1e-3)
        if (score := float((errors**2).sum())) < best:
            best, residuals = score, errors
            slope = right.T @ (sizes / (sizes**2 + penalty) * shadow)
    edges = _edges(residuals)
    return ResidualBins(mean, slope, level, edges, _shares(edges, residuals))


def _centred(given: Floats, mean: Floats) -> Floats:
    return np.asarray(np.where(np.isfinite(given), given - mean, 0.0))


def _shares(edges: Floats, numbers: Floats) -> Floats:
    return shares(edges.searchsorted(numbers, side="right"), len(edges) + 1)


def _edges(numbers: Floats) -> Floats:
    """The eighths, and of both tails a thin slice and what lies beyond all numbers: a few
    answers that time out would be lost among the slowest eighth. Too few numbers have no thin
    slices; where those tie, the largest one gets a cell of its own, or nothing above it could be
    told from it."""
    inner = np.arange(1, SCALAR_BINS) / SCALAR_BINS
    eighths: NDArray[np.float64] = np.unique(np.quantile(numbers, inner))
    above = np.nextafter(numbers.max(), np.inf)
    tail = max(THINNEST, LEAST_IN_TAIL / len(numbers))
    if tail < WIDEST_TAIL:
        slices = np.quantile(numbers, [tail, 1 - tail])
        return np.unique([numbers.min(), *slices, *eighths, above])
    return np.append(eighths, above) if len(eighths) < len(inner) else eighths
