"""Samples that wait, by column: for the fit, or for the end of their block of ten."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fitting import MEAN_LOGPROB, Flags, Table
from services.monitor.domain.partition import Cells, unit
from services.monitor.domain.sample import Sample

T = TypeVar("T")

SHOWN_CHARACTERS = 300
MOST_VECTORS = 1500
MOST_VECTOR_BYTES = 3_000_000
NUMBERS = ("length", MEAN_LOGPROB, "latency", "retrieval_score", "cost")
WORDS = ("language", "refusal", "finish_reason", "served_model", "guard_verdict")


@dataclass(slots=True)
class Held:
    """Columns of samples in the order in which they came; prompts are cut at 300 characters.

    Fields:
        near: which ones are near copies of an earlier one.
        room: where the vectors are, with some to spare.
    """

    vectors: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    numbers: list[list[float]] = field(default_factory=list)
    words: list[list[str]] = field(default_factory=list)
    generations: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    near: list[bool] = field(default_factory=list)
    room: NDArray[np.float16] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.room = self.vectors

    def add(self, sample: Sample, vector: NDArray[np.float16], near: bool) -> None:
        if len(vector):
            size = len(self.vectors)
            if size == len(self.room):
                self.room = np.empty((2 * size + BLOCK, len(vector)), np.float16)
                if size:
                    self.room[:size] = self.vectors
            self.room[size] = vector
            self.vectors = self.room[: size + 1]
        self.numbers.append(_numbers(sample))
        self.words.append(_words(sample))
        self.generations.append(sample.generation_id)
        self.prompts.append(sample.prompt[:SHOWN_CHARACTERS])
        self.strata.append(sample.stratum)
        self.labels.append(_labels(sample))
        self.near.append(near)

    def cut(self, size: int) -> tuple["Held", "Held"]:
        """The first samples, and the others."""
        if size == len(self.generations):
            return self, Held()
        columns = [getattr(self, each.name) for each in fields(self) if each.init]
        return Held(*(each[:size] for each in columns)), Held(*(each[size:] for each in columns))

    def table(self) -> Table:
        numbers = np.array(self.numbers, np.float64).reshape(-1, len(NUMBERS))
        columns = zip(*self.words, strict=True) if self.words else ([] for _ in WORDS)
        bare = np.zeros((len(numbers), 0), np.float32)
        return Table(
            vectors=unit(self.vectors) if self.vectors.size else bare,
            numbers={name: numbers[:, place] for place, name in enumerate(NUMBERS)},
            words={name: list(column) for name, column in zip(WORDS, columns, strict=True)},
            strata=self.strata,
        )

    def only(self, wanted: Flags) -> "Held":
        """The samples that are wanted, ``(n,)``."""
        places = np.flatnonzero(wanted).tolist()
        return Held(
            self.vectors[places],
            _at(self.numbers, places),
            _at(self.words, places),
            _at(self.generations, places),
            _at(self.prompts, places),
            _at(self.strata, places),
            _at(self.labels, places),
            _at(self.near, places),
        )


@dataclass(slots=True)
class Collected:
    """The calibration rows of a reference that is not complete, in time order.

    Fields:
        cells: ``(C, m)``, -1 where a row says nothing; labels: "label=value" of each row.
        vectors: ``(<= 1,500, d)`` embeddings of the first rows, 3 MB at most.
        counts: rows of each stratum.
    """

    cells: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0), np.int16))
    strata: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    vectors: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, held: Held, cells: Cells) -> None:
        """Rows and their ``(C, n)`` cells."""
        more = cells.astype(np.int16)
        self.cells = np.concatenate([self.cells, more], axis=1) if self.strata else more
        self.strata += held.strata
        for name in held.strata:
            self.counts[name] = self.counts.get(name, 0) + 1
        self.labels += held.labels
        if len(self.vectors) < MOST_VECTORS and self.vectors.nbytes < MOST_VECTOR_BYTES:
            rows = held.vectors.astype(np.float16)
            known = self.vectors.size > 0
            self.vectors = np.concatenate([self.vectors, rows]) if known else rows


def _at(column: Sequence[T], places: Sequence[int]) -> list[T]:
    return [column[place] for place in places]


def _numbers(sample: Sample) -> list[float]:
    """In the order of ``NUMBERS``; lengths (in characters), seconds and costs as natural logs."""
    seconds, price = sample.latency_s, sample.cost
    latency = math.log(seconds) if seconds > 0 else math.nan
    cost = math.log(price) if price > 0 else math.nan
    length = math.log1p(len(sample.prompt))
    return [length, sample.logprob, latency, sample.retrieval_score, cost]


def _words(sample: Sample) -> list[str]:
    """In the order of ``WORDS``."""
    refusal = "" if sample.refused is None else "refused" if sample.refused else "answered"
    return [
        sample.language,
        refusal,
        sample.finish_reason,
        sample.served_model,
        sample.guard_verdict,
    ]


def _labels(sample: Sample) -> list[str]:
    found = [f"{name}={value}" for name, value in sample.labels.items() if value]
    return [*found, f"language={sample.language}"] if sample.language else found
