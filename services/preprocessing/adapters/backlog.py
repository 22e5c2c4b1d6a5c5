"""How far the log is and how far the consumer group has read it, asked of Kafka."""

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.faults import Retryable
from libs.kafka.client import reader
from libs.runtime.config import KafkaSettings

TIMEOUT_S: Final = 5.0

Place = tuple[str, int]


class KafkaBacklog:
    """Reads offsets as a member would, but never joins the group."""

    def __init__(self, settings: KafkaSettings, group: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._consumer = Consumer(reader(settings, group))

    def ends(self) -> Mapping[Place, int]:
        """
        Raises:
            Retryable: the broker is away.
        """
        try:
            return {place: self._end(place) for topic in self._topics for place in self._of(topic)}
        except KafkaException as error:
            raise Retryable(f"the ends of {', '.join(self._topics)}: {error}") from error

    def reached(self, ends: Mapping[Place, int]) -> bool:
        """
        Raises:
            Retryable: the broker is away.
        """
        wanted = {place: end for place, end in ends.items() if end > 0}
        parts = [TopicPartition(topic, partition) for topic, partition in wanted]
        try:
            read = self._consumer.committed(parts, timeout=TIMEOUT_S) if parts else []
        except KafkaException as error:
            raise Retryable(f"committed offsets: {error}") from error
        return all(part.offset >= wanted[part.topic, part.partition] for part in read)

    def close(self) -> None:
        self._consumer.close()

    def _of(self, topic: str) -> list[Place]:
        found = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        return [(topic, partition) for partition in found.partitions]

    def _end(self, place: Place) -> int:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT_S)
        return high if high > low else 0  # an emptied partition has nothing to wait for
