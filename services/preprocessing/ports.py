"""What preprocessing asks of the outside."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetRefused,
    DatasetRequested,
    DatasetVersioned,
    RecordRejected,
)
from services.preprocessing.domain.cut import Cut, PairRow, Query
from services.preprocessing.domain.intake import Row, Twin
from services.preprocessing.domain.rows import Entry, Language
from services.preprocessing.domain.similarity import Fingerprint

Answer = DatasetVersioned | DatasetRefused


@dataclass(frozen=True, slots=True)
class Correction:
    """The newest version of a feedback that was seen; ``record_id`` is "" without a row."""

    version: int
    record_id: str


class Rows(Protocol):
    """The rows and the events about them, inside one turn."""

    def knows(self, record_id: str) -> bool:
        """Whether a verdict on this record stands already."""
        ...

    def twins(self, application: str, fingerprint: Fingerprint) -> Sequence[Twin]:
        """Kept rows with the same content, or that share a band."""
        ...

    def keep(self, row: Row) -> None: ...

    def note_rejected(self, entry: Entry, code: str) -> None:
        """Remember the verdict without the content."""
        ...

    def remove(self, record_id: str, code: str) -> RecordRejected | None:
        """Forget a row's content; the event that says so, None when there was no such row."""
        ...

    def correction(self, application: str, feedback_id: str) -> Correction | None: ...

    def set_correction(
        self, application: str, feedback_id: str, correction: Correction
    ) -> None: ...

    def request(self, event: DatasetRequested) -> None:
        """Queue a request; one that has its answer is answered again, the same."""
        ...

    def announce(self, event: RecordRejected) -> None: ...


class Ledger(Protocol):
    def turn(self) -> AbstractContextManager[Rows]:
        """One record's changes: all of them, or none when the block raises."""
        ...

    def commit(self) -> None:
        """Make the turns so far durable, with their events."""
        ...


class Requests(Protocol):
    """Datasets that are asked for. Each call is a transaction of its own."""

    def pending(self) -> list[DatasetRequested]: ...

    def pairs(self, application: str) -> Iterable[PairRow]:
        """Every kept prompt and answer of an application."""
        ...

    def answer(self, request: DatasetRequested, answer: Answer) -> None:
        """Store the answer and its event; nothing when the request has one."""
        ...


class Languages(Protocol):
    def __call__(self, text: str, /) -> Language: ...


class Backlog(Protocol):
    """How far the log is, and how far this service has read it."""

    def ends(self) -> Mapping[tuple[str, int], int]:
        """The next offset of each partition that rows come from."""
        ...

    def reached(self, ends: Mapping[tuple[str, int], int]) -> bool: ...


class Count(Protocol):
    def __call__(self, outcome: str) -> None:
        """Count a verdict: ``kept`` or the code of a rejection."""
        ...


class Write(Protocol):
    def __call__(self, request: DatasetRequested, query: Query, cut: Cut) -> DatasetVersioned:
        """Store a dataset's files and manifest. The same rows give the same digests.

        Raises:
            Retryable: the artifact store is away.
        """
        ...
