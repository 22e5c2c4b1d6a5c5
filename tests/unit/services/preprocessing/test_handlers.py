"""From events to rows and datasets, over the consumer loop and a real database."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.exc import OperationalError

from libs.events.topics import RECORD_RECEIVED
from libs.faults import Retryable
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from protos.preprocessing.v1.preprocessing_events_pb2 import RowFilter
from services.preprocessing.adapters.tables import METADATA
from services.preprocessing.domain.rows import Side

from .fakes import Bench, case, pair, sqlite_at

LONG = "You can change the limit in the app under settings, cards, limits, and confirm it twice."


def fill(bench: Bench, count: int = 40, collection: str = "", at: int = 0) -> None:
    for n in range(count):
        text = f"answer number {n} is made of words {n * 7} and {n * 13}"
        label = "a" if n % 2 else "b"
        record = pair(f"question number {n}?", text, label=label, collection=collection)
        bench.receive(f"{collection}{n:03}", record, at)


def test_a_repeated_record_changes_nothing() -> None:
    bench = Bench()
    for _ in range(3):
        bench.receive("r1", pair("How do I pay?", "With a card."))

    bench.run()

    assert [row.record_id for row in bench.rows()] == ["r1"]
    assert bench.rejected() == []
    assert bench.counted == {"kept": 1}


def test_a_repeated_bad_record_is_rejected_once() -> None:
    bench = Bench()
    for _ in range(2):
        bench.receive("r1", pair("How do I pay?", "..."))

    bench.run()

    assert bench.rejected() == [("r1", "no_words")]


def test_duplicates_are_rejected_with_their_code() -> None:
    bench = Bench()
    bench.receive("r1", pair("How do I change my limit?", LONG))
    bench.receive("r2", pair("how do i change my limit?", LONG))
    bench.receive("r3", pair("How do I change my limit?", LONG + " Really."))
    bench.receive("r4", pair("How do I change my address?", "Write to us, with your new one."))

    bench.run()

    assert bench.rejected() == [("r2", "exact_duplicate"), ("r3", "near_duplicate")]
    assert bench.counted["kept"] == 2


def test_another_applications_rows_are_no_duplicates() -> None:
    bench = Bench()
    other = pair("How do I pay?", "With a card.")
    other.application = "shop"
    bench.receive("r1", pair("How do I pay?", "With a card."))
    bench.receive("r2", other)

    bench.run()

    assert bench.rejected() == []


def test_an_evaluation_case_takes_the_place_of_a_training_row() -> None:
    bench = Bench()
    asked = next(f"Question {n}, please?" for n in range(99) if _side(f"Question {n}, please?"))
    bench.receive("r1", pair(asked, "With a card."))
    bench.receive("c1", case(asked, "With a card."))
    bench.receive("c2", case(asked, "With a card."))

    bench.run()

    assert [(row.record_id, row.side) for row in bench.rows()] == [("c1", Side.HELD_OUT)]
    assert bench.rejected() == [("r1", "held_out_by_evaluation_case"), ("c2", "exact_duplicate")]


def _side(prompt: str) -> bool:
    bench = Bench()
    bench.receive("x", pair(prompt, "x"))
    bench.run()
    return bench.rows()[0].side is Side.TRAIN


def test_contents_in_the_artifact_store_are_fetched() -> None:
    bench = Bench()
    payload = bench.store.put(json.dumps({"text": "A long document. " * 3}).encode(), "x")
    kind = RecordKind.RECORD_KIND_DOCUMENT
    bench.receive("r1", Record(application="bank", kind=kind, payload=payload))

    bench.run()

    assert bench.counted == {"kept": 1}


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (Record(application="bank"), "unknown_kind"),
        (pair("How?", "So.", group="a\x00"), "bad_name"),
        (pair("How?", "So.", subject="s" * 600), "bad_name"),
    ],
)
def test_a_malformed_event_is_dead_lettered_and_the_next_one_kept(
    record: Record, code: str
) -> None:
    bench = Bench()
    bench.receive("r1", record)
    bench.receive("r2", pair("How do I pay?", "With a card."))

    bench.run()

    dead = bench.broker.logs[RECORD_RECEIVED.dead_letters]
    assert [dict(record.headers)["dlq-code"] for record in dead] == [code.encode()]
    assert len(bench.rows()) == 1


def test_a_correction_becomes_an_example_with_its_event_as_source() -> None:
    bench = Bench()
    bench.correct("f1", 1, "Really with a card.", prompt="How do I pay?", group="g")

    bench.run()

    (row,) = bench.rows()
    assert (row.prompt, row.answer, row.group) == ("How do I pay?", "Really with a card.", "g")
    assert row.source.topic == "feedback.joined.v1"


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (1, 2, 1), (2, 2, 1)])
def test_the_newest_version_of_a_correction_wins_in_any_order(order: tuple[int, ...]) -> None:
    bench = Bench()
    for version in order:
        bench.correct("f1", version, f"Answer of version {version}.")

    bench.run()

    assert [row.answer for row in bench.rows()] == ["Answer of version 2."]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_withdrawn_correction_is_no_row_in_any_order(order: tuple[int, ...]) -> None:
    bench = Bench()
    for version in order:
        bench.correct("f1", version, "With a card.", withdrawn=version == 2)

    bench.run()

    assert bench.rows() == []


def test_a_rating_alone_is_no_row() -> None:
    bench = Bench()
    bench.correct("f1", 1, "")

    bench.run()

    assert bench.rows() == []
    assert bench.rejected() == []


def test_a_dataset_has_the_columns_and_the_manifest_that_names_it() -> None:
    bench = Bench()
    fill(bench)
    bench.ask("c1", segment_label="domain", max_train_rows_per_segment=5)

    bench.run()

    (version,) = bench.versioned()
    train = pq.read_table(io.BytesIO(bench.store.get(version.train, 10**7)))
    assert train.column_names == [
        "record_id", "prompt", "answer", "segment", "group", "subject", "topic", "partition",
        "offset", "event_id",
    ]  # fmt: skip
    assert train.num_rows == 10
    assert [(s.segment, s.train) for s in version.segments] == [("a", 5), ("b", 5)]
    manifest = json.loads(bench.store.get(version.manifest, 10**7))
    assert version.dataset_digest == version.manifest.sha256
    assert manifest["train"]["sha256"] == version.train.sha256
    assert manifest["train"]["sources"][0]["topic"] == "ingest.record-received.v1"


def test_a_dataset_of_a_period_says_so_in_its_manifest_and_has_its_rows_only() -> None:
    bench = Bench()
    fill(bench, at=1_000)
    for number in range(12):
        bench.correct(f"f{number}", 1, f"it costs {number} and {number * 17}", served_at=5_000)
    since = Timestamp(seconds=5_000)
    bench.ask("c1", only=RowFilter(since=since, segment="language=en"))
    bench.ask("c2", max_train_rows_per_segment=1, always=RowFilter(since=since))
    bench.ask("c3", only=RowFilter(segment="route=x"))

    bench.run()

    corrections = {row.record_id for row in bench.rows() if row.occurred_at == 5_000.0}
    trained = [table["record_id"] for table in map(bench.trained, bench.versioned())]
    stored = json.loads(bench.store.get(bench.versioned()[0].manifest, 2**20))
    [refused] = bench.refused()
    assert {*trained[0]} < corrections
    assert {*trained[0]} < {*trained[1]}
    assert len(trained[1]) == len(trained[0]) + 1
    assert stored["query"]["only"] == {"since": 5_000.0, "until": None, "segment": "language=en"}
    assert "always" not in stored["query"]
    assert (refused.campaign_id, refused.code) == ("c3", "unknown_segment")


def test_a_record_without_a_time_occurred_when_it_was_produced() -> None:
    bench = Bench()
    bench.receive("r1", pair("How do I pay?", "With a card."))

    bench.run()

    assert bench.rows()[0].occurred_at > 0


def test_the_same_rows_in_another_order_of_requests_give_the_same_digest() -> None:
    bench = Bench()
    fill(bench)
    bench.ask("c1")
    bench.ask("c2")

    bench.run()

    one, other = bench.versioned()
    assert one.dataset_digest == other.dataset_digest
    assert one.campaign_id != other.campaign_id


def test_a_repeated_request_is_answered_with_the_first_answer() -> None:
    bench = Bench()
    fill(bench)
    bench.ask("c1")
    bench.run()
    fill(bench, collection="more")
    bench.ask("c1")

    bench.run()

    one, other = bench.versioned()
    assert one == other


def test_an_empty_application_is_refused() -> None:
    bench = Bench()
    bench.ask("c1")

    bench.run()

    assert [(each.campaign_id, each.code) for each in bench.refused()] == [
        ("c1", "no_training_rows")
    ]


def test_a_dataset_waits_for_the_rows_before_it_but_not_for_ever() -> None:
    bench = Bench()
    fill(bench)
    bench.ask("c1")
    bench.backlog.read = False

    bench.run()
    assert bench.versioned() == []
    bench.clock.advance(61)
    bench.run()

    assert len(bench.versioned()) == 1


def test_a_crash_before_the_commit_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    bench = Bench(engine=sqlite_at(tmp_path))
    fill(bench, count=5)
    loop = bench.loop()
    loop.before_commit = _crash

    with pytest.raises(RuntimeError):
        loop.step()
    assert bench.rows() == []
    bench.run()

    assert len(bench.rows()) == 5


def _crash() -> None:
    raise RuntimeError("killed")


def test_a_store_that_is_away_leaves_the_request_pending() -> None:
    bench = Bench()
    fill(bench)
    bench.ask("c1")
    loop = bench.loop()
    while loop.step():
        pass

    class Away:
        def __call__(self, _: object) -> None:
            raise Retryable("the store is away")

    cut, bench.cutter.cut = bench.cutter.cut, Away()
    with pytest.raises(Retryable):
        bench.cutter.step()
    bench.cutter.cut = cut

    assert bench.cutter.step() == 1


def test_a_batch_is_kept_for_another_try_while_the_database_is_away(tmp_path: Path) -> None:
    bench = Bench(engine=sqlite_at(tmp_path))
    bench.receive("r1", pair("How do I pay?", "With a card."))
    bench.receive("r2", pair("how do i pay?", "With a card."))
    loop = bench.loop()
    commit, refusals = loop.before_commit, [Retryable("locked"), Retryable("locked")]

    def away_at_first() -> None:
        if refusals:
            METADATA.drop_all(bench.engine)
            with pytest.raises(OperationalError):
                commit()
            METADATA.create_all(bench.engine)
            raise refusals.pop()
        commit()

    loop.before_commit, loop.sleep = away_at_first, lambda _: None
    loop.step()

    assert [row.record_id for row in bench.rows()] == ["r1"]
    assert bench.counted == {"kept": 1, "exact_duplicate": 1}


def test_a_row_of_this_very_batch_can_be_taken_out_again() -> None:
    bench = Bench()
    bench.correct("f1", 1, "With a card.")
    bench.correct("f1", 2, "Not at all, please.")
    bench.correct("f2", 1, "With a card.", prompt="What about f1?")

    bench.run()

    assert [row.answer for row in bench.rows()] == ["Not at all, please.", "With a card."]
    assert [code for _, code in bench.rejected()] == ["replaced_by_newer_feedback"]


def test_likes_are_found_across_batches_and_within_one() -> None:
    bench = Bench()
    bench.receive("r1", pair("How do I change my limit?", LONG))
    bench.run()
    bench.receive("r2", pair("How do I change my limit?", LONG + " Really."))
    bench.receive("r3", pair("Where is my card then?", LONG.replace("limit", "card") + " Once."))
    bench.receive("r4", pair("Where is my card then?", LONG.replace("limit", "card") + " Twice."))

    bench.run()

    assert bench.rejected() == [("r2", "near_duplicate"), ("r4", "near_duplicate")]


def test_a_batch_with_much_text_is_committed_before_it_grows() -> None:
    bench = Bench()
    payload = bench.store.put(json.dumps({"text": "A long document. " * 100_000}).encode(), "x")
    kind = RecordKind.RECORD_KIND_DOCUMENT
    for number in range(8):
        record = Record(application="bank", kind=kind, payload=payload, group=str(number))
        bench.receive(f"r{number}", record)
    loop = bench.loop()
    loop.before_commit = _crash

    with pytest.raises(RuntimeError):
        loop.step()
    early = sum(bench.counted.values())
    bench.run()

    assert 0 < early < 8
    assert bench.counted == {"repetitive": 8}
