"""A compacted topic held in memory: the newest event of each key, with a second index."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Generic

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.events.topics import E, Topic
from libs.faults import Poison
from libs.kafka.client import reader
from libs.kafka.confluent import record_of
from libs.kafka.consumer import delivery_of
from libs.kafka.hearing import LOOK_EVERY_S, Hearing, Place
from libs.kafka.record import Record
from libs.runtime.config import KafkaSettings
from libs.runtime.service import Part

log = structlog.get_logger()

POLL_S: Final = 0.2
START_TIMEOUT_S: Final = 5.0

OnChange = Callable[[str, E | None], None]


def no_index(_: object) -> Iterable[str]:
    return ()


class MemoryTable(Generic[E]):
    """The table itself: what readers see. Thread-safe."""

    def __init__(self, topic: Topic[E], index: Callable[[E], Iterable[str]] = no_index) -> None:
        self.topic = topic
        self._index = index
        self._events: dict[str, E] = {}
        self._found: dict[str, E] = {}
        self._callbacks: list[OnChange[E]] = []
        self._lock = threading.Lock()

    def get(self, key: str) -> E | None:
        return self._events.get(key)

    def find(self, index_key: str) -> E | None:
        """The event whose ``index`` names ``index_key``."""
        return self._found.get(index_key)

    def values(self) -> list[E]:
        with self._lock:
            return list(self._events.values())

    def on_change(self, callback: OnChange[E]) -> None:
        """Call ``callback(key, event or None)`` after each change, in the reader's thread."""
        self._callbacks.append(callback)

    def put(self, event: E) -> None:
        self._set(self.topic.key(event), event)

    def remove(self, key: str) -> None:
        self._set(key, None)

    def _set(self, key: str, event: E | None) -> None:
        with self._lock:
            if event is None:
                self._events.pop(key, None)
            else:
                self._events[key] = event
            self._found = {
                name: known for known in self._events.values() for name in self._index(known)
            }
        for callback in self._callbacks:
            callback(key, event)


class CompactedTable(MemoryTable[E], Part):
    """The table fed by its topic from the beginning on. A Part, ready once it has caught up."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: Topic[E],
        index: Callable[[E], Iterable[str]] = no_index,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        super().__init__(topic, index)
        self.name = f"table.{topic.name}"
        self._caught_up = False
        self._ends: dict[Place, int] = {}
        self._positions: dict[Place, int] = {}
        self._hearing = Hearing(self._positions, look_every_s)
        self._settings = {
            **reader(settings, f"{topic.name}-reader"),  # never joined, never committed
            "auto.offset.reset": "earliest",
        }
        self._consumer = Consumer(self._settings)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._consumer.close)

    async def serve(self, stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._read, stop)

    def unready(self) -> str | None:
        return None if self._caught_up else "reading the topic from its beginning"

    def _read(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and not self._assign():
            time.sleep(POLL_S)
        while not stop.is_set():
            messages = self._consumer.consume(1, POLL_S)
            for message in messages:
                if message.error() is None:
                    self._apply(record_of(message))
            if not self._caught_up:
                self._caught_up = all(
                    self._positions[place] >= end for place, end in self._ends.items()
                )
            if not messages and self._hearing.lost(self._consumer):
                log.warning("table.deaf", topic=self.topic.name)
                self._consumer.close()
                self._consumer = Consumer(self._settings)
                self._consumer.assign(
                    [TopicPartition(*place, offset) for place, offset in self._positions.items()]
                )

    def _assign(self) -> bool:
        """Take every partition from its beginning; False while the broker is away."""
        try:
            found = self._consumer.list_topics(self.topic.name, timeout=START_TIMEOUT_S)
            parts = sorted(found.topics[self.topic.name].partitions)
            if not parts:
                return False
            taken = [TopicPartition(self.topic.name, part, 0) for part in parts]
            for part in taken:
                low, high = self._consumer.get_watermark_offsets(part, timeout=START_TIMEOUT_S)
                part.offset = low
                self._positions[part.topic, part.partition] = low
                self._ends[part.topic, part.partition] = high
            self._consumer.assign(taken)
        except KafkaException as error:
            log.warning("table.waiting", topic=self.topic.name, error=str(error))
            return False
        return True

    def _apply(self, record: Record) -> None:
        self._positions[record.topic, record.partition] = record.offset + 1
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self.remove(key)
            return
        try:
            self._set(key, delivery_of(record).event)
        except Poison as poison:
            log.error("table.skipped", topic=record.topic, offset=record.offset, code=poison.code)
