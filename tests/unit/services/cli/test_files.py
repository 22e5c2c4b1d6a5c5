"""What a person types or hands in, and what the command makes of it."""

import json
from pathlib import Path

import pytest

from libs.faults import Poison
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from services.cli.applications import read_application
from services.cli.lineage import nearest_rows
from services.cli.upload import records_of


def test_an_application_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("name: support\nrollout: {stages: [{share: 0.05, requests: 20}]}\n")

    application = read_application(path)

    assert application.name == "support"
    assert application.rollout.stages[0].requests == 20


def test_a_misspelt_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("name: support\nroll_out: {}\n")

    with pytest.raises(Poison, match="roll_out"):
        read_application(path)


def test_a_jsonl_file_gives_a_record_a_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    lines = [{"prompt": "a", "answer": "b"}, {"kind": "document", "text": "c"}]
    path.write_text("\n\n".join(json.dumps(line) for line in lines))

    first, second = records_of(path, Record(collection="new"))

    assert (first.kind, first.prompt) == (RecordKind.RECORD_KIND_EXAMPLE, "a")
    assert (second.kind, second.collection) == (RecordKind.RECORD_KIND_DOCUMENT, "new")


def test_a_bad_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "a", "answer": "b"}\n{"prompt": 7}\n')

    with pytest.raises(Poison, match=r"pairs\.jsonl:2"):
        list(records_of(path, Record()))


def test_markdown_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Title\n\nText\n")

    (record,) = records_of(path, Record())

    assert record.kind == RecordKind.RECORD_KIND_DOCUMENT


def test_the_nearest_rows_share_the_most_words() -> None:
    rows = [{"prompt": "close my account"}, {"prompt": "open a window"}, {"prompt": "my card"}]

    nearest = nearest_rows("how do I close my account", rows, 2)

    assert [row["prompt"] for row in nearest] == ["close my account", "my card"]
