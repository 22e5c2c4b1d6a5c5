"""`ports.Log` on Kafka: topics read from their beginning, outside any consumer group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.events.delivery import Delivery
from libs.events.topics import Topic
from libs.faults import Poison, Retryable
from libs.kafka.client import reader
from libs.kafka.confluent import record_of
from libs.kafka.consumer import delivery_of
from libs.kafka.record import Record
from libs.runtime.config import KafkaSettings

log = structlog.get_logger()

TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1
BATCH: Final = 500
MAX_EMPTY_POLLS: Final = 100
"""Nothing for so long before the end is reached: the broker is away."""

Ends = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class KafkaLog:
    settings: KafkaSettings

    def read(self, topics: Sequence[Topic[Any]]) -> Iterator[Delivery[Any]]:
        consumer = Consumer(
            {
                **reader(self.settings, "registry-replay"),  # never joined, never committed
                "fetch.wait.max.ms": 50,
            }
        )
        try:
            yield from _all(consumer, topics)
        except KafkaException as error:
            raise Retryable(f"the log cannot be read: {error}") from error
        finally:
            consumer.close()


def _all(consumer: Consumer, topics: Sequence[Topic[Any]]) -> Iterator[Delivery[Any]]:
    ends = _ends(consumer, topics)
    empty = 0
    while ends:
        messages = consumer.consume(BATCH, POLL_S)
        empty = 0 if messages else empty + 1
        if empty > MAX_EMPTY_POLLS:
            raise Retryable(f"no records for {MAX_EMPTY_POLLS * POLL_S:.0f} s: {sorted(ends)}")
        for message in messages:
            if message.error() is None:
                record = record_of(message)
                if record.offset < ends.get((record.topic, record.partition), 0):
                    yield from _readable(record)
        # By position, not by the last record: what was compacted away leaves no record.
        for place in consumer.position([TopicPartition(*each) for each in ends]):
            if place.offset >= ends[place.topic, place.partition]:
                del ends[place.topic, place.partition]


def _ends(consumer: Consumer, topics: Sequence[Topic[Any]]) -> Ends:
    """Start reading at the first record of every partition; where each of them ends now."""
    known = consumer.list_topics(timeout=TIMEOUT_S).topics
    ends: Ends = {}
    starts = []
    for topic in topics:
        for partition in known[topic.name].partitions if topic.name in known else ():
            place = TopicPartition(topic.name, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
            if low < high:
                starts.append(TopicPartition(topic.name, partition, low))
                ends[topic.name, partition] = high
    consumer.assign(starts)
    return ends


def _readable(record: Record) -> Iterator[Delivery[Any]]:
    try:
        yield delivery_of(record)
    except Poison as poison:
        # It was dead-lettered when it arrived: it never was an input.
        log.warning("record.skipped", topic=record.topic, offset=record.offset, why=str(poison))
