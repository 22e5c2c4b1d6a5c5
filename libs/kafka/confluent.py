"""Source and sink on librdkafka. Blocking: called from threads, never from an event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from libs.events import headers
from libs.events.headers import Headers
from libs.events.topics import E, Topic
from libs.faults import Fatal, Retryable
from libs.kafka import outgoing
from libs.kafka.client import client, reader
from libs.kafka.hearing import LOOK_EVERY_S, Hearing, Place
from libs.kafka.record import Record
from libs.runtime import metrics
from libs.runtime.config import KafkaSettings
from libs.runtime.service import Part

log = structlog.get_logger()

GATHER_S: Final = 0.02
DELIVERY_S: Final = 25.0
"""Until a record that no broker acknowledges is given up."""
FLUSH_MARGIN_S: Final = 5.0
LOOK_S: Final = 0.05
"""How long a flush may wait for records of other threads."""
SESSION_TIMEOUT_MS: Final = 10_000
MAX_POLL_INTERVAL_MS: Final = 300_000


def record_of(message: Message) -> Record:
    """A broker message as a value."""
    pairs: list[tuple[str, bytes | None]] = list(message.headers() or [])  # type: ignore[arg-type]
    head = tuple((name, value or b"") for name, value in pairs)
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=head,
        timestamp_ms=message.timestamp()[1],
    )


@dataclass(slots=True)
class _Sent:
    """By one thread since it last flushed. ``ended``, which any thread that polls adds to, says
    of each record that came to an end why it failed, or None."""

    count: int = 0
    ended: list[str | None] = field(default_factory=list)


class KafkaSink(Part):
    """acks=all, idempotent, Java-compatible partitioning; a Part that flushes when it is left.

    Threads may share it: each thread's ``flush`` waits and answers for what that thread sent.
    A record that is given up after ``delivery_s`` may still come to stand on the log.
    """

    name = "kafka.sink"

    def __init__(self, settings: KafkaSettings, delivery_s: float = DELIVERY_S) -> None:
        self._flush_s = delivery_s + FLUSH_MARGIN_S
        self._producer = Producer(
            {
                **client(settings),
                "acks": "all",
                "enable.idempotence": settings.idempotence,
                "partitioner": "murmur2_random",  # as Java does
                "compression.type": "lz4",
                "linger.ms": 5,
                "delivery.timeout.ms": int(1000 * delivery_s),
                "queue.buffering.max.messages": 100_000,
            }
        )
        self._mine = threading.local()

    def send(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        event_id = event_id or headers.new_event_id()
        key, value, head = outgoing.encode(topic, event, event_id)
        self.send_raw(topic.name, key, value, head)
        return event_id

    def send_raw(self, topic: str, key: bytes | None, value: bytes, head: Headers) -> None:
        sent = self._sent()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                metrics.EVENTS_PRODUCED.labels(message.topic()).inc()
            sent.ended.append(None if error is None else f"{topic}: {error.str()}")

        try:
            self._producer.produce(
                topic, value=value, key=key, headers=list(head), on_delivery=delivered
            )
        except BufferError as error:
            raise Retryable("the producer's queue is full") from error
        except KafkaException as error:
            raise Retryable(f"{topic}: {error}") from error
        sent.count += 1
        self._producer.poll(0)

    def _sent(self) -> _Sent:
        if not hasattr(self._mine, "sent"):
            self._mine.sent = _Sent()
        found: _Sent = self._mine.sent
        return found

    def flush(self) -> None:
        sent, self._mine.sent = self._sent(), _Sent()
        ends_s = time.monotonic() + self._flush_s
        while (left := sent.count - len(sent.ended)) and time.monotonic() < ends_s:
            self._producer.flush(LOOK_S)
        failed = [why for why in sent.ended if why is not None]
        if left or failed:
            raise Retryable(f"{left} unacknowledged, {len(failed)} failed: {failed[:3]}")

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._producer.flush, self._flush_s)

    async def serve(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def unready(self) -> str | None:
        return None


class KafkaSource:
    """A member of a consumer group; commits only what it is told, at once."""

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topics: Sequence[str],
        look_every_s: float = LOOK_EVERY_S,
        revoked: Callable[[], None] = lambda: None,
    ) -> None:
        """``revoked`` is called, between two batches, when partitions are taken away."""
        self._revoked = revoked
        self._settings = {
            **reader(settings, group),
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
            # The broker answers a fetch as soon as there is a record; only an idle one waits.
            "fetch.wait.max.ms": 1000,
        }
        self._topics = list(topics)
        self._positions: dict[Place, int] = {}
        self._hearing = Hearing(self._positions, look_every_s)
        self._drained = False
        self._consumer = self._joined()

    def _joined(self) -> Consumer:
        self._assigned = False
        consumer = Consumer(self._settings)
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke)
        return consumer

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._assigned = True

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._assigned = False
        self._positions.clear()
        self._revoked()

    def assigned(self) -> bool:
        return self._assigned

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        if self._drained and (lost := self._hearing.lost(self._consumer)):
            log.warning("kafka.deaf", partitions=lost)
            self._consumer.close()
            self._consumer = self._joined()
        # consume() waits its whole timeout unless the batch is full: wait for the first only.
        messages = self._consumer.consume(1, timeout_s)
        if messages and max_records > 1:
            messages += self._consumer.consume(max_records - 1, GATHER_S)
        self._drained = len(messages) < max_records
        records = []
        for message in messages:
            if (error := message.error()) is None:
                records.append(record := record_of(message))
                self._positions[record.topic, record.partition] = record.offset + 1
            elif error.fatal():
                raise Fatal(error.str())
        return records

    def commit(self, records: Sequence[Record]) -> None:
        ends: dict[tuple[str, int], int] = {}
        for record in records:
            ends[record.topic, record.partition] = record.offset + 1
        offsets = [TopicPartition(topic, part, end) for (topic, part), end in ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # After a rebalance the partition is another member's: it repeats these
            # records, and their effects are idempotent. Anything else heals the same way.
            metrics.EVENTS_SETTLED.labels("commit", error.args[0].name()).inc()

    def close(self) -> None:
        self._consumer.close()
