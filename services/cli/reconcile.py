"""`perennial reconcile`: how far each consumer is on the log, and which events went missing."""

import re
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
    brokers = session.address("kafka")
    admin = AdminClient({"bootstrap.servers": brokers})
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "perennial-reader"})
    try:
        found: list[Balance] = []
        for topic in topics:
            dead, given_up = _held(_marks(reader, topic.dead_letters)), lost.get(topic.name, 0)
            for group, places in _places(admin, reader, topic):
                found.append(Balance(topic.name, group, *places, dead, given_up))
        return found
    except KafkaException as error:
        raise Retryable(f"kafka at {brokers}: {error}") from error
    finally:
        reader.close()


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


def _places(
    admin: AdminClient, reader: Consumer, topic: Topic[Any]
) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Consumer -> its `balance`."""
    for group in topic.consumers:
        # Commits first: what is settled meanwhile must not look like more than there is.
        committed = _committed(admin, group, topic.name, _partitions(reader, topic.name))
        if committed or not topic.compacted:  # a compacted one may be read whole at each start
            yield group, balance(_marks(reader, topic.name), committed)


def _held(marks: Marks) -> int:
    return sum(high - low for low, high in marks.values())


def _marks(reader: Consumer, topic: str) -> Marks:
    return {
        part: reader.get_watermark_offsets(TopicPartition(topic, part), timeout=TIMEOUT_S)
        for part in _partitions(reader, topic)
    }


def _partitions(reader: Consumer, topic: str) -> list[int]:
    return list(reader.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions)


def _committed(admin: AdminClient, group: str, topic: str, parts: list[int]) -> dict[int, int]:
    wanted = [TopicPartition(topic, part) for part in parts]
    request = [ConsumerGroupTopicPartitions(group, wanted)]
    (future,) = admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S).values()
    found = future.result().topic_partitions
    return {one.partition: one.offset for one in found if one.offset >= 0}


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
