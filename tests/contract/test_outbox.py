"""The outbox and its relay, the same on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from libs.events import headers
from libs.events.topics import EVALUATION_FAILED
from libs.faults import Poison, Retryable
from libs.kafka.memory import MemoryBroker, MemorySink
from libs.sql.engine import connect
from libs.sql.outbox import OutboxBatch, OutboxSink, add_outbox
from libs.sql.relay import OutboxRelay, one_at_a_time
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationFailed

METADATA = sa.MetaData()
OUTBOX = add_outbox(METADATA, "outbox_contract")


@dataclass
class DeadSink(MemorySink):
    """Takes records and never gets an acknowledgement."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)

    def flush(self) -> None:
        self.queued.clear()
        raise Retryable("the broker is away")


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    engine = connect(sql_url)
    METADATA.drop_all(engine)
    METADATA.create_all(engine)
    yield engine
    METADATA.drop_all(engine)
    engine.dispose()


def failed(campaign: str) -> EvaluationFailed:
    return EvaluationFailed(campaign_id=campaign, application="bank", code="x")


def test_events_leave_in_order_with_the_ids_they_were_given(engine: Engine) -> None:
    broker = MemoryBroker()
    with engine.begin() as connection:
        sink = OutboxSink(connection, OUTBOX)
        sent = [sink.send(EVALUATION_FAILED, failed(name)) for name in "abc"]

    left = OutboxRelay(engine, OUTBOX, broker.sink()).step()

    log = broker.logs[EVALUATION_FAILED.name]
    assert left == 3
    assert [event.campaign_id for event in broker.events(EVALUATION_FAILED)] == ["a", "b", "c"]
    assert [headers.get(record.headers, headers.EVENT_ID) for record in log] == sent
    assert {record.key for record in log} == {b"bank"}


def test_a_batch_is_stored_when_it_is_flushed(engine: Engine) -> None:
    broker = MemoryBroker()
    with engine.begin() as connection:
        batch = OutboxBatch(connection, OUTBOX)
        for name in "abc":
            batch.send(EVALUATION_FAILED, failed(name))
        batch.flush()
        batch.flush()

    OutboxRelay(engine, OUTBOX, broker.sink()).step()

    assert [event.campaign_id for event in broker.events(EVALUATION_FAILED)] == ["a", "b", "c"]


def test_an_event_of_a_transaction_that_failed_is_never_sent(engine: Engine) -> None:
    broker = MemoryBroker()
    with engine.begin() as connection:
        OutboxSink(connection, OUTBOX).send(EVALUATION_FAILED, failed("a"))
        connection.rollback()

    assert OutboxRelay(engine, OUTBOX, broker.sink()).step() == 0


def test_an_acknowledged_event_is_not_sent_again(engine: Engine) -> None:
    broker = MemoryBroker()
    relay = OutboxRelay(engine, OUTBOX, broker.sink())
    store(engine, "a")

    assert (relay.step(), relay.step()) == (1, 0)


def test_events_wait_while_the_broker_is_away_and_keep_their_id(engine: Engine) -> None:
    broker = MemoryBroker()
    event_id = store(engine, "a")
    with pytest.raises(Retryable):
        OutboxRelay(engine, OUTBOX, DeadSink()).step()

    OutboxRelay(engine, OUTBOX, broker.sink()).step()

    [record] = broker.logs[EVALUATION_FAILED.name]
    assert headers.get(record.headers, headers.EVENT_ID) == event_id


def test_a_second_relay_stands_by(engine: Engine) -> None:
    broker = MemoryBroker()
    relay = OutboxRelay(engine, OUTBOX, broker.sink())
    store(engine, "a")

    with one_at_a_time(engine, OUTBOX.name) as mine:
        assert mine
        assert relay.step() == 0

    assert relay.step() == 1


def test_an_oversize_event_is_refused_at_the_door(engine: Engine) -> None:
    huge = EvaluationFailed(campaign_id="a", application="bank", reason="x" * 300_000)

    with pytest.raises(Poison, match="artifact store"), engine.begin() as connection:
        OutboxSink(connection, OUTBOX).send(EVALUATION_FAILED, huge)


def store(engine: Engine, campaign: str) -> str:
    with engine.begin() as connection:
        return OutboxSink(connection, OUTBOX).send(EVALUATION_FAILED, failed(campaign))
