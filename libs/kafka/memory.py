"""The broker's in-memory twin: passes the same contract tests as Kafka."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.events import codec, headers
from libs.events.headers import Headers
from libs.events.topics import E, Topic
from libs.kafka import outgoing
from libs.kafka.record import Record


@dataclass
class MemoryBroker:
    """One partition per topic; committed offsets per group."""

    logs: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, str], int] = field(default_factory=dict)
    clock_ms: "itertools.count[int]" = field(
        default_factory=lambda: itertools.count(1_900_000_000_000)
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, topic: str, key: bytes | None, value: bytes | None, head: Headers) -> None:
        with self.lock:
            log = self.logs[topic]
            log.append(Record(topic, 0, len(log), key, value, head, next(self.clock_ms)))

    def produce(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        """Put one event on the log at once."""
        sink = self.sink()
        sent = sink.send(topic, event, event_id=event_id)
        sink.flush()
        return sent

    def events(self, topic: Topic[E]) -> list[E]:
        """Every event on a topic, in order."""
        return [codec.decode(topic, record.value or b"") for record in self.logs[topic.name]]

    def sink(self) -> "MemorySink":
        return MemorySink(self)

    def source(self, group: str, topics: Sequence[str]) -> "MemorySource":
        return MemorySource(self, group, topics)


@dataclass
class MemorySink:
    broker: MemoryBroker
    queued: list[tuple[str, bytes | None, bytes, Headers]] = field(default_factory=list)

    def send(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        event_id = event_id or headers.new_event_id()
        key, value, head = outgoing.encode(topic, event, event_id)
        self.send_raw(topic.name, key, value, head)
        return event_id

    def send_raw(self, topic: str, key: bytes | None, value: bytes, head: Headers) -> None:
        self.queued.append((topic, key, value, head))

    def flush(self) -> None:
        for topic, key, value, head in self.queued:
            self.broker.append(topic, key, value, head)
        self.queued.clear()


@dataclass
class MemorySource:
    broker: MemoryBroker
    group: str
    topics: Sequence[str]
    positions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for topic in self.topics:
            self.positions[topic] = self.broker.committed.get((self.group, topic), 0)

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        batch: list[Record] = []
        for topic in self.topics:
            start = self.positions[topic]
            taken = self.broker.logs[topic][start : start + max_records - len(batch)]
            self.positions[topic] = start + len(taken)
            batch += taken
        return batch

    def commit(self, records: Sequence[Record]) -> None:
        for record in records:
            self.broker.committed[self.group, record.topic] = record.offset + 1

    def assigned(self) -> bool:
        return True

    def close(self) -> None:
        pass
