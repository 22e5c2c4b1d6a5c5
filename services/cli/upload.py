"""Files as records, streamed to ingest."""

import json
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

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
MAX_LINE_BYTES: Final = 4 * 1024 * 1024 - 4096
"""What a gRPC message holds; ingest itself takes less (``PERENNIAL_MAX_LINE_BYTES``)."""


def kind_of(name: str) -> "RecordKind.ValueType":
    """``example`` -> RECORD_KIND_EXAMPLE.

    Raises:
        Poison: ``bad_kind`` listing the kinds.
    """
    known = {key.removeprefix("RECORD_KIND_").lower(): value for key, value in RecordKind.items()}
    del known["unspecified"]
    if name not in known:
        raise Poison(f"kind {name!r}; one of {', '.join(sorted(known))}", code="bad_kind")
    return known[name]


def records_of(path: Path, given: Record) -> Iterator[tuple[int, Record]]:
    """The records of a file with their lines, from 1; a line's own fields win over ``given``'s.

    Raises:
        Poison: ``bad_file``, or ``bad_line`` naming file and line.
    """
    if not path.is_file():
        raise Poison(f"{path}: a file is read twice, which a pipe cannot be", code="bad_file")
    try:
        for number, piece in _pieces(path):
            if piece.strip():
                yield number, _record(path, number, piece, given)
    except OSError as error:
        raise Poison(f"{path}: {error.strerror}", code="bad_file") from error


def _pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """A document whole, else its lines; never more than a byte above the bound."""
    with path.open("rb") as file:
        if path.suffix in DOCUMENTS:
            yield 1, file.read(MAX_LINE_BYTES + 1)
        else:
            yield from enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), 1)


def _record(path: Path, number: int, piece: bytes, given: Record) -> Record:
    try:
        if len(piece) > MAX_LINE_BYTES:
            raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
        text = piece.decode("utf-8-sig")
        if path.suffix in DOCUMENTS:
            return _like(given, RecordKind.RECORD_KIND_DOCUMENT, {"text": text})
        return _of_line(_json(text), given)
    except (Poison, ValueError, TypeError, RecursionError, json_format.ParseError) as error:
        told = " ".join(str(error).split())
        raise Poison(f"{path}:{number}: {told}", code="bad_line") from error


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        told = f"{error.msg} at column {error.colno}"
        raise ValueError(f"not JSON ({told}): one object a line is expected") from error


def _of_line(fields: object, given: Record) -> Record:
    if not isinstance(fields, dict):
        raise ValueError("a line must be a JSON object")
    kind = given.kind or RecordKind.RECORD_KIND_EXAMPLE
    if "kind" in fields:
        kind = kind_of(str(fields.pop("kind")))
    return _like(given, kind, fields)


def _like(given: Record, kind: "RecordKind.ValueType", fields: dict[str, Any]) -> Record:
    record = Record()
    record.CopyFrom(given)
    record.kind = kind
    return json_format.ParseDict(fields, record)


def upload(session: Session, application: str, records: Iterable[Record]) -> UploadResponse:
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
            upload(session, application, ())
            return
        except grpc.RpcError as error:
            refused = error.code() is grpc.StatusCode.UNAUTHENTICATED
            if not refused or time.monotonic() > deadline:
                raise
        time.sleep(KEY_EVERY_S)
