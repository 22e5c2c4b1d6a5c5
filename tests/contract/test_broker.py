"""One suite, two brokers: the twin and Apache Kafka."""

import uuid
from typing import Protocol

import pytest

from libs.events.topics import DRIFT_DETECTED
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.kafka.consumer import delivery_of
from libs.kafka.memory import MemoryBroker
from libs.kafka.record import Record, Sink, Source
from libs.runtime.config import KafkaSettings
from protos.monitor.v1.monitor_events_pb2 import DriftDetected


class Broker(Protocol):
    """The broker under test, and a key that no other test uses."""

    key: str

    def sink(self) -> Sink: ...

    def source(self, group: str) -> Source: ...


def send(broker: Broker, *signals: str) -> None:
    sink = broker.sink()
    for signal in signals:
        sink.send(DRIFT_DETECTED, DriftDetected(application=broker.key, signal=signal))
    sink.flush()


def mine(broker: Broker, records: list[Record]) -> list[Record]:
    return [record for record in records if record.key == broker.key.encode()]


def read(broker: Broker, source: Source, wanted: int) -> list[Record]:
    found: list[Record] = []
    for _ in range(60):
        found += mine(broker, source.poll(500, 0.5))
        if len(found) >= wanted:
            break
    return found


def signals(records: list[Record]) -> list[str]:
    return [delivery_of(record).event.signal for record in records]


class BrokerContract:
    def test_events_of_one_key_keep_their_order(self, broker: Broker) -> None:
        send(broker, *(str(number) for number in range(200)))
        source = broker.source(f"order-{broker.key}")

        found = signals(read(broker, source, 200))
        source.close()

        assert found == [str(number) for number in range(200)]

    def test_an_uncommitted_record_is_read_again(self, broker: Broker) -> None:
        send(broker, "once")
        group = f"again-{broker.key}"
        first = broker.source(group)
        read(broker, first, 1)
        first.close()

        second = broker.source(group)
        found = signals(read(broker, second, 1))
        second.close()

        assert found == ["once"]

    def test_a_committed_record_is_not_read_again(self, broker: Broker) -> None:
        send(broker, "old")
        group = f"behind-{broker.key}"
        first = broker.source(group)
        first.commit(read(broker, first, 1))
        first.close()
        send(broker, "new")

        second = broker.source(group)
        found = signals(read(broker, second, 1))
        second.close()

        assert found == ["new"]

    def test_headers_and_bytes_arrive_as_they_were_sent(self, broker: Broker) -> None:
        sink = broker.sink()
        sink.send_raw(DRIFT_DETECTED.name, broker.key.encode(), b"\x00\xff", (("a", b"1"),))
        sink.flush()
        source = broker.source(f"raw-{broker.key}")

        (record,) = read(broker, source, 1)
        source.close()

        assert (record.value, record.headers) == (b"\x00\xff", (("a", b"1"),))


class MemorySubject:
    def __init__(self) -> None:
        self.key = "memory"
        self._broker = MemoryBroker()

    def sink(self) -> Sink:
        return self._broker.sink()

    def source(self, group: str) -> Source:
        return self._broker.source(group, [DRIFT_DETECTED.name])


class KafkaSubject:
    def __init__(self, brokers: str) -> None:
        self.key = f"contract-{uuid.uuid4()}"
        self._settings = KafkaSettings(brokers=brokers)

    def sink(self) -> Sink:
        return KafkaSink(self._settings)

    def source(self, group: str) -> Source:
        return KafkaSource(self._settings, group, [DRIFT_DETECTED.name])


class TestMemoryBroker(BrokerContract):
    @pytest.fixture
    def broker(self) -> Broker:
        return MemorySubject()


class TestKafka(BrokerContract):
    @pytest.fixture
    def broker(self, brokers: str) -> Broker:
        return KafkaSubject(brokers)
