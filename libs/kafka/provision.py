"""Create what `topics.py` says: ``python -m libs.kafka.provision``. Repeating is harmless."""

import sys
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.events.topics import ALL, DAY_MS, Topic
from libs.kafka.client import client
from libs.runtime.config import PREFIX, KafkaSettings

TIMEOUT_S: Final = 60.0
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
    """Create every missing topic; returns how many were made.

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
    return created


if __name__ == "__main__":
    found = Settings()  # type: ignore[call-arg]  # read from the environment
    made = provision(found.kafka, found.kafka_replication)
    sys.stdout.write(f"{made} topics created\n")
