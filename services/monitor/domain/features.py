"""Events as the learned kernel sees them: principal components, and what is unusual there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.monitor.domain.partition import Vectors

COMPONENTS = 200
NEAR = 64
"""Leading components in which similarity is told."""
RIDGE = 0.3
NEIGHBOURS = 4
FAMILIAR = 3
EMPHASIS = 0.5

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Points:
    """n events as the kernel sees them.

    Fields:
        places: ``(n, F)`` principal components of the fit part.
        familiar: ``(n,)`` mean inner product with the nearest three rows of the fit part, in
            the leading components.
    """

    places: Singles
    familiar: Singles

    def __len__(self) -> int:
        return len(self.familiar)

    def __getitem__(self, part: slice) -> "Points":
        return Points(self.places[part], self.familiar[part])

    def __add__(self, more: "Points") -> "Points":
        return Points(
            np.concatenate([self.places, more.places]),
            np.concatenate([self.familiar, more.familiar]),
        )


@dataclass(frozen=True, slots=True)
class KernelFeatures:
    """Principal components of the fit part.

    Fields:
        centre: ``(d,)`` mean of the fit part.
        axes: ``(d, F)`` orthonormal.
        spread: ``(F,)`` variance of each component.
        rows: ``(n_fit, <= 64)`` leading components of the fit part.
        scale: standard deviation of the familiarity of the fit part's rows, each left out.
    """

    centre: Singles
    axes: Singles
    spread: Singles
    rows: Singles
    scale: float

    def __call__(self, vectors: Vectors) -> Points:
        """Of ``(n, d)`` unit vectors."""
        places = np.asarray((vectors - self.centre) @ self.axes, np.float32)
        return Points(places, _nearest(places[:, :NEAR] @ self.rows.T, FAMILIAR))

    def unusual(self, points: Points, similar: Singles) -> Singles:
        """``(n,)`` how much more like a window's events than like the fit part, in standard
        deviations, from the ``(n, W)`` inner products with the window."""
        return np.asarray((_nearest(similar, NEIGHBOURS) - points.familiar) / self.scale)

    def directions(self, places: Singles, unusual: Singles, windows: Sequence[int]) -> Singles:
        """``(W, F)`` and ``(W,)`` -> ``(F, T)``: from the last events of each of T windows, along
        which the fit part has variance 1."""
        weights = np.exp(np.clip(EMPHASIS * unusual, -4, 4)) * latest(tuple(windows), len(places))
        means = weights @ places / weights.sum(axis=1, keepdims=True)
        found = means / (self.spread + RIDGE * self.spread.sum() / max(places.shape[1], 1))
        lengths = np.sqrt(found**2 @ self.spread)
        return np.asarray((found / np.where(lengths > 0, lengths, 1)[:, None]).T)


def fit_features(vectors: Vectors) -> KernelFeatures:
    """From the fit part, ``(n, d)`` unit vectors, n > 3."""
    centre = vectors.mean(axis=0)
    with threadpool_limits(limits=1):
        _, sizes, right = np.linalg.svd(vectors - centre, full_matrices=False)
        kept = min(COMPONENTS, int((sizes > 1e-6).sum()))
        rows = (vectors - centre) @ right[: min(kept, NEAR)].T
        similar = rows @ rows.T
    np.fill_diagonal(similar, -np.inf)
    scale = float(_nearest(similar, FAMILIAR).std())
    spread = np.asarray(sizes[:kept] ** 2 / len(vectors), np.float32)
    return KernelFeatures(centre, np.ascontiguousarray(right[:kept].T), spread, rows, scale or 1.0)


@lru_cache
def latest(windows: tuple[int, ...], size: int) -> Singles:
    """``(T, size)`` 1 where an event is one of the last ones of the window."""
    ages = np.arange(size)[::-1]
    return np.array([ages < window for window in windows], np.float32)


def _nearest(similar: Singles, count: int) -> Singles:
    """Mean of the ``count`` largest of each row."""
    top = np.partition(similar, -count, axis=1)[:, -count:]
    return np.asarray(top.sum(axis=1) / np.float32(count))
