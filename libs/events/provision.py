"""Create what `topics.py` says: ``python -m libs.events.provision``. Repeating is harmless."""

import os
import sys
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from libs.events.topics import ALL, DAY_MS, Topic

TIMEOUT_S: Final = 60.0
DLQ_RETENTION_MS: Final = 90 * DAY_MS
"""Dead letters outlive their topics."""


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


def provision(brokers: str, replication: int = 1) -> int:
    """Create every missing topic; returns how many were made.

    Raises:
        KafkaException: the broker refused one, or is away.
    """
    admin = AdminClient({"bootstrap.servers": brokers})
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
    made = provision(
        os.environ["PERENNIAL_KAFKA__BROKERS"],
        int(os.environ.get("PERENNIAL_KAFKA_REPLICATION", "1")),
    )
    sys.stdout.write(f"{made} topics created\n")
