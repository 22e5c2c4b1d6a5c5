"""Which rows a dataset version takes. The same rows and query give the same dataset."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from services.preprocessing.domain.rows import Kind, Rejection, Side, Source

NO_TRAINING_ROWS: Final = "no_training_rows"
NO_HELD_OUT_ROWS: Final = "no_held_out_rows"


@dataclass(frozen=True, slots=True)
class Query:
    """Caps of 0 take all. Held-out rows come from the default collection, whatever is asked."""

    collection: str = ""
    segment_label: str = ""
    max_train: int = 0
    max_held_out: int = 0


@dataclass(frozen=True, slots=True)
class PairRow:
    """A kept prompt and answer."""

    record_id: str
    kind: Kind
    collection: str
    side: Side
    prompt: str
    answer: str
    prompt_digest: str
    group: str
    subject: str
    labels: Mapping[str, str]
    source: Source

    def segment(self, query: Query) -> str:
        return self.labels.get(query.segment_label, "")


@dataclass(frozen=True, slots=True)
class Cut:
    """A dataset's rows, each side ordered by record id (a hash), and what was left out."""

    train: tuple[PairRow, ...]
    held_out: tuple[PairRow, ...]
    left_out: Mapping[str, int]


def cut(rows: Iterable[PairRow], query: Query) -> Cut | Rejection:
    """Take the rows of a query, or say why there can be no dataset.

    A training row whose prompt is a held-out row's prompt is left out: to have seen the
    question with another answer is to have seen the question.
    """
    ordered = sorted(rows, key=lambda row: row.record_id)
    held_out = [row for row in ordered if row.side is Side.HELD_OUT]
    tested = {row.prompt_digest for row in held_out}
    wanted = [row for row in ordered if _trains(row, query)]
    unseen = [row for row in wanted if row.prompt_digest not in tested]
    test_rows = [row for row in held_out if row.collection == ""]
    train = _capped(unseen, query, query.max_train)
    test = _capped(test_rows, query, query.max_held_out)
    if not train:
        where = f"collection {query.collection!r}" if query.collection else "the default collection"
        return Rejection(NO_TRAINING_ROWS, f"{where} has no training row")
    if not test:
        return Rejection(NO_HELD_OUT_ROWS, "the default collection has no held-out row")
    left_out = {
        "prompt_is_held_out": len(wanted) - len(unseen),
        "train_over_cap": len(unseen) - len(train),
        "held_out_over_cap": len(test_rows) - len(test),
    }
    return Cut(train, test, left_out)


def segments(cut: Cut, query: Query) -> list[tuple[str, int, int]]:
    """(segment, training rows, held-out rows), by name."""
    train = Counter(row.segment(query) for row in cut.train)
    held_out = Counter(row.segment(query) for row in cut.held_out)
    return [(name, train[name], held_out[name]) for name in sorted({*train, *held_out})]


def spans(rows: Iterable[PairRow]) -> list[tuple[str, int, int, int, int]]:
    """(topic, partition, first offset, last offset, rows): what of the log is in ``rows``."""
    places = sorted((row.source.topic, row.source.partition, row.source.offset) for row in rows)
    found = []
    for (topic, partition), members in groupby(places, key=lambda place: place[:2]):
        offsets = [offset for _, _, offset in members]
        found.append((topic, partition, offsets[0], offsets[-1], len(offsets)))
    return found


def _trains(row: PairRow, query: Query) -> bool:
    return (
        row.side is Side.TRAIN and row.kind is Kind.EXAMPLE and row.collection == query.collection
    )


def _capped(rows: Sequence[PairRow], query: Query, most: int) -> tuple[PairRow, ...]:
    """At most ``most`` rows per segment: the first by record id, so that growth changes little."""
    taken: Counter[str] = Counter()
    kept = []
    for row in rows:
        segment = row.segment(query)
        if most and taken[segment] >= most:
            continue
        taken[segment] += 1
        kept.append(row)
    return tuple(kept)
