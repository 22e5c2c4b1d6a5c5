"""Finite partitions of the prompt's embedding, fitted on a part of the reference.

Everything here is fixed once fitted: the detector's guarantee needs cells that know nothing
of the calibration rows and of the stream.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Cells = NDArray[np.int64]

CLUSTERS = 16
NEIGHBOURS = 3
DISTANCE_QUANTILES = (0.2, 0.4, 0.6, 0.8, 0.9, 0.96, 0.99)
FAMILIAR = 0.96


@dataclass(frozen=True, slots=True)
class EmbeddingCells:
    """Two partitions of the prompt's embedding.

    Fields:
        centres: ``(K, d)`` k-means centres; the cell is the nearest one.
        rows: ``(n_fit, d)`` unit vectors; the second partition bins the mean cosine distance
            to the nearest three.
        edges: ``(<= 7,)`` strictly growing, in cosine distance.
        familiar: cosine distance below which a prompt is like the reference's.
        near, far: ``(K,)`` and ``(<= 8,)`` the fit part's `shares` of both partitions; a row's
            distance is that from the others.
    """

    centres: Vectors
    rows: Vectors
    edges: Floats
    familiar: float
    near: Floats
    far: Floats

    @property
    def labels(self) -> tuple[list[str], list[str]]:
        """Names of the clusters and of the distance bins."""
        marks = [f"distance <= {edge:.3f}" for edge in self.edges]
        marks.append(f"distance > {self.edges[-1]:.3f}")
        return [f"topic {cell}" for cell in range(len(self.centres))], marks

    def clusters(self, vectors: Vectors, at_once: int = 0) -> Cells:
        """``(n, d)`` unit vectors -> ``(n,)`` nearest centre; ``at_once`` as in `product`."""
        squares = (self.centres**2).sum(axis=1)
        similar = product(2.0 * vectors, self.centres.T, at_once)
        return np.asarray(np.argmin(squares - similar, axis=1), np.int64)

    def distances(self, vectors: Vectors, at_once: int = 0) -> Floats:
        """``(n, d)`` unit vectors -> ``(n,)`` mean cosine distance to the nearest rows."""
        return _nearest(product(vectors, self.rows.T, at_once))

    def bins(self, distances: Floats) -> Cells:
        return np.searchsorted(self.edges, distances, side="left").astype(np.int64)


def product(
    rows: NDArray[np.floating], matrix: NDArray[np.floating], at_once: int = 0
) -> NDArray[np.floating]:
    """``rows @ matrix``, ``at_once`` of the ``(n, d)`` rows at a time; 0: all.

    The last bits depend on how many are multiplied together: what is to be the same however
    events are cut into batches is multiplied by the block.
    """
    if not at_once or len(rows) <= at_once:
        return np.asarray(rows @ matrix)
    blocks = rows.reshape(-1, at_once, rows.shape[1])
    return np.asarray(blocks @ matrix).reshape(len(rows), *matrix.shape[1:])


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """``(n, d)`` scaled to length 1; a zero vector stays."""
    full = vectors.astype(np.float32)
    if not full.size:
        return full
    lengths = np.linalg.norm(full, axis=1, keepdims=True)
    return np.asarray(full / np.where(lengths > 0, lengths, 1), np.float32)


def fit_embedding(vectors: Vectors, seed: int) -> EmbeddingCells:
    """Cells from the fit part, ``(n, d)`` unit vectors, n > 3.

    One thread: the sums of several depend on their order, and a refit after a crash must
    give the same cells.
    """
    with threadpool_limits(limits=1):
        wanted = min(CLUSTERS, len(np.unique(vectors, axis=0)))
        means = KMeans(n_clusters=wanted, n_init=4, random_state=seed % 2**32).fit(vectors)
        similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    left_out = _nearest(similar)
    edges = np.unique(np.quantile(left_out, DISTANCE_QUANTILES))
    return EmbeddingCells(
        centres=means.cluster_centers_.astype(np.float32),
        rows=vectors,
        edges=edges,
        familiar=float(np.quantile(left_out, FAMILIAR)),
        near=shares(means.labels_, wanted),
        far=shares(edges.searchsorted(left_out), len(edges) + 1),
    )


def shares(cells: NDArray[np.integer], count: int) -> Floats:
    """``(count,)`` shares of ``(n,)`` cells, none of them 0: half a row each is added."""
    return np.asarray((np.bincount(cells, minlength=count) + 0.5) / (len(cells) + 0.5 * count))


def _nearest(similar: NDArray[np.floating]) -> Floats:
    """Mean cosine distance to the nearest rows; rounded, so that equal prompts tie."""
    top = np.partition(similar, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    return np.asarray(np.round(1.0 - top.mean(axis=1, dtype=np.float64), 5))
