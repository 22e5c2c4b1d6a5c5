"""End offsets, lag and dead letters as Kafka's admin client tells them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from libs.events.topics import ALL
from libs.kafka.client import client
from libs.runtime.config import KafkaSettings
from services.console.domain.snapshot import Topic
from services.console.ports import Away

DEAD: Final = ".dlq"
NAMES: Final = frozenset({t.name for t in ALL} | {t.dead_letters for t in ALL})

Ends = Mapping[TopicPartition, int]


@dataclass(slots=True)
class KafkaTopics:
    """The topics of the topic table; asked in a thread, the client is librdkafka's."""

    settings: KafkaSettings
    timeout_s: float
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = AdminClient({**client(self.settings), "log_level": 0}, logger=None)

    async def topics(self) -> Sequence[Topic]:
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> Sequence[Topic]:
        try:
            found = self._admin.list_topics(timeout=self.timeout_s).topics
            parts = [
                TopicPartition(name, number)
                for name, topic in found.items()
                if name in NAMES
                for number in topic.partitions
            ]
            first = self._offsets(parts, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            ends = self._offsets(parts, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            return count(first, ends, self._committed())
        except KafkaException as error:
            raise Away(f"Kafka cannot be reached: {error.args[0].str()}") from error

    def _offsets(self, parts: Sequence[TopicPartition], spec: OffsetSpec) -> Ends:
        if not parts:
            return {}
        asked = self._admin.list_offsets(dict.fromkeys(parts, spec), request_timeout=self.timeout_s)
        return {part: answer.result().offset for part, answer in asked.items()}

    def _committed(self) -> Mapping[str, Sequence[TopicPartition]]:
        listed: Any = self._admin.list_consumer_groups(request_timeout=self.timeout_s).result()
        asked = [
            (
                group.group_id,
                self._admin.list_consumer_group_offsets(
                    [ConsumerGroupTopicPartitions(group.group_id)], request_timeout=self.timeout_s
                )[group.group_id],
            )
            for group in listed.valid
        ]
        return {group: answer.result().topic_partitions for group, answer in asked}


def count(
    first: Ends, ends: Ends, committed: Mapping[str, Sequence[TopicPartition]]
) -> Sequence[Topic]:
    """Events, dead letters and lag per topic, of offsets per partition."""
    held: dict[str, int] = defaultdict(int)
    end_of: dict[tuple[str, int], int] = {}
    for part, end in ends.items():
        held[part.topic] += end - first.get(part, 0)
        end_of[part.topic, part.partition] = end
    lags: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group, parts in committed.items():
        for part in parts:
            if part.offset >= 0 and (part.topic, part.partition) in end_of:
                behind = end_of[part.topic, part.partition] - part.offset
                lags[part.topic][group] += max(behind, 0)
    return [
        Topic(name, events, held.get(name + DEAD, 0), dict(lags.get(name, {})))
        for name, events in sorted(held.items())
        if not name.endswith(DEAD)
    ]
