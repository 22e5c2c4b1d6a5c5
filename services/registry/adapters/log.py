"""`ports.Log` on Kafka: topics read from their beginning, outside any consumer group."""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from libs.events.delivery import Delivery
from libs.events.topics import E, Topic
from libs.faults import Poison
from libs.kafka.consumer import delivery_of
from libs.kafka.replay import read_all
from libs.runtime.config import KafkaSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KafkaLog:
    settings: KafkaSettings

    def read(self, topic: Topic[E]) -> Iterator[Delivery[E]]:
        for record in read_all(self.settings, topic.name):
            try:
                yield delivery_of(record)
            except Poison as poison:
                # It was dead-lettered when it arrived: it never was an input.
                log.warning("record.skipped", topic=topic.name, offset=record.offset, why=poison)
