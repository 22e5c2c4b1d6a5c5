"""Create what `topics.py` says: ``python -m libs.kafka.provision``. Repeating is harmless."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewTopic,
    OffsetSpec,
)
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.events.topics import ALL, DAY_MS, Topic
from libs.kafka.client import client
from libs.runtime.config import PREFIX, KafkaSettings

TIMEOUT_S: Final = 60.0
AGAIN_S: Final = 0.2
DLQ_RETENTION_MS: Final = 90 * DAY_MS
"""Dead letters outlive their topics."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True)

    kafka: KafkaSettings
    kafka_replication: int = Field(default=1, ge=1)


def wanted(topic: Topic[Any], replication: int) -> list[NewTopic]:
    """The topic and its dead letters as Kafka is to make them."""
    config = (
        {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
        if topic.compacted
        else {"retention.ms": str(topic.retention_ms)}
    )
    return [
        NewTopic(topic.name, topic.partitions, replication, config=config),
        NewTopic(
            topic.dead_letters, 1, replication, config={"retention.ms": str(DLQ_RETENTION_MS)}
        ),
    ]


def provision(settings: KafkaSettings, replication: int = 1) -> int:
    """Create every missing topic; returns how many were made, once their leaders answer: a broker
    acknowledges a topic before it can be asked about it.

    Raises:
        KafkaException: the broker refused one, or is away.
    """
    admin = AdminClient(client(settings))
    new = [made for topic in ALL for made in wanted(topic, replication)]
    created = 0
    for future in admin.create_topics(new, request_timeout=TIMEOUT_S).values():
        try:
            future.result()
            created += 1
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    if created:
        _await_leaders(admin, [topic.topic for topic in new])
    return created


def _await_leaders(admin: AdminClient, names: Sequence[str]) -> None:
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            found = admin.list_topics(timeout=TIMEOUT_S).topics
            parts = [
                TopicPartition(name, part) for name in names for part in found[name].partitions
            ]
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = admin.list_offsets(dict.fromkeys(parts, latest), request_timeout=TIMEOUT_S)
            for answer in asked.values():
                answer.result()
            return
        except (KafkaException, KeyError):
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)


if __name__ == "__main__":
    found = Settings()  # type: ignore[call-arg]  # read from the environment
    made = provision(found.kafka, found.kafka_replication)
    sys.stdout.write(f"{made} topics created\n")
