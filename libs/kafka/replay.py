"""Dead letters: look at them, then send them to their topic again.

Works on a range that was fixed when it began, so letters that come back are not sent twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.events import headers
from libs.faults import Retryable
from libs.kafka.confluent import record_of
from libs.kafka.record import Record, Sink
from libs.runtime.config import KafkaSettings

TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    record: Record
    code: str
    reason: str
    origin: str
    attempt: int


def read_all(settings: KafkaSettings, topic: str) -> Iterator[Record]:
    """Every record of a topic up to its present end, partition by partition.

    Raises:
        Retryable: the broker is away.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "perennial-reader",  # never joined, never committed
            "enable.auto.commit": False,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        for part in sorted(found.partitions):
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, part), timeout=TIMEOUT_S
            )
            consumer.assign([TopicPartition(topic, part, low)])
            position = low
            while position < high:
                for message in consumer.consume(500, TIMEOUT_S):
                    if message.error() is None and (message.offset() or 0) < high:
                        yield record_of(message)
                where = consumer.position([TopicPartition(topic, part)])[0].offset
                position = max(position, where)
    except KafkaException as error:
        raise Retryable(f"{topic}: {error}") from error
    finally:
        consumer.close()


def dead_letters(settings: KafkaSettings, topic: str) -> Iterator[DeadLetter]:
    """The dead letters of ``topic``, oldest first within each partition."""
    for record in read_all(settings, f"{topic}.dlq"):
        yield DeadLetter(
            record=record,
            code=headers.get(record.headers, headers.DLQ_CODE) or "",
            reason=headers.get(record.headers, headers.DLQ_REASON) or "",
            origin=headers.get(record.headers, headers.DLQ_ORIGIN) or "",
            attempt=int(headers.get(record.headers, headers.DLQ_ATTEMPT) or 0),
        )


def send_again(sink: Sink, topic: str, letter: DeadLetter) -> None:
    """Put a letter back on its topic: same key, bytes and event id; the attempt is kept."""
    kept = tuple(
        pair
        for pair in letter.record.headers
        if not pair[0].startswith("dlq-") or pair[0] == headers.DLQ_ATTEMPT
    )
    sink.send_raw(topic, letter.record.key, letter.record.value or b"", kept)
