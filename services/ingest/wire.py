"""JSON lines and protobuf records <-> drafts. Foreign input is judged here, once."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NoReturn

from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind, RecordReceived
from services.ingest.domain import CONTENT_FIELDS, Draft, Kind

MAX_DEPTH: Final = 16
NAMES: Final = ("collection", "subject", "group")
LINE_FIELDS: Final = frozenset({"kind", "labels", *NAMES, *CONTENT_FIELDS})
KIND_OF: Final = {
    RecordKind.RECORD_KIND_DOCUMENT: Kind.DOCUMENT,
    RecordKind.RECORD_KIND_EXAMPLE: Kind.EXAMPLE,
    RecordKind.RECORD_KIND_PREFERENCE: Kind.PREFERENCE,
    RecordKind.RECORD_KIND_EVALUATION_CASE: Kind.EVALUATION_CASE,
}
KIND_ON_WIRE: Final = {kind: wire for wire, kind in KIND_OF.items()}

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""One that does not end reaches to the line's end, and is looked through once."""
_BRACKET = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an upload says once for all of its lines; a line's own value wins."""

    kind: Kind = Kind.EXAMPLE
    collection: str = ""
    subject: str = ""
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def kind_named(name: str) -> Kind:
    """
    Raises:
        Poison: ``unknown_kind``.
    """
    try:
        return Kind(name)
    except ValueError:
        known = ", ".join(Kind)
        raise Poison(f"kind {name[:40]!r} is none of {known}", code="unknown_kind") from None


def draft_of_line(line: bytes, application: str, defaults: Defaults) -> Draft:
    """One JSON line as a draft.

    Raises:
        Poison: ``nested_too_deep``, ``bad_encoding``, ``bad_json``, ``duplicate_field``,
            ``wrong_type``, ``unknown_field`` or ``unknown_kind``.
    """
    entry = _object(line)
    for name in entry:
        if name not in LINE_FIELDS:
            known = ", ".join(sorted(LINE_FIELDS))
            raise Poison(f"unknown field {name[:60]!r}; known: {known}", code="unknown_field")
    labels = entry.pop("labels", {})
    if not isinstance(labels, dict):
        raise Poison("labels must be an object of strings", code="wrong_type")
    for name, value in [*entry.items(), *labels.items()]:
        if not isinstance(value, str):
            raise Poison(f"{name[:60]} must be a string", code="wrong_type")
    return Draft(
        application=application,
        kind=kind_named(entry["kind"]) if "kind" in entry else defaults.kind,
        contents={name: entry[name] for name in CONTENT_FIELDS if name in entry},
        collection=entry.get("collection", defaults.collection),
        subject=entry.get("subject", defaults.subject),
        group=entry.get("group", defaults.group),
        labels={**defaults.labels, **labels},
    )


def draft_of_text(body: bytes, application: str, defaults: Defaults) -> Draft:
    """A plain-text or Markdown body: one document.

    Raises:
        Poison: ``bad_encoding``.
    """
    return Draft(
        application=application,
        kind=Kind.DOCUMENT,
        contents={"text": _text(body)},
        collection=defaults.collection,
        subject=defaults.subject,
        group=defaults.group,
        labels=defaults.labels,
    )


def draft_of_record(record: Record) -> Draft:
    """A protobuf record as a draft.

    Raises:
        Poison: ``unknown_kind``; ``payload_not_accepted``: only ingest itself moves contents
            to the artifact store, a reference from outside could name another one's object.
    """
    if record.kind not in KIND_OF:
        raise Poison(f"kind {record.kind} is not known", code="unknown_kind")
    if record.HasField("payload"):
        raise Poison("send the contents, not a reference", code="payload_not_accepted")
    contents = {name: getattr(record, name) for name in CONTENT_FIELDS}
    return Draft(
        application=record.application,
        kind=KIND_OF[record.kind],
        contents={name: text for name, text in contents.items() if text},
        collection=record.collection,
        subject=record.subject,
        group=record.group,
        labels=dict(record.labels),
    )


def for_application(draft: Draft, application: str) -> Draft:
    """``draft`` as a record of the application that the caller's key stands for.

    Raises:
        Poison: ``wrong_application`` when it names another one.
    """
    if draft.application not in {"", application}:
        raise Poison(
            f"the key is {application}'s, the record says {draft.application[:63]!r}",
            code="wrong_application",
        )
    return replace(draft, application=application)


def received(
    draft: Draft, record_id: str, payload: Artifact | None, now: datetime
) -> RecordReceived:
    """The event; contents are inline unless they travel as ``payload``."""
    event = RecordReceived(
        record_id=record_id,
        record=Record(
            application=draft.application,
            kind=KIND_ON_WIRE[draft.kind],
            collection=draft.collection,
            subject=draft.subject,
            group=draft.group,
            labels=draft.labels,
        ),
    )
    event.received_at.FromDatetime(now)
    if payload is not None:
        event.record.payload.CopyFrom(payload)
        return event
    for name, text in draft.contents.items():
        setattr(event.record, name, text)
    return event


def _object(line: bytes) -> dict[str, Any]:
    if _depth(line) > MAX_DEPTH:
        raise Poison(f"nested deeper than {MAX_DEPTH}", code="nested_too_deep")
    try:
        entry = json.loads(_text(line), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Poison(f"not JSON: {str(error)[:200]}", code="bad_json") from error
    if not isinstance(entry, dict):
        raise Poison("a line must be a JSON object", code="wrong_type")
    return entry


def _depth(line: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", line)):
        depth += 1 if bracket.group() in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Poison(
            f"not UTF-8: {error.reason} at byte {error.start}", code="bad_encoding"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        raise Poison("a field is given twice", code="duplicate_field")
    return entry


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
