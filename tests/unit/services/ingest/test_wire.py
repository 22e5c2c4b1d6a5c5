"""JSON lines and protobuf records as drafts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from services.ingest import wire
from services.ingest.domain import Draft, Kind
from services.ingest.wire import Defaults

DEFAULTS = Defaults(group="doc-1", labels={"domain": "bank", "lang": "en"})


def test_a_line_takes_what_the_upload_says_and_overrides_it() -> None:
    line = b'{"prompt": "How?", "answer": "So.", "labels": {"lang": "de"}, "subject": "anna"}'

    draft = wire.draft_of_line(line, "bank", DEFAULTS)

    assert draft == Draft(
        application="bank",
        kind=Kind.EXAMPLE,
        contents={"prompt": "How?", "answer": "So."},
        subject="anna",
        group="doc-1",
        labels={"domain": "bank", "lang": "de"},
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "bad_json"),
        (b'{"prompt": NaN}', "bad_json"),
        (b'{"prompt": ' + b"1" * 5000 + b"}", "bad_json"),
        (b"[" * 100_000, "nested_too_deep"),
        (b'"' + b'\\"' * 500_000, "bad_json"),
        (b'"' + b'\\"' * 500_000 + b"\\", "bad_json"),
        (b'{"labels": ' + b"[" * 16 + b"]" * 16 + b"}", "nested_too_deep"),
        (b'{"prompt": "\xff"}', "bad_encoding"),
        (b"[1]", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b'{"prompt": 7}', "wrong_type"),
        (b'{"labels": {"a": 1}}', "wrong_type"),
        (b'{"labels": "a"}', "wrong_type"),
        (b'{"kind": "poem"}', "unknown_kind"),
        (b'{"kind": 3}', "wrong_type"),
        (b'{"application": "shop"}', "unknown_field"),
        (b'{"prompt": "a", "prompt": "b"}', "duplicate_field"),
    ],
)
def test_a_bad_line_is_refused_with_its_code(line: bytes, code: str) -> None:
    with pytest.raises(Poison) as caught:
        wire.draft_of_line(line, "bank", DEFAULTS)

    assert caught.value.code == code


def test_brackets_inside_strings_are_no_depth() -> None:
    line = b'{"prompt": "' + b"[" * 50 + b'\\"{{", "answer": "x"}'

    assert wire.draft_of_line(line, "bank", DEFAULTS).contents["answer"] == "x"


@given(st.binary(max_size=200))
def test_no_line_gets_past_as_anything_but_a_draft_or_a_poison(line: bytes) -> None:
    try:
        draft = wire.draft_of_line(line, "bank", DEFAULTS)
    except Poison:
        return

    assert isinstance(draft, Draft)


def test_a_reference_from_outside_is_refused() -> None:
    record = Record(
        kind=RecordKind.RECORD_KIND_DOCUMENT, payload=Artifact(uri="s3://perennial/sha256/00")
    )

    with pytest.raises(Poison) as caught:
        wire.draft_of_record(record)

    assert caught.value.code == "payload_not_accepted"


def test_a_key_cannot_write_into_another_application() -> None:
    record = Record(application="shop", kind=RecordKind.RECORD_KIND_DOCUMENT, text="x")

    with pytest.raises(Poison) as caught:
        wire.for_application(wire.draft_of_record(record), "bank")

    assert caught.value.code == "wrong_application"
