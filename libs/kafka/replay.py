"""Dead letters: look at them, then send them to their topic again.

Works on a range that was fixed when it began, so letters that come back are not sent twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.events import headers
from libs.faults import Retryable
from libs.kafka.client import reader
from libs.kafka.confluent import record_of
from libs.kafka.record import Record, Sink
from libs.runtime.config import KafkaSettings

TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    record: Record
    code: str
    reason: str
    origin: str
    attempt: int


def read_all(settings: KafkaSettings, topic: str) -> Iterator[Record]:
    """Every record of a topic up to its present end, in order within each partition.

    Raises:
        Retryable: the broker is away, or falls silent before the end.
    """
    consumer = Consumer(
        {
            **reader(settings, "perennial-reader"),  # never joined, never committed
            "enable.partition.eof": True,  # compaction may leave nothing just before the end
        }
    )
    try:
        open_ends = _from_the_beginning(consumer, topic)
        silent_s = 0.0
        while open_ends and silent_s < TIMEOUT_S:
            messages = consumer.consume(500, POLL_S)
            silent_s = 0.0 if messages else silent_s + POLL_S
            for message in messages:
                part, offset = message.partition() or 0, message.offset() or 0
                if message.error() is None and offset < open_ends.get(part, 0):
                    yield record_of(message)
                if offset + 1 >= open_ends.get(part, 0):
                    open_ends.pop(part, None)
        if open_ends:
            raise Retryable(f"{topic}: nothing from partitions {sorted(open_ends)}")
    except KafkaException as error:
        why = f"kafka at {settings.brokers}: {error.args[0].str()}"
        raise Retryable(f"{topic}: {why}") from error
    finally:
        consumer.close()


def _from_the_beginning(consumer: Consumer, topic: str) -> dict[int, int]:
    """Assign every partition that holds anything; partition -> where it ends now."""
    ends, taken = {}, []
    for part in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
        place = TopicPartition(topic, part)
        low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
        if low < high:
            place.offset, ends[part] = low, high
            taken.append(place)
    consumer.assign(taken)
    return ends


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
