"""`perennial reconcile`: how far each consumer is on the log, and which events went missing."""

import re
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import typer
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from libs.events.topics import ALL, Topic
from libs.faults import Retryable
from libs.kafka.client import client, reader
from libs.runtime.config import KafkaSettings
from services.cli import show
from services.cli.session import Session

TIMEOUT_S: Final = 10.0
_LOST: Final = re.compile(
    r'^perennial_events_lost_total\{reason="([^"]*)",topic="([^"]*)"\} (\S+)', re.MULTILINE
)
_WORKERS: Final = re.compile(r"^perennial_workers (\S+)", re.MULTILINE)

Marks = Mapping[int, tuple[int, int]]
"""Partition -> the first offset that the log still holds, and the one behind its last."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One topic and one consumer of it, by offsets."""

    topic: str
    consumer: str
    produced: int
    """What the log holds."""
    settled: int
    """Of that, what the consumer has behind it: handled, or dead-lettered."""
    lag: int
    """Of that, what it has not."""
    missing: int
    """What it settled and the log no longer knows of, or never read before retention took it."""
    dead_lettered: int
    lost: int
    """What its producers gave up, as they count it since their start."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Events that services gave up since their start, and those that could not be asked."""

    by_topic: Counter[str]
    silent: tuple[str, ...]


def balances(
    session: Session, topics: Iterable[Topic[Any]] = ALL, lost: Mapping[str, int] | None = None
) -> list[Balance]:
    """Each topic with each of its consumer groups (a group is named after its service).

    Args:
        lost: topic -> events given up; asked of the services when left out.
    Raises:
        Retryable: the broker is away.
    """
    lost = losses(session).by_topic if lost is None else lost
    settings = session.kafka()
    reading = Consumer(reader(settings, "perennial-reader"))  # never joined, never committed
    try:
        broker = _Broker.of(settings, reading)
        found: list[Balance] = []
        for topic in topics:
            dead, given_up = _held(broker.marks(topic.dead_letters)), lost.get(topic.name, 0)
            for consumer, places in _places(broker, topic):
                found.append(Balance(topic.name, consumer, *places, dead, given_up))
        return found
    except KafkaException as error:
        raise Retryable(f"kafka at {settings.brokers}: {error.args[0].str()}") from error
    finally:
        reading.close()


def balance(marks: Marks, committed: Mapping[int, int]) -> tuple[int, int, int, int]:
    """(produced, settled, lag, missing) of one consumer.

    Args:
        committed: partition -> offset; absent where it has none. Read before ``marks``.
    """
    produced = _held(marks)
    settled = missing = 0
    for part, at in committed.items():
        low, high = marks[part]
        settled += min(max(at, low), high) - low
        missing += max(low - at, 0) + max(at - high, 0)
    return produced, settled, produced - settled, missing


def losses(session: Session) -> Losses:
    """From the metrics of every process; process N of a service has its ops port N further."""
    lost: Counter[str] = Counter()
    silent = []
    for name, address in session.endpoints().items():
        if not name.endswith(".ops"):
            continue
        try:
            for page in _pages(address):
                for _, topic, count in _LOST.findall(page):
                    lost[topic] += int(float(count))
        except OSError as error:
            silent.append(f"{name} ({address}): {error}")
    return Losses(lost, tuple(silent))


def _pages(address: str) -> Iterator[str]:
    host, _, port = address.rpartition(":")
    first = _metrics(address)
    yield first
    workers = _WORKERS.search(first)
    for number in range(1, int(float(workers[1])) if workers else 1):
        yield _metrics(f"{host}:{int(port) + number}")


def _metrics(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_S) as page:
        text: str = page.read().decode()
    return text


@dataclass(frozen=True, slots=True)
class _Broker:
    """Asked for offsets; ``parts`` are the partitions of each topic, listed once."""

    admin: AdminClient
    reading: Consumer
    group_prefix: str
    parts: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, settings: KafkaSettings, reading: Consumer) -> "_Broker":
        topics = reading.list_topics(timeout=TIMEOUT_S).topics
        parts = {name: tuple(topic.partitions) for name, topic in topics.items()}
        return cls(AdminClient(client(settings)), reading, settings.group_prefix, parts)

    def marks(self, topic: str) -> Marks:
        return {
            part: self.reading.get_watermark_offsets(TopicPartition(topic, part), timeout=TIMEOUT_S)
            for part in self.parts.get(topic, ())
        }

    def committed(self, consumer: str, topic: str) -> dict[int, int]:
        wanted = [TopicPartition(topic, part) for part in self.parts.get(topic, ())]
        if not wanted:
            return {}
        request = [ConsumerGroupTopicPartitions(self.group_prefix + consumer, wanted)]
        asked = self.admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S)
        (future,) = asked.values()
        found = future.result().topic_partitions
        return {each.partition: each.offset for each in found if each.offset >= 0}


def _places(broker: _Broker, topic: Topic[Any]) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Consumer -> its `balance`."""
    for consumer in topic.consumers:
        # Commits first: what is settled meanwhile must not look like more than there is.
        committed = broker.committed(consumer, topic.name)
        if committed or not topic.compacted:  # a compacted one may be read whole at each start
            yield consumer, balance(broker.marks(topic.name), committed)


def _held(marks: Marks) -> int:
    return sum(high - low for low, high in marks.values())


def reconcile(as_json: show.AsJson = False) -> None:
    """Show how far each consumer is on the log; exit 1 when events are missing.

    Missing are: events that retention took before a consumer read them, or that the log no longer
    has although they were settled; and those that a service says it gave up since its start (a
    spool that was full, a disk). A service that cannot be asked counts as one that lost some.
    """
    session = Session.here()
    told = losses(session)
    found = balances(session, lost=told.by_topic)
    show.rows("events", [asdict(one) for one in found], as_json)
    for topic, count in (+told.by_topic).items():
        typer.echo(f"{count} events of {topic} were given up", err=True)
    for service in told.silent:
        typer.echo(f"not asked what it gave up: {service}", err=True)
    if told.by_topic.total() or told.silent or any(one.missing for one in found):
        raise typer.Exit(1)
