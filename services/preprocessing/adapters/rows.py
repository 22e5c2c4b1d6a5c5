"""Rows in SQL, inside a transaction that somebody else ends."""

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any, Final
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.engine import Row as Line

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
from services.preprocessing.adapters.tables import BANDS, CORRECTIONS, OUTBOX, RECORDS, REQUESTS
from services.preprocessing.domain.intake import Row, Twin
from services.preprocessing.domain.rows import Entry, Kind, Rejection, Side, Source
from services.preprocessing.domain.similarity import NEAR, Fingerprint, shingles_of
from services.preprocessing.ports import Correction

EVENT_NAMESPACE: Final = UUID("0b8f8a3e-9d53-5a0c-8a55-6c9e9bb0f6a2")
KEPT: Final = "kept"
REJECTED: Final = "rejected"
REMOVED: Final = "removed"

# Built once: they run for every record.
_HERE: Final = sa.and_(RECORDS.c.application == sa.bindparam("app"), RECORDS.c.state == KEPT)
_KNOWN: Final = sa.select(RECORDS.c.record_id).where(RECORDS.c.record_id == sa.bindparam("id"))
_SAME: Final = sa.select(RECORDS).where(_HERE, RECORDS.c.content_digest == sa.bindparam("digest"))
_NEAR: Final = sa.select(RECORDS).where(
    _HERE,
    RECORDS.c.record_id.in_(
        sa.select(BANDS.c.record_id).where(
            BANDS.c.application == sa.bindparam("app"),
            BANDS.c.band.in_(sa.bindparam("bands", expanding=True)),
        )
    ),
    RECORDS.c.shingles.between(sa.bindparam("least"), sa.bindparam("most")),
)


class SqlRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def knows(self, record_id: str) -> bool:
        return self._connection.execute(_KNOWN, {"id": record_id}).first() is not None

    def twins(self, application: str, fingerprint: Fingerprint) -> Sequence[Twin]:
        same = {"app": application, "digest": fingerprint.content_digest}
        if exact := self._connection.execute(_SAME, same).all():
            return [_twin(line) for line in exact]
        if not fingerprint.bands:
            return []
        count = len(fingerprint.shingles)  # sets whose sizes differ more cannot be alike
        sizes = {"least": floor(count * NEAR), "most": ceil(count / NEAR)}
        near = {"app": application, "bands": fingerprint.bands, **sizes}
        return [_twin(line) for line in self._connection.execute(_NEAR, near)]

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
        self._connection.execute(RECORDS.insert(), {**_identity(entry), **values})
        bands = [
            {"application": entry.application, "band": band, "record_id": entry.record_id}
            for band in found.bands
        ]
        if bands:
            self._connection.execute(BANDS.insert(), bands)

    def note_rejected(self, entry: Entry, code: str) -> None:
        values = {**_identity(entry), **_FORGOTTEN, "state": REJECTED, "code": code, "side": ""}
        self._connection.execute(RECORDS.insert(), values)

    def remove(self, record_id: str, code: str) -> RecordRejected | None:
        kept = sa.and_(RECORDS.c.record_id == record_id, RECORDS.c.state == KEPT)
        line = self._connection.execute(sa.select(RECORDS).where(kept)).first()
        if line is None:
            return None
        self._connection.execute(
            RECORDS.update().where(kept).values(state=REMOVED, code=code, **_FORGOTTEN)
        )
        self._connection.execute(BANDS.delete().where(BANDS.c.record_id == record_id))
        return wire.rejected(entry_of(line), Rejection(code, "the row was taken out again"))

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
    )


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
    }


def _twin(line: Line[Any]) -> Twin:
    return Twin(line.record_id, Side(line.side), line.content_digest, shingles_of(entry_of(line)))


def _of_feedback(application: str, feedback_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        CORRECTIONS.c.application == application, CORRECTIONS.c.feedback_id == feedback_id
    )
