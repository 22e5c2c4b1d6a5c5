"""Rows in SQL, a batch at a time, inside a transaction that somebody else ends."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from libs.events.topics import (
    DATASET_REFUSED,
    DATASET_VERSIONED,
    RECORD_REJECTED,
)
from libs.sql.outbox import OutboxSink
from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetRefused,
    DatasetRequested,
    DatasetVersioned,
    RecordRejected,
)
from services.preprocessing import wire
from services.preprocessing.adapters.lookups import KEPT, entry_of, seen_of, twins_of
from services.preprocessing.adapters.tables import BANDS, CORRECTIONS, OUTBOX, RECORDS, REQUESTS
from services.preprocessing.domain.intake import Prospect, Row, Twin
from services.preprocessing.domain.rows import Entry, Rejection
from services.preprocessing.domain.similarity import Fingerprint
from services.preprocessing.ports import Correction

EVENT_NAMESPACE: Final = UUID("0b8f8a3e-9d53-5a0c-8a55-6c9e9bb0f6a2")
REJECTED: Final = "rejected"
REMOVED: Final = "removed"


class SqlRows:
    """Lookups of ``prospects`` are made at once; new rows are kept back for `flush`."""

    def __init__(self, connection: Connection, prospects: Sequence[Prospect]) -> None:
        self._connection = connection
        self._fresh: list[dict[str, Any]] = []
        self._bands: list[dict[str, Any]] = []
        self.counted: list[str] = []
        self._seen = seen_of(connection, [each.entry.record_id for each in prospects])
        self._twins = twins_of(connection, prospects)

    def knows(self, record_id: str) -> bool:
        return record_id in self._seen

    def twins(self, application: str, fingerprint: Fingerprint) -> Sequence[Twin]:
        return self._twins.of(application, fingerprint)

    def keep(self, row: Row) -> None:
        entry, found = row.entry, row.fingerprint
        values = {
            "state": KEPT,
            "code": "",
            "subject": entry.subject,
            "group": entry.group,
            "labels": dict(entry.labels),
            "contents": dict(entry.contents),
            "side": row.side.value,
            "language": row.language.code,
            "content_digest": found.content_digest,
            "prompt_digest": found.prompt_digest,
            "shingles": len(found.shingles),
        }
        self._fresh.append({**_identity(entry), **values})
        self._seen.add(entry.record_id)
        self._bands += [
            {"application": entry.application, "band": band, "record_id": entry.record_id}
            for band in found.bands
        ]
        twin = Twin(entry.record_id, row.side, found.content_digest, found.shingles)
        self._twins.add(entry.application, twin, found.bands)

    def note_rejected(self, entry: Entry, code: str) -> None:
        self._seen.add(entry.record_id)
        self._fresh.append(
            {**_identity(entry), **_FORGOTTEN, "state": REJECTED, "code": code, "side": ""}
        )

    def remove(self, record_id: str, code: str) -> RecordRejected | None:
        self.flush()
        self._twins.drop(record_id)
        kept = sa.and_(RECORDS.c.record_id == record_id, RECORDS.c.state == KEPT)
        line = self._connection.execute(sa.select(RECORDS).where(kept)).first()
        if line is None:
            return None
        self._connection.execute(
            RECORDS.update().where(kept).values(state=REMOVED, code=code, **_FORGOTTEN)
        )
        self._connection.execute(BANDS.delete().where(BANDS.c.record_id == record_id))
        return wire.rejected(entry_of(line), Rejection(code, "the row was taken out again"))

    def flush(self) -> None:
        """Insert the rows that were kept back."""
        for table, lines in ((RECORDS, self._fresh), (BANDS, self._bands)):
            if lines:
                self._connection.execute(table.insert(), lines)
        self._fresh, self._bands = [], []

    def count(self, outcome: str) -> None:
        self.counted.append(outcome)

    def correction(self, application: str, feedback_id: str) -> Correction | None:
        line = self._connection.execute(
            sa.select(CORRECTIONS).where(_of_feedback(application, feedback_id))
        ).first()
        return None if line is None else Correction(line.version, line.record_id)

    def set_correction(self, application: str, feedback_id: str, correction: Correction) -> None:
        self._connection.execute(CORRECTIONS.delete().where(_of_feedback(application, feedback_id)))
        values = {"application": application, "feedback_id": feedback_id}
        newest = {"version": correction.version, "record_id": correction.record_id}
        self._connection.execute(CORRECTIONS.insert(), {**values, **newest})

    def request(self, event: DatasetRequested) -> None:
        known = sa.select(REQUESTS).where(REQUESTS.c.campaign_id == event.campaign_id)
        line = self._connection.execute(known).first()
        if line is None:
            values = {"campaign_id": event.campaign_id, "request": event.SerializeToString()}
            self._connection.execute(
                REQUESTS.insert(), {**values, "answer_kind": "", "answer": b""}
            )
        elif line.answer_kind:
            send_answer(self._connection, line.answer_kind, line.answer)

    def announce(self, event: RecordRejected) -> None:
        name = str(uuid5(EVENT_NAMESPACE, f"{event.record_id}:{event.code}"))
        OutboxSink(self._connection, OUTBOX).send(RECORD_REJECTED, event, event_id=name)


def send_answer(connection: Connection, kind: str, answer: bytes) -> None:
    """Send a stored answer: each time the same event with the same id."""
    outbox = OutboxSink(connection, OUTBOX)
    if kind == "versioned":
        versioned = DatasetVersioned.FromString(answer)
        name = str(uuid5(EVENT_NAMESPACE, versioned.campaign_id))
        outbox.send(DATASET_VERSIONED, versioned, event_id=name)
    else:
        refused = DatasetRefused.FromString(answer)
        name = str(uuid5(EVENT_NAMESPACE, refused.campaign_id))
        outbox.send(DATASET_REFUSED, refused, event_id=name)


_FORGOTTEN: Final[Mapping[str, Any]] = {
    "subject": "",
    "group": "",
    "labels": {},
    "contents": {},
    "language": "",
    "content_digest": "",
    "prompt_digest": "",
    "shingles": 0,
}


def _identity(entry: Entry) -> dict[str, Any]:
    return {
        "record_id": entry.record_id,
        "application": entry.application,
        "kind": entry.kind.value,
        "collection": entry.collection,
        "topic": entry.source.topic,
        "partition": entry.source.partition,
        "offset": entry.source.offset,
        "event_id": entry.source.event_id,
        "occurred_at": entry.occurred_at,
    }


def _of_feedback(application: str, feedback_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        CORRECTIONS.c.application == application, CORRECTIONS.c.feedback_id == feedback_id
    )
