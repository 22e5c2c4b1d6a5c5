"""The HTTP door."""

import json

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from libs.events.topics import RECORD_RECEIVED
from protos.ingest.v1.ingest_events_pb2 import RecordKind
from services.ingest.http import Lines

from .fakes import KEY, MAX_LINE_BYTES, Ingest

BEARER = {"authorization": f"Bearer {KEY}"}
JSON_LINES = {**BEARER, "content-type": "application/x-ndjson"}


def pair(number: int) -> bytes:
    return json.dumps({"prompt": f"Question {number}?", "answer": f"Answer {number}."}).encode()


def test_good_lines_go_on_and_bad_ones_are_answered_with_number_code_and_reason() -> None:
    ingest = Ingest()
    body = b"\n".join([pair(1), b"{oops", b"", pair(2), b'{"prompt": "alone"}', pair(3)])

    answer = TestClient(ingest.app()).post("/v1/records", content=body, headers=JSON_LINES)

    assert answer.status_code == 200
    assert answer.json()["accepted"] == 3
    assert [(each["line"], each["code"]) for each in answer.json()["rejections"]] == [
        (2, "bad_json"),
        (5, "missing_field"),
    ]
    assert [event.record.prompt for event in ingest.received()] == [
        f"Question {number}?" for number in (1, 2, 3)
    ]


def test_an_upload_repeated_announces_the_same_ids() -> None:
    ingest = Ingest()
    client = TestClient(ingest.app())

    for _ in range(2):
        client.post("/v1/records", content=pair(1), headers=JSON_LINES)

    first, second = ingest.broker.logs[RECORD_RECEIVED.name]
    assert dict(first.headers)["event-id"] == dict(second.headers)["event-id"]
    assert len({event.record_id for event in ingest.received()}) == 1


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
def test_without_a_known_key_nothing_is_read(headers: dict[str, str]) -> None:
    ingest = Ingest()

    answer = TestClient(ingest.app()).post("/v1/records", content=pair(1), headers=headers)

    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert ingest.received() == []


def test_a_line_above_the_bound_is_rejected_and_the_next_one_taken() -> None:
    ingest = Ingest()
    body = b'{"prompt": "' + b"x" * MAX_LINE_BYTES + b'"}\n' + pair(2)

    answer = TestClient(ingest.app()).post("/v1/records", content=body, headers=JSON_LINES)

    assert answer.json()["accepted"] == 1
    assert answer.json()["rejections"][0]["line"] == 1
    assert answer.json()["rejections"][0]["code"] == "line_too_long"


def test_a_body_above_the_bound_is_413() -> None:
    app = Ingest().app(max_body_bytes=1000)

    answer = TestClient(app).post("/v1/records", content=b"x" * 1001, headers=JSON_LINES)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_markdown_is_one_document_with_the_parameters_of_the_query() -> None:
    ingest = Ingest()

    answer = TestClient(ingest.app()).post(
        "/v1/records?group=g1&collection=c&labels=domain%3Dbank&labels=a%3Db=c",
        content="# Überweisung\ntext",
        headers={**BEARER, "content-type": "text/markdown; charset=utf-8"},
    )

    assert answer.json()["accepted"] == 1
    record = ingest.received()[0].record
    assert record.kind == RecordKind.RECORD_KIND_DOCUMENT
    assert (record.group, record.collection, record.text) == ("g1", "c", "# Überweisung\ntext")
    assert dict(record.labels) == {"domain": "bank", "a": "b=c"}


def test_a_form_carries_its_parameters_and_one_file() -> None:
    ingest = Ingest()

    answer = TestClient(ingest.app()).post(
        "/v1/records",
        data={"kind": "evaluation_case", "group": "g"},
        files={"file": ("cases.jsonl", pair(1), "application/x-ndjson")},
        headers=BEARER,
    )

    assert answer.json() == {"accepted": 1, "rejected": 0, "rejections": []}
    assert ingest.received()[0].record.kind == RecordKind.RECORD_KIND_EVALUATION_CASE


@pytest.mark.parametrize(
    ("path", "content_type", "code"),
    [
        ("/v1/records?colection=x", "text/plain", "unknown_parameter"),
        ("/v1/records?labels=x", "text/plain", "bad_parameter"),
        ("/v1/records?kind=poem", "text/plain", "unknown_kind"),
        ("/v1/records", "multipart/form-data", "bad_form"),
    ],
)
def test_a_request_that_makes_no_sense_is_a_400_with_its_code(
    path: str, content_type: str, code: str
) -> None:
    headers = {**BEARER, "content-type": content_type}

    answer = TestClient(Ingest().app()).post(path, content=b"x", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize("how", ["body", "part"])
def test_a_type_that_is_not_taken_is_a_415_that_says_what_to_send(how: str) -> None:
    client = TestClient(Ingest().app(), headers=BEARER)

    if how == "body":
        headers = {"content-type": "application/pdf"}
        answer = client.post("/v1/records", content=b"x", headers=headers)
    else:
        answer = client.post("/v1/records", files={"file": ("a", b"x", "application/pdf")})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.json()["detail"].startswith("send application/jsonl, application/x-ndjson, ")


def test_a_packed_body_is_a_415_before_a_line_is_read() -> None:
    headers = {**JSON_LINES, "content-encoding": "gzip"}

    answer = TestClient(Ingest().app()).post("/v1/records", content=b"\x1f\x8b", headers=headers)

    assert answer.status_code == 415
    assert answer.json()["detail"] == "send the body as it is, not as gzip"


def test_a_form_without_a_file_is_refused() -> None:
    client = TestClient(Ingest().app())

    answer = client.post("/v1/records", files={"other": ("a", b"x")}, headers=BEARER)

    assert (answer.status_code, answer.json()["code"]) == (400, "missing_file")


@given(st.lists(st.binary(max_size=8)), st.data())
def test_lines_are_the_same_however_the_body_is_cut(
    pieces: list[bytes], data: st.DataObject
) -> None:
    body = b"\n".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    lines = Lines(max_bytes=5)

    got: list[tuple[int, bytes | None]] = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        got += lines.feed(body[start:end])
    got += lines.close()

    wanted = [line if len(line) <= 5 else None for line in body.split(b"\n")]
    if wanted[-1] == b"":
        wanted.pop()
    assert got == list(enumerate(wanted, start=1))
