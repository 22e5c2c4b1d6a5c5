"""Which rows a dataset version takes. The same rows and query give the same dataset."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from services.preprocessing.domain.rows import Kind, Rejection, Side, Source

NO_TRAINING_ROWS: Final = "no_training_rows"
NO_HELD_OUT_ROWS: Final = "no_held_out_rows"
UNKNOWN_SEGMENT: Final = "unknown_segment"
BAD_FILTER: Final = "bad_filter"
LANGUAGE: Final = "language"
SHOWN_SEGMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Training rows by when they occurred and what they are labelled.

    Fields:
        since, until: seconds since 1970, the latter not included; None = no bound. A row of
            unknown time, stored before times were, is in no period.
        segment: "label=value"; where rows have no label "language" it is their text's. "" = all.
    """

    since: float | None = None
    until: float | None = None
    segment: str = ""

    def takes(self, row: "PairRow") -> bool:
        begun = self.since is None or 0 < row.occurred_at >= self.since
        over = self.until is not None and not 0 < row.occurred_at < self.until
        return begun and not over and self.inside(row)

    def inside(self, row: "PairRow") -> bool:
        label, _, value = self.segment.partition("=")
        return not self.segment or row.label(label) == value

    def fault(self) -> str:
        """What is wrong with it, "" when nothing."""
        label, equals, value = self.segment.partition("=")
        if self.segment and not (label and equals and value):
            return f"segment {self.segment!r} is not label=value"
        if self.since is not None and self.until is not None and self.since >= self.until:
            return "since is not before until"
        return ""


@dataclass(frozen=True, slots=True)
class Query:
    """Caps of 0 take all. Held-out rows come from the default collection, whatever is asked.

    Fields:
        only: the training rows are of these; always: no cap leaves these out.
    """

    collection: str = ""
    segment_label: str = ""
    max_train: int = 0
    max_held_out: int = 0
    only: RowFilter | None = None
    always: RowFilter | None = None


@dataclass(frozen=True, slots=True)
class PairRow:
    """A kept prompt and answer; ``occurred_at`` in seconds since 1970, 0 = unknown."""

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
    language: str = ""
    occurred_at: float = 0.0

    def segment(self, query: Query) -> str:
        return self.labels.get(query.segment_label, "")

    def label(self, name: str) -> str:
        """ "" when it has none of this name."""
        return self.labels.get(name, self.language if name == LANGUAGE else "")


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
    if query.only is not None and (fault := query.only.fault()):
        return Rejection(BAD_FILTER, fault)
    ordered = sorted(rows, key=lambda row: row.record_id)
    held_out = [row for row in ordered if row.side is Side.HELD_OUT]
    tested = {row.prompt_digest for row in held_out}
    here = [row for row in ordered if _trains(row, query)]
    if query.only is not None and not any(map(query.only.inside, here)):
        return Rejection(UNKNOWN_SEGMENT, _segments_there(here, query.only.segment))
    wanted = [row for row in here if query.only is None or query.only.takes(row)]
    unseen = [row for row in wanted if row.prompt_digest not in tested]
    test_rows = [row for row in held_out if row.collection == ""]
    train = _capped(unseen, query, query.max_train, query.always)
    test = _capped(test_rows, query, query.max_held_out)
    if not train:
        where = f"collection {query.collection!r}" if query.collection else "the default collection"
        asked = " that the request asks for" if query.only is not None else ""
        return Rejection(NO_TRAINING_ROWS, f"{where} has no training row{asked}")
    if not test:
        return Rejection(NO_HELD_OUT_ROWS, "the default collection has no held-out row")
    left_out = {
        "prompt_is_held_out": len(wanted) - len(unseen),
        "train_over_cap": len(unseen) - len(train),
        "held_out_over_cap": len(test_rows) - len(test),
    }
    if query.only is not None:
        left_out["not_asked_for"] = len(here) - len(wanted)
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


def _segments_there(rows: Sequence[PairRow], asked: str) -> str:
    label = asked.partition("=")[0]
    known = sorted({f"{label}={row.label(label)}" for row in rows if row.label(label)})
    more = f" and {len(known) - SHOWN_SEGMENTS} more" if len(known) > SHOWN_SEGMENTS else ""
    there = ", ".join(known[:SHOWN_SEGMENTS]) + more
    return f"no training row is {asked}; there are {there or f'none with the label {label}'}"


def _capped(
    rows: Sequence[PairRow], query: Query, most: int, always: RowFilter | None = None
) -> tuple[PairRow, ...]:
    """At most ``most`` rows per segment beside those of ``always``: the first by record id, so
    that growth changes little."""
    taken: Counter[str] = Counter()
    kept = []
    for row in rows:
        if always is not None and always.takes(row):
            kept.append(row)
            continue
        segment = row.segment(query)
        if most and taken[segment] >= most:
            continue
        taken[segment] += 1
        kept.append(row)
    return tuple(kept)
