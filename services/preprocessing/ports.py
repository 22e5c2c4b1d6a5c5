"""What preprocessing asks of the outside."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetRefused,
    DatasetRequested,
    DatasetVersioned,
    RecordRejected,
)
from services.preprocessing.domain.cut import Cut, PairRow, Query
from services.preprocessing.domain.intake import Prospect, Row, Twin
from services.preprocessing.domain.rows import Entry, Language
from services.preprocessing.domain.similarity import Fingerprint

Answer = DatasetVersioned | DatasetRefused


@dataclass(frozen=True, slots=True)
class Correction:
    """The newest version of a feedback that was seen; ``record_id`` is "" without a row."""

    version: int
    record_id: str


class Rows(Protocol):
    """The rows and the events about them, inside a batch: each change sees those before it."""

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

    def count(self, outcome: str) -> None:
        """Count a verdict once it is durable: ``kept`` or the code of a rejection."""
        ...


Change = Callable[[Rows], None]
"""What an event does to the rows. May be done again from the start: it has no other effect."""


class Ledger(Protocol):
    def add(self, change: Change, prospect: Prospect | None = None) -> None:
        """Put ``change`` behind those before it; it is done at the commit.

        ``prospect`` is what it will look up, so that a batch's lookups are few.

        Raises:
            Retryable: the batch was full and could not be committed; ``change`` is not in.
        """
        ...

    def commit(self) -> None:
        """Do the changes so far, all of them or none, and make them durable with their events.

        Raises:
            Retryable: the database is away; they are kept for another try.
        """
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
