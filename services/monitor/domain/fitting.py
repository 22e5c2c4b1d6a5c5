"""From samples by column to cells: what each signal is, and what the fit part made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Cells, EmbeddingCells, Floats, Vectors, fit_embedding
from services.monitor.domain.sample import Cause
from services.monitor.domain.scalar import (
    ResidualBins,
    ScalarBins,
    Words,
    fit_residual,
    fit_scalar,
    fit_words,
    inputs,
)
from services.monitor.domain.units import labels, marks

PROMPT_EMBEDDING = "prompt_embedding"
MEAN_LOGPROB = "mean_logprob"
MISSING = "missing_values"
LEAST_KNOWN = 10
"""Values of the fit part. Few of them make bins and regression coarse, never unfair."""
MOST_STEPS = 10
"""A number of so few values (stars, thumbs) is binned as it is: the bins of its residual would
tell the prompts apart, not the answers."""
KEPT_PROMPTS = 200

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kind:
    """One signal.

    Fields:
        share: of the false alarms, beside those of the other signals that start.
        form: how its number or word becomes a cell.
        familiar: judged on prompts like the reference's only. Elsewhere the regression would be
            a guess and the answers are other ones by right: a new topic must not look like a
            new behaviour. The choice looks at nothing but the prompt and the fit part, so what
            is chosen stays exchangeable.
    """

    name: str
    cause: Cause
    share: float
    form: Literal["embedding", "scalar", "word", "residual"]
    familiar: bool = False

    @property
    def grouped(self) -> bool:
        """Ranked within each cluster of prompts: topics that only change their shares do not
        move what is said of the answers."""
        return self.familiar


KINDS = (
    Kind(PROMPT_EMBEDDING, "input", 0.5, "embedding"),
    Kind(MEAN_LOGPROB, "behaviour", 0.1, "residual", familiar=True),
    Kind("length", "input", 0.05, "scalar"),
    Kind("language", "input", 0.05, "word"),
    Kind("refusal", "behaviour", 0.03, "word", familiar=True),
    Kind("finish_reason", "behaviour", 0.03, "word", familiar=True),
    Kind("feedback", "behaviour", 0.05, "residual", familiar=True),
    Kind("served_model", "provider", 0.03, "word"),
    Kind("guard_verdict", "guard", 0.05, "word"),
    Kind("retrieval_score", "retrieval", 0.05, "residual", familiar=True),
    Kind("latency", "system", 0.05, "residual", familiar=True),
    Kind("cost", "system", 0.05, "residual", familiar=True),
    Kind(MISSING, "data", 0.03, "word"),
)
"""In the order in which they are asked; half of the false alarms are the embedding's."""


@dataclass(frozen=True, slots=True)
class Table:
    """n samples by column. An unknown number is nan, an unknown word "".

    Fields:
        vectors: ``(n, d)`` unit vectors; ``(n, 0)`` when there are none.
        numbers: of the scalars and residuals, each ``(n,)``; "length" is a natural log.
        words: each of n.
        strata: of n.
    """

    vectors: Vectors
    numbers: dict[str, Floats]
    words: dict[str, list[str]]
    strata: list[str]

    def __len__(self) -> int:
        return len(self.strata)


@dataclass(frozen=True, slots=True)
class Column:
    """One partition of one signal, K cells.

    Fields:
        shares: ``(K,)`` of the fit part.
        ordered: neighbouring cells mean similar things; marks: then, the K - 1 edges between them.
    """

    signal: str
    labels: list[str]
    shares: Floats
    ordered: bool
    marks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fit:
    """What the fit part gave; fixed for the life of the watch.

    Fields:
        scalars, residuals, words: by the signal's name, only those that start.
        natural: near copies are draws like others and stay in.
        prompts: of the fit part, at most 200; cells: ``(C, n)`` of these.
        units: by the signal's name, of its numbers.
    """

    embedding: EmbeddingCells | None = None
    scalars: dict[str, ScalarBins] = field(default_factory=dict)
    residuals: dict[str, ResidualBins] = field(default_factory=dict)
    words: dict[str, Words] = field(default_factory=dict)
    natural: bool = True
    prompts: list[str] = field(default_factory=list)
    cells: Cells = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    units: dict[str, str] = field(default_factory=dict)

    @property
    def started(self) -> list[Kind]:
        known = {*self.scalars, *self.residuals, *self.words}
        if self.embedding is not None:
            known.add(PROMPT_EMBEDDING)
        return [kind for kind in KINDS if kind.name in known]

    @property
    def groups(self) -> int:
        """Clusters of prompts; 1 without embeddings."""
        return 1 if self.embedding is None else len(self.embedding.centres)

    @property
    def columns(self) -> list[Column]:
        found: list[Column] = []
        for kind in self.started:
            if self.embedding is not None and kind.form == "embedding":
                clusters, distances = self.embedding.labels
                far = marks(kind.name, self.embedding.edges)
                found.append(Column(kind.name, clusters, self.embedding.near, False))
                found.append(Column(kind.name, distances, self.embedding.far, True, far))
            elif kind.form == "word":
                words = self.words[kind.name]
                found.append(Column(kind.name, words.labels, words.shares, False))
            else:
                bins = self.scalars.get(kind.name) or self.residuals[kind.name]
                edges = marks(kind.name, bins.typical, self.units.get(kind.name, ""))
                found.append(Column(kind.name, labels(edges), bins.shares, True, edges))
        return found

    def assign(self, table: Table, at_once: int = 0) -> Cells:
        """``(C, n)`` cells, -1 where the sample says nothing to the column; ``at_once`` as in
        `product`."""
        size = len(table)
        found: list[Cells] = []
        unfamiliar: Flags | None = None
        if self.embedding is not None:
            distances = self.embedding.distances(table.vectors, at_once)
            clusters = self.embedding.clusters(table.vectors, at_once)
            found = [clusters, self.embedding.bins(distances)]
            unfamiliar = distances > self.embedding.familiar
        given = inputs(table.vectors, table.numbers["length"]) if self.residuals else None
        for kind in self.started:
            if kind.form == "embedding":
                continue
            cells = self._cells(kind, table, given, at_once)
            if kind.familiar and unfamiliar is not None:
                cells[unfamiliar] = -1
            found.append(cells)
        return np.array(found, np.int64).reshape(-1, size)

    def _cells(self, kind: Kind, table: Table, given: Floats | None, at_once: int) -> Cells:
        if kind.form == "word":
            return self.words[kind.name].cells(table.words.get(kind.name) or [""] * len(table))
        numbers = table.numbers.get(kind.name, np.full(len(table), np.nan))
        if kind.name in self.scalars:
            cells = self.scalars[kind.name].bins(numbers)
        else:
            assert given is not None
            cells = self.residuals[kind.name].bins(given, numbers, at_once)
        cells[~np.isfinite(numbers)] = -1
        return cells


def fit(
    table: Table,
    seed: int,
    natural: bool,
    prompts: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
) -> Fit:
    """From the fit part. What it does not know is not watched."""
    embedding = fit_embedding(table.vectors, seed) if table.vectors.shape[1] else None
    kept = list(prompts[:KEPT_PROMPTS])
    found = Fit(embedding, natural=natural, prompts=kept, units=dict(units or {}))
    for kind in KINDS:
        if kind.form != "embedding":
            found = also(found, kind, table)
    return replace(found, cells=found.assign(table)[:, : len(found.prompts)])


def also(known: Fit, kind: Kind, table: Table) -> Fit:
    """With one more signal, of a number or a word, where ten rows know it."""
    if kind.form == "word":
        words = [word for word in table.words.get(kind.name, ()) if word]
        if len(words) < LEAST_KNOWN:
            return known
        return replace(known, words=known.words | {kind.name: fit_words(words)})
    numbers = table.numbers.get(kind.name, np.zeros(0))
    usable = np.isfinite(numbers)
    if usable.sum() < LEAST_KNOWN:
        return known
    numbers = numbers[usable]
    if kind.form == "scalar" or len(np.unique(numbers)) <= MOST_STEPS:
        return replace(known, scalars=known.scalars | {kind.name: fit_scalar(numbers)})
    given = inputs(table.vectors, table.numbers["length"])[usable]
    return replace(known, residuals=known.residuals | {kind.name: fit_residual(given, numbers)})
