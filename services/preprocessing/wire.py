"""Events <-> entries, queries and datasets."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from libs.events.delivery import Delivery
from libs.faults import Poison
from protos.common.v1 import common_pb2
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind, RecordReceived
from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetQuery,
    DatasetRefused,
    DatasetRequested,
    RecordRejected,
)
from protos.preprocessing.v1.preprocessing_events_pb2 import (
    RowFilter as RowFilterMessage,
)
from services.preprocessing.domain.cut import Query, RowFilter
from services.preprocessing.domain.rows import FIELDS, Entry, Kind, Rejection, Source

MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
MAX_REASON_CHARS: Final = 500
MAX_NAME_CHARS: Final = 512
GROUP_LABEL: Final = "group"
"""The label of a served request that becomes the group of its correction."""
KIND_OF: Final = {
    RecordKind.RECORD_KIND_DOCUMENT: Kind.DOCUMENT,
    RecordKind.RECORD_KIND_EXAMPLE: Kind.EXAMPLE,
    RecordKind.RECORD_KIND_PREFERENCE: Kind.PREFERENCE,
    RecordKind.RECORD_KIND_EVALUATION_CASE: Kind.EVALUATION_CASE,
}


def source_of(delivery: Delivery[Any]) -> Source:
    return Source(delivery.topic.name, delivery.partition, delivery.offset, delivery.event_id)


def entry_of_record(delivery: Delivery[RecordReceived], payload: bytes | None) -> Entry:
    """A received record as an entry.

    Args:
        payload: the content of the record's payload; None when it is inline.
    Raises:
        Poison: ``no_record_id``, ``unknown_kind``, ``bad_payload``, ``bad_name``.
    """
    record = delivery.event.record
    if not delivery.event.record_id or not record.application:
        raise Poison("the record has no id or no application", code="no_record_id")
    if record.kind not in KIND_OF:
        raise Poison(f"kind {record.kind} is not known", code="unknown_kind")
    kind = KIND_OF[record.kind]
    contents = _inline(record, kind) if payload is None else _unpacked(payload, kind)
    return _named(
        Entry(
            record_id=delivery.event.record_id,
            application=record.application,
            kind=kind,
            contents=contents,
            source=source_of(delivery),
            collection=record.collection,
            subject=record.subject,
            group=record.group,
            labels=dict(record.labels),
            occurred_at=_occurred(delivery, delivery.event.received_at),
        )
    )


def entry_of_correction(delivery: Delivery[FeedbackJoined]) -> Entry | None:
    """A corrected answer as an example; None when the feedback corrects nothing (any more).

    Raises:
        Poison: ``bad_name``.
    """
    event = delivery.event
    if event.withdrawn or not event.correction.strip():
        return None
    return _named(
        Entry(
            record_id=correction_record_id(event),
            application=event.application,
            kind=Kind.EXAMPLE,
            contents={"prompt": event.prompt, "answer": event.correction},
            source=source_of(delivery),
            subject=event.subject,
            group=event.labels.get(GROUP_LABEL, ""),
            labels=dict(event.labels),
            occurred_at=_occurred(delivery, event.served_at),
        )
    )


def correction_record_id(event: FeedbackJoined) -> str:
    """The id of the record that a version of a feedback makes."""
    name = "\x1f".join(["correction", event.application, event.feedback_id, str(event.version)])
    return hashlib.sha256(name.encode()).hexdigest()


def rejected(entry: Entry, rejection: Rejection) -> RecordRejected:
    return RecordRejected(
        record_id=entry.record_id,
        application=entry.application,
        code=rejection.code,
        reason=rejection.reason[:MAX_REASON_CHARS],
        source=source(entry.source),
    )


def source(place: Source) -> common_pb2.Source:
    return common_pb2.Source(
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        event_id=place.event_id,
    )


def query(message: DatasetQuery) -> Query:
    return Query(
        collection=message.collection,
        segment_label=message.segment_label,
        max_train=message.max_train_rows_per_segment,
        max_held_out=message.max_held_out_rows_per_segment,
        only=_filter(message.only) if message.HasField("only") else None,
        always=_filter(message.always) if message.HasField("always") else None,
    )


def _filter(message: RowFilterMessage) -> RowFilter:
    return RowFilter(
        since=_seconds(message.since) if message.HasField("since") else None,
        until=_seconds(message.until) if message.HasField("until") else None,
        segment=message.segment,
    )


def _occurred(delivery: Delivery[Any], stamp: Timestamp) -> float:
    """Where the event does not say, when it was produced."""
    return _seconds(stamp) or delivery.produced_at.timestamp()


def _seconds(stamp: Timestamp) -> float:
    return float(stamp.seconds) + stamp.nanos / 1e9


def refused(request: DatasetRequested, rejection: Rejection) -> DatasetRefused:
    return DatasetRefused(
        campaign_id=request.campaign_id,
        application=request.application,
        code=rejection.code,
        reason=rejection.reason,
    )


def _inline(record: Record, kind: Kind) -> Mapping[str, str]:
    return {name: getattr(record, name) for name in FIELDS[kind]}


def _unpacked(payload: bytes, kind: Kind) -> Mapping[str, str]:
    try:
        contents = json.loads(payload)
    except ValueError as error:
        raise Poison(f"the payload is not JSON: {error}", code="bad_payload") from error
    if not isinstance(contents, dict) or not all(isinstance(v, str) for v in contents.values()):
        raise Poison("the payload is not an object of strings", code="bad_payload")
    return {name: contents.get(name, "") for name in FIELDS[kind]}


def _named(entry: Entry) -> Entry:
    """The entry, if a database can hold and index its names."""
    labels = [text for pair in entry.labels.items() for text in pair]
    check_names(entry.record_id, entry.application, entry.source.event_id)
    check_names(entry.collection, entry.subject, entry.group, *labels)
    return entry


def check_names(*names: str) -> None:
    """
    Raises:
        Poison: ``bad_name`` when one is too long or holds a NUL character.
    """
    for name in names:
        if len(name) > MAX_NAME_CHARS or "\x00" in name:
            raise Poison(
                f"{name[:40]!r} is longer than {MAX_NAME_CHARS} characters or holds a NUL",
                code="bad_name",
            )
