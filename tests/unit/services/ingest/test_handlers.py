"""Batches, claim checks and the topic."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from google.protobuf import text_format

from libs.events.delivery import Delivery
from libs.events.topics import RECORD_SUBMITTED, Topic
from libs.faults import Poison, Retryable
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind, RecordSubmitted
from services.ingest.adapters import AnnounceInBatch
from services.ingest.domain import Draft, Kind
from services.ingest.handlers import MAX_REJECTIONS, Receipt, TakeBatch, Upload
from services.ingest.ports import Announcement

from .fakes import Ingest

ROOT = Path(__file__).parents[4]


def draft(answer: str = "So.") -> Draft:
    return Draft("bank", Kind.EXAMPLE, {"prompt": "How?", "answer": answer})


def submitted(application: str) -> Delivery[RecordSubmitted]:
    record = Record(
        application=application, kind=RecordKind.RECORD_KIND_EXAMPLE, prompt="How?", answer="So."
    )
    topic: Topic[RecordSubmitted] = RECORD_SUBMITTED
    now = datetime(2030, 1, 1, tzinfo=UTC)
    return Delivery(topic, RecordSubmitted(record=record), "e1", 0, 0, now)


def test_large_contents_travel_through_the_artifact_store() -> None:
    ingest = Ingest()

    announcement = ingest.prepare(draft(answer="long " * 60_000))

    record = announcement.event.record
    assert (record.prompt, record.answer) == ("", "")
    contents = json.loads(ingest.store.get(record.payload, max_bytes=1_000_000))
    assert contents == {"prompt": "How?", "answer": "long " * 60_000}


async def test_an_upload_holds_no_more_than_a_batch() -> None:
    ingest = Ingest(batch_records=2)
    upload = ingest.upload()

    for line in range(1, 6):
        await upload.add(line, 10, partial(draft, f"answer {line}"))

    assert len(ingest.received()) == 4
    assert (await upload.finish()).accepted == 5


async def test_an_upload_fails_when_the_log_does_not_acknowledge() -> None:
    def away(announcements: Sequence[Announcement]) -> None:
        raise Retryable("the broker is away")

    upload = Upload(TakeBatch(Ingest().prepare, away), batch_records=10)
    await upload.add(1, 10, draft)

    with pytest.raises(Retryable):
        await upload.finish()

    assert upload.receipt.accepted == 0


async def test_a_log_that_hangs_is_not_waited_for() -> None:
    ended = threading.Event()

    def hang(announcements: Sequence[Announcement]) -> None:
        ended.wait(10)

    upload = Upload(TakeBatch(Ingest().prepare, hang, announce_s=0.001), batch_records=1)

    with pytest.raises(Retryable, match="send the same again later"):
        await upload.add(1, 10, draft)
    ended.set()


async def test_rejections_above_the_bound_are_counted_but_not_told() -> None:
    def bad() -> Draft:
        raise Poison("bad", code="bad")

    receipt = Receipt()

    await TakeBatch(Ingest().prepare, AnnounceInBatch(Ingest().broker.sink()))(
        ((line, bad) for line in range(MAX_REJECTIONS + 5)), receipt
    )

    assert (receipt.rejected, len(receipt.rejections)) == (MAX_REJECTIONS + 5, MAX_REJECTIONS)


def test_a_published_record_of_a_known_application_is_received() -> None:
    ingest = Ingest()
    handler = ingest.on_submitted()

    handler(submitted("bank"))
    handler.announce.sink.flush()  # type: ignore[attr-defined]  # what the loop does

    assert ingest.received()[0].record.answer == "So."


def test_the_topics_example_is_received() -> None:
    text = (ROOT / "protos/examples/ingest.record-submitted.v1.txtpb").read_text()
    event = text_format.Parse(text, RecordSubmitted())
    event.record.application = "bank"
    ingest = Ingest()
    handler = ingest.on_submitted()

    handler(replace(submitted("bank"), event=event))
    handler.announce.sink.flush()  # type: ignore[attr-defined]

    assert ingest.received()[0].record.kind == RecordKind.RECORD_KIND_EXAMPLE


@pytest.mark.parametrize("application", ["shop", ""])
def test_a_published_record_of_an_unknown_application_is_poison(application: str) -> None:
    with pytest.raises(Poison) as caught:
        Ingest().on_submitted()(submitted(application))

    assert caught.value.code == "unknown_application"
