"""What is known of a batch's records already, read at once."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row as Line

from services.preprocessing.adapters.tables import BANDS, RECORDS
from services.preprocessing.domain.intake import Prospect, Row, Twin, Twins
from services.preprocessing.domain.rows import Entry, Kind, Side, Source
from services.preprocessing.domain.similarity import Fingerprint, shingles_of

T = TypeVar("T")
KEPT: Final = "kept"
CHUNK: Final = 4000
"""Values in one IN: below every database's bound."""


def seen_of(connection: Connection, record_ids: Sequence[str]) -> set[str]:
    """Which of the records have their verdict."""
    known: set[str] = set()
    for chunk in chunks(record_ids):
        r = RECORDS.c.record_id
        known.update(connection.scalars(sa.select(r).where(r.in_(chunk))))
    return known


def twins_of(connection: Connection, prospects: Sequence[Prospect]) -> Twins:
    """Kept rows with the content of a prospect, or that share a band with one."""
    wanted: dict[str, list[Fingerprint]] = {}
    for each in prospects:
        if isinstance(each.outlook, Row):
            wanted.setdefault(each.entry.application, []).append(each.outlook.fingerprint)
    twins = Twins()
    for application, prints in wanted.items():
        digests = {found.content_digest for found in prints}
        bands = _sharing(connection, application, prints)
        for line in _lines(connection, application, digests, list(bands)):
            twins.add(application, _twin(line), bands.get(line.record_id, ()))
    return twins


def _sharing(
    connection: Connection, application: str, prints: Sequence[Fingerprint]
) -> dict[str, list[int]]:
    """Rows that share a band with one of ``prints``, each with the bands."""
    found: dict[str, list[int]] = {}
    b = BANDS.c
    for chunk in chunks(sorted({band for each in prints for band in each.bands})):
        shared = sa.select(b.record_id, b.band).where(
            b.application == application, b.band.in_(chunk)
        )
        for record_id, band in connection.execute(shared):
            found.setdefault(record_id, []).append(band)
    return found


def _lines(
    connection: Connection, application: str, digests: set[str], record_ids: Sequence[str]
) -> Iterator[Line[Any]]:
    r = RECORDS.c
    here = sa.and_(r.application == application, r.state == KEPT)
    lines: dict[str, Line[Any]] = {}
    for column, values in ((r.content_digest, sorted(digests)), (r.record_id, record_ids)):
        for chunk in chunks(values):
            for line in connection.execute(sa.select(RECORDS).where(here, column.in_(chunk))):
                lines[line.record_id] = line
    yield from (lines[record_id] for record_id in sorted(lines))


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def entry_of(line: Line[Any]) -> Entry:
    """A stored line as the entry it was made of, repaired."""
    return Entry(
        record_id=line.record_id,
        application=line.application,
        kind=Kind(line.kind),
        contents=line.contents,
        source=Source(line.topic, line.partition, line.offset, line.event_id),
        collection=line.collection,
        subject=line.subject,
        group=line.group,
        labels=line.labels,
        occurred_at=line.occurred_at,
    )


def _twin(line: Line[Any]) -> Twin:
    return Twin(line.record_id, Side(line.side), line.content_digest, shingles_of(entry_of(line)))
