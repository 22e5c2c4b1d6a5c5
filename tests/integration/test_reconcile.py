"""`perennial reconcile` on a log from which retention took what nobody had read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it is there
    AdminClient,
    NewTopic,
)

from libs.events.topics import FEEDBACK_GIVEN
from services.cli.reconcile import Balance, balances
from services.cli.session import Session

PREFIX = "team-a."


def test_what_retention_took_unread_is_missing(
    brokers: str, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a broker that is told of by the variables of services."""
    monkeypatch.setenv("PERENNIAL_KAFKA__GROUP_PREFIX", PREFIX)
    topic = replace(FEEDBACK_GIVEN, name=group, consumers=(group,), partitions=1)
    admin = AdminClient({"bootstrap.servers": brokers})
    made = [NewTopic(name, 1, 1) for name in (topic.name, topic.dead_letters)]
    for future in admin.create_topics(made).values():
        future.result()
    producer = Producer({"bootstrap.servers": brokers})
    for _ in range(5):
        producer.produce(topic.name, b"event")
    producer.produce(topic.dead_letters, b"letter")
    producer.flush()
    (tmp_path / "endpoints.json").write_text(json.dumps({"kafka": brokers}))

    def now() -> Balance:
        (found,) = balances(Session(tmp_path), [topic])
        return found

    def places(found: Balance) -> tuple[int, ...]:
        return found.produced, found.settled, found.lag, found.missing, found.dead_lettered

    assert places(now()) == (5, 0, 5, 0, 1)  # a consumer that never was is behind all of it

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": PREFIX + group})
    consumer.commit(offsets=[TopicPartition(topic.name, 0, 2)], asynchronous=False)
    consumer.close()
    assert places(now()) == (5, 2, 3, 0, 1)

    (deleted,) = admin.delete_records([TopicPartition(topic.name, 0, 4)]).values()
    deleted.result()
    assert places(now()) == (1, 0, 1, 2, 1)
