"""Files as records, streamed to ingest."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
from google.protobuf import json_format

from libs.faults import Poison
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from protos.ingest.v1.ingest_service_pb2 import UploadRequest, UploadResponse
from protos.ingest.v1.ingest_service_pb2_grpc import IngestServiceStub
from services.cli.session import Session

UPLOAD_TIMEOUT_S: Final = 600.0
KEY_WITHIN_S: Final = 20.0
KEY_EVERY_S: Final = 0.2
DOCUMENTS: Final = {".txt", ".md", ".markdown"}


def kind_of(name: str) -> "RecordKind.ValueType":
    """``example`` -> RECORD_KIND_EXAMPLE.

    Raises:
        Poison: ``bad_kind`` listing the kinds.
    """
    known = {key.removeprefix("RECORD_KIND_").lower(): value for key, value in RecordKind.items()}
    if name not in known:
        raise Poison(f"kind {name!r}; one of {', '.join(sorted(known))}", code="bad_kind")
    return known[name]


def records_of(path: Path, given: Record) -> Iterator[Record]:
    """The records of a file, each with the fields that ``given`` sets for all.

    Raises:
        Poison: ``bad_line`` naming the line.
    """
    if path.suffix in DOCUMENTS:
        yield _with(Record(kind=RecordKind.RECORD_KIND_DOCUMENT, text=path.read_text()), given)
        return
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _with(_parse(path, number, line), given)


def _parse(path: Path, number: int, line: str) -> Record:
    try:
        fields = json.loads(line)
        kind = kind_of(fields.pop("kind", "example"))
        return json_format.ParseDict(fields, Record(kind=kind))
    except (ValueError, AttributeError, TypeError, json_format.ParseError) as error:
        raise Poison(f"{path}:{number}: {error}", code="bad_line") from error


def _with(record: Record, given: Record) -> Record:
    record.MergeFrom(given)
    return record


def upload(session: Session, application: str, records: Iterator[Record]) -> UploadResponse:
    """Stream records to ingest; it answers for each line that it refuses."""
    ingest = IngestServiceStub(session.tenant("ingest.rpc", application))
    requests = (UploadRequest(record=record) for record in records)
    return ingest.Upload(requests, timeout=UPLOAD_TIMEOUT_S)


def await_key(session: Session, application: str) -> None:
    """Return once the doors know a key that was just made: it reaches them as an event.

    Raises:
        grpc.RpcError: the door still refuses it after 20 s, or is away.
    """
    deadline = time.monotonic() + KEY_WITHIN_S
    while True:
        try:
            upload(session, application, iter(()))
            return
        except grpc.RpcError as error:
            refused = error.code() is grpc.StatusCode.UNAUTHENTICATED
            if not refused or time.monotonic() > deadline:
                raise
        time.sleep(KEY_EVERY_S)
