"""What a record is, which ones are refused, and the identity of their content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

EVENT_NAMESPACE: Final = UUID("6f2b7a52-5d0e-5c3a-9a44-3f1f6f0b8d11")
MAX_NAME_CHARS: Final = 256
"""Of a collection, subject or group, and of a label's value."""
MAX_LABEL_NAME_CHARS: Final = 64
MAX_LABELS: Final = 32


class Kind(StrEnum):
    DOCUMENT = "document"
    EXAMPLE = "example"
    PREFERENCE = "preference"
    EVALUATION_CASE = "evaluation_case"


FIELDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.DOCUMENT: ("text",),
    Kind.EXAMPLE: ("prompt", "answer"),
    Kind.PREFERENCE: ("prompt", "chosen", "rejected"),
    Kind.EVALUATION_CASE: ("prompt", "answer"),
}
CONTENT_FIELDS: Final = ("text", "prompt", "answer", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as somebody handed it in."""

    application: str
    kind: Kind
    contents: Mapping[str, str]
    collection: str = ""
    subject: str = ""
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is not taken; ``code`` is a constant."""

    code: str
    reason: str


def objection(draft: Draft, max_field_bytes: int) -> Refusal | None:
    """The first rule that ``draft`` breaks; None when it may come in."""
    return (
        _of_fields(draft)
        or _of_sizes(draft, max_field_bytes)
        or _of_names(draft)
        or _of_labels(draft.labels)
    )


def _of_fields(draft: Draft) -> Refusal | None:
    wanted = FIELDS[draft.kind]
    for name in draft.contents:
        if name not in wanted:
            return Refusal("field_not_of_kind", f"a record of kind {draft.kind} has no {name}")
    for name in wanted:
        if not draft.contents.get(name, "").strip():
            return Refusal("missing_field", f"a record of kind {draft.kind} needs {name}")
    return None


def _of_sizes(draft: Draft, max_field_bytes: int) -> Refusal | None:
    for name, text in draft.contents.items():
        if not _encodable(text):
            return Refusal("bad_unicode", f"{name} holds half of a surrogate pair")
        if (size := len(text.encode())) > max_field_bytes:
            return Refusal(
                "field_too_large", f"{name} is {size} bytes, more than {max_field_bytes}"
            )
    return None


def _of_names(draft: Draft) -> Refusal | None:
    names = {"collection": draft.collection, "subject": draft.subject, "group": draft.group}
    for name, value in names.items():
        if refusal := _of_name(name, value, MAX_NAME_CHARS):
            return refusal
    return None


def _of_labels(labels: Mapping[str, str]) -> Refusal | None:
    if len(labels) > MAX_LABELS:
        return Refusal("too_many_labels", f"{len(labels)} labels, more than {MAX_LABELS}")
    for name, value in labels.items():
        if not name:
            return Refusal("bad_name", "a label has an empty name")
        refusal = _of_name("label name", name, MAX_LABEL_NAME_CHARS)
        if refusal := refusal or _of_name(f"label {name}", value, MAX_NAME_CHARS):
            return refusal
    return None


def _of_name(what: str, value: str, max_chars: int) -> Refusal | None:
    if len(value) > max_chars:
        return Refusal("name_too_long", f"{what[:80]} is longer than {max_chars} characters")
    if not _encodable(value) or any(ord(char) < 32 or ord(char) == 127 for char in value):
        return Refusal("bad_name", f"{what[:80]!r} holds control characters")
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical(value: object) -> bytes:
    """JSON with one spelling: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def record_id(draft: Draft) -> str:
    """sha256 (hex) over everything that makes the record what it is.

    The same record handed in again has the same id, through whichever door it comes.
    """
    identity = {
        "application": draft.application,
        "kind": draft.kind.value,
        "collection": draft.collection,
        "subject": draft.subject,
        "group": draft.group,
        "labels": dict(draft.labels),
        "contents": dict(draft.contents),
    }
    return hashlib.sha256(canonical(identity)).hexdigest()


def event_id(record_id: str) -> str:
    """The id of the event that announces a record: repeats of it can be told by the id alone."""
    return str(uuid5(EVENT_NAMESPACE, record_id))
