"""The sample data are what the commands of the README read."""

from pathlib import Path

from infra.demo.data import BANK, Pair
from infra.demo.sample import REFERENCE, history, line
from protos.ingest.v1.ingest_events_pb2 import Record
from services.cli.upload import records_of


def test_a_line_is_a_record_with_its_group_and_segment(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(line(Pair(BANK, "Fees", "What is free?", "A café's account.")))

    [(_, record)] = records_of(path, Record())

    assert (record.prompt, record.answer) == ("What is free?", "A café's account.")
    assert (record.group, dict(record.labels)) == ("Fees", {"segment": BANK})


def test_the_history_begins_with_its_reference_and_is_always_the_same() -> None:
    marks = [reference for reference, _ in history()]

    assert marks == sorted(marks, reverse=True)
    assert sum(marks) == REFERENCE
    assert history() == history()
