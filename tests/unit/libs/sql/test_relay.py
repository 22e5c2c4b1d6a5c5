import asyncio
from pathlib import Path

import sqlalchemy as sa

from libs.events.topics import EVALUATION_FAILED
from libs.kafka.memory import MemoryBroker
from libs.sql.engine import connect
from libs.sql.outbox import OutboxSink, add_outbox
from libs.sql.relay import OutboxRelay
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationFailed

METADATA = sa.MetaData()
OUTBOX = add_outbox(METADATA)
EVENT = EvaluationFailed(campaign_id="c", application="bank")


async def test_a_commit_wakes_the_relay_at_once(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/store.db")
    METADATA.create_all(engine)
    broker = MemoryBroker()
    stop = asyncio.Event()

    async with OutboxRelay(engine, OUTBOX, broker.sink()) as relay:
        serving = asyncio.create_task(relay.serve(stop))
        with engine.begin() as connection:
            OutboxSink(connection, OUTBOX).send(EVALUATION_FAILED, EVENT)
        async with asyncio.timeout(10):
            while not broker.events(EVALUATION_FAILED):  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.001)
        stop.set()
        await serving

    assert broker.events(EVALUATION_FAILED) == [EVENT]


async def test_what_was_stored_while_stopping_still_leaves(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/store.db")
    METADATA.create_all(engine)
    broker = MemoryBroker()

    async with OutboxRelay(engine, OUTBOX, broker.sink()):
        with engine.begin() as connection:
            OutboxSink(connection, OUTBOX).send(EVALUATION_FAILED, EVENT)

    assert broker.events(EVALUATION_FAILED) == [EVENT]
