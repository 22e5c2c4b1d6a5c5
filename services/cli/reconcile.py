"""`perennial reconcile`: what producers wrote against what each consumer settled."""

import re
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Final

import typer
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from google.protobuf.message import Message

from libs.events.topics import ALL, Topic
from libs.faults import Retryable
from services.cli import show
from services.cli.session import Session

TIMEOUT_S: Final = 10.0
_LOST: Final = re.compile(
    r'^perennial_events_lost_total\{reason="([^"]*)",topic="([^"]*)"\} (\S+)', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Balance:
    """One topic and one consumer of it. ``settled + lag == produced`` or events are missing."""

    topic: str
    consumer: str
    produced: int
    settled: int
    lag: int
    dead_lettered: int
    lost: int


def balances(session: Session) -> list[Balance]:
    """Every topic with each of its consumer groups (a group is named after its service).

    Raises:
        Retryable: the broker is away.
    """
    brokers = session.address("kafka")
    admin = AdminClient({"bootstrap.servers": brokers})
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "perennial-reader"})
    lost = lost_by_topic(session)
    try:
        found: list[Balance] = []
        for topic in ALL:
            produced = sum(high - low for low, high in _marks(reader, topic.name).values())
            dead = sum(high - low for low, high in _marks(reader, topic.dead_letters).values())
            for consumer, settled in _settled(admin, reader, topic).items():
                found.append(
                    Balance(
                        topic.name,
                        consumer,
                        produced,
                        settled,
                        produced - settled,
                        dead,
                        lost[topic.name],
                    )
                )
        return found
    except KafkaException as error:
        raise Retryable(f"kafka at {brokers}: {error}") from error
    finally:
        reader.close()


def lost_by_topic(session: Session) -> Counter[str]:
    """Events that services say they gave up, from their metrics."""
    lost: Counter[str] = Counter()
    for name, address in session.endpoints().items():
        if not name.endswith(".ops"):
            continue
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_S) as page:
                for _, topic, count in _LOST.findall(page.read().decode()):
                    lost[topic] += int(float(count))
        except OSError:
            continue
    return lost


def _marks(reader: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    parts = reader.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
    return {
        part: reader.get_watermark_offsets(TopicPartition(topic, part), timeout=TIMEOUT_S)
        for part in parts
    }


def _settled(admin: AdminClient, reader: Consumer, topic: Topic[Message]) -> dict[str, int]:
    """Consumer group -> records behind its committed offsets; groups that never were: absent."""
    marks = _marks(reader, topic.name)
    wanted = [TopicPartition(topic.name, part) for part in marks]
    settled = {}
    for group in topic.consumers:
        request = [ConsumerGroupTopicPartitions(group, wanted)]
        (future,) = admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S).values()
        offsets = {part.partition: part.offset for part in future.result().topic_partitions}
        if any(offset >= 0 for offset in offsets.values()):
            settled[group] = sum(
                max(offset - marks[part][0], 0) for part, offset in offsets.items() if offset >= 0
            )
    return settled


def reconcile(as_json: show.AsJson = False) -> None:
    """Compare produced with settled per topic and consumer; exit 1 when events were lost."""
    found = [asdict(balance) for balance in balances(Session.here())]
    show.rows("events", found, as_json)
    if any(row["lost"] for row in found):
        raise typer.Exit(1)
