"""A client that no longer fetches is replaced. A paused partition is how one looks from outside."""

import asyncio
from uuid import uuid4

from libs.events.topics import APPLICATION_APPLIED, DRIFT_DETECTED
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.kafka.record import Record
from libs.kafka.table import CompactedTable
from libs.runtime.config import KafkaSettings
from protos.monitor.v1.monitor_events_pb2 import DriftDetected
from protos.registry.v1.application_pb2 import Application
from protos.registry.v1.registry_events_pb2 import ApplicationApplied
from tests.waiting import eventually

LOOK_S = 0.2
WITHIN_S = 60.0


def test_a_group_goes_on_where_it_was(brokers: str, group: str) -> None:
    settings, application = KafkaSettings(brokers=brokers), uuid4().hex
    sink = KafkaSink(settings)
    source = KafkaSource(settings, group, [DRIFT_DETECTED.name], LOOK_S)
    heard: list[Record] = []

    def send(signal: str) -> None:
        sink.send(DRIFT_DETECTED, DriftDetected(application=application, signal=signal))
        sink.flush()

    def hears(count: int) -> bool:
        records = source.poll(500, 0.2)
        heard.extend(record for record in records if record.key == application.encode())
        if records:
            source.commit(records)
        return len(heard) == count

    send("before")
    eventually(lambda: hears(1), WITHIN_S)
    deaf = source._consumer
    deaf.pause(deaf.assignment())
    send("after")

    eventually(lambda: hears(2), WITHIN_S)

    source.close()
    assert source._consumer is not deaf
    assert [DriftDetected.FromString(each.value or b"").signal for each in heard] == [
        "before",
        "after",
    ]


async def test_a_table_goes_on_where_it_was(brokers: str) -> None:
    settings, name = KafkaSettings(brokers=brokers), f"deaf-{uuid4().hex[:8]}"
    table = CompactedTable(settings, APPLICATION_APPLIED, look_every_s=LOOK_S)
    sink, stop = KafkaSink(settings), asyncio.Event()
    deaf = table._consumer

    def apply(revision: int) -> None:
        applied = ApplicationApplied(application=Application(name=name), revision=revision)
        sink.send(APPLICATION_APPLIED, applied)
        sink.flush()

    def make_deaf(key: str, event: ApplicationApplied | None) -> None:
        """In the reader's thread: a client is not to be disturbed from another one."""
        if key == name and event is not None and event.revision == 1:
            deaf.pause(deaf.assignment())

    def has(revision: int) -> bool:
        newest = table.get(name)
        return newest is not None and newest.revision == revision

    table.on_change(make_deaf)
    serving = asyncio.create_task(table.serve(stop))
    try:
        apply(1)
        await asyncio.to_thread(eventually, lambda: has(1), WITHIN_S)
        apply(2)
        await asyncio.to_thread(eventually, lambda: has(2), WITHIN_S)
    finally:
        stop.set()
        await serving

    assert table._consumer is not deaf
