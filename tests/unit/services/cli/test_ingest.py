"""`perennial ingest` as it is typed, against a door that notes what comes in."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from protos.ingest.v1 import ingest_service_pb2_grpc as stubs
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from protos.ingest.v1.ingest_service_pb2 import Rejection, UploadRequest, UploadResponse
from services.cli.__main__ import main

GOOD = '{"prompt": "a", "answer": "b"}\n'


class Door(stubs.IngestServiceServicer):
    """Refuses records whose answer is "no"."""

    def __init__(self) -> None:
        self.came: list[Record] = []

    def Upload(
        self, request_iterator: Iterator[UploadRequest], context: grpc.ServicerContext
    ) -> UploadResponse:
        came = [request.record for request in request_iterator]
        self.came += came
        refused = [at for at, record in enumerate(came, 1) if record.answer == "no"]
        return UploadResponse(
            accepted=len(came) - len(refused),
            rejected=len(refused),
            rejections=[Rejection(line=at, code="bad_answer", reason="no") for at in refused],
        )


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The stack of this test: one door, and the key of `bank`."""
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = Door()
    stubs.add_IngestServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (tmp_path / "endpoints.json").write_text(json.dumps({"ingest.rpc": f"127.0.0.1:{port}"}))
    (tmp_path / "keys.json").write_text(json.dumps({"bank": "pk-bank"}))
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield servicer
    server.stop(None).wait()


def perennial(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr("sys.argv", ["perennial", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "not JSON (Expecting property name"),
        ("all: setup", "one object a line is expected"),
        ("[1]", "a line must be a JSON object"),
        ('{"prompt": 7}', "prompt"),
        ('{"promt": "a"}', "promt"),
        ('{"kind": "poem"}', "kind 'poem'; one of document, evaluation_case, example"),
        ("\udcff", "utf-8"),
        ('{"prompt": "[/red]' + "a" * 2**22 + '"}', "longer than"),
    ],
)
def test_one_bad_line_is_named_and_nothing_of_any_file_is_sent(
    bad: str,
    told: str,
    door: Door,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("good.jsonl").write_text(GOOD * 3)
    Path("bad.jsonl").write_bytes(f"{GOOD}\n{bad}\n{GOOD}".encode(errors="surrogateescape"))

    assert perennial(monkeypatch, "ingest", "good.jsonl", "bad.jsonl", "-a", "bank") == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("failed: bad.jsonl:3: ")
    assert told in line
    assert door.came == []


@pytest.mark.parametrize("name", ["absent.jsonl", "."])
def test_what_is_no_file_is_a_word_that_is_refused(
    name: str, door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert perennial(monkeypatch, "ingest", name, "-a", "bank") == 2

    told = capsys.readouterr().err
    assert name in told
    assert "Traceback" not in told


def test_a_lines_own_fields_win_over_the_options(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        {"text": "a"},
        {"kind": "example", "prompt": "a", "answer": "b", "collection": "its own"},
        {"text": "c", "collection": ""},
    ]
    Path("some.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    Path("page.md").write_text("# Title")

    words = ("--kind", "document", "--collection", "new")
    assert perennial(monkeypatch, "ingest", "some.jsonl", "page.md", "-a", "bank", *words) == 0

    assert [(record.kind, record.collection) for record in door.came] == [
        (RecordKind.RECORD_KIND_DOCUMENT, "new"),
        (RecordKind.RECORD_KIND_EXAMPLE, "its own"),
        (RecordKind.RECORD_KIND_DOCUMENT, ""),
        (RecordKind.RECORD_KIND_DOCUMENT, "new"),
    ]
    assert {record.application for record in door.came} == {"bank"}


def test_a_line_that_ingest_refuses_is_named_as_it_stands_in_the_file(
    door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("some.jsonl").write_text(GOOD + "\n\n" + GOOD.replace("b", "no"))

    assert perennial(monkeypatch, "ingest", "some.jsonl", "-a", "bank", "--json") == 1

    told = capsys.readouterr()
    assert told.err == "some.jsonl:4: bad_answer: no\n"
    assert json.loads(told.out) == [{"file": "some.jsonl", "accepted": 1, "rejected": 1}]


def test_a_pipe_is_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert perennial(monkeypatch, "ingest", "/dev/null", "-a", "bank") == 1

    assert "which a pipe cannot be" in capsys.readouterr().err
