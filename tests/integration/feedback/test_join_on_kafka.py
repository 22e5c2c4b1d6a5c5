"""The join on a real broker: both orders, dead letters, a killed process, records read again."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from libs.events import codec, headers, topics
from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED, GENERATION_SERVED, Topic
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.runtime.config import KafkaSettings
from libs.runtime.service import serve
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven, FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.feedback.domain import Limits
from tests.integration.feedback.joiner import LIMITS, service

WITHIN_S = 120.0


@pytest.fixture
def kafka(brokers: str) -> KafkaSettings:
    return KafkaSettings(brokers=brokers)


@dataclass
class Traffic:
    """Answers and feedback of one application that no other test uses."""

    kafka: KafkaSettings
    application: str
    tail: KafkaSource
    joined: list[FeedbackJoined] = field(default_factory=list)
    event_ids: set[str | None] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def served(self, number: int) -> GenerationServed:
        event = GenerationServed(
            generation_id=self.generation(number),
            application=self.application,
            prompt=f"question {number} " + "x" * 400,
            answer=f"answer {number} " + "y" * 400,
            embedding=b"\0" * 768,
        )
        event.served_at.GetCurrentTime()
        return event

    def given(self, number: int, version: int = 1) -> FeedbackGiven:
        event = FeedbackGiven(
            feedback_id=f"{self.application}-{number}",
            version=version,
            generation_id=self.generation(number),
            application=self.application,
            rating=version / 10,
        )
        event.given_at.GetCurrentTime()
        return event

    def generation(self, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.application}/{number}"))

    def send(self, *events: FeedbackGiven | GenerationServed) -> None:
        sink = KafkaSink(self.kafka)
        for event in events:
            if isinstance(event, FeedbackGiven):
                sink.send(FEEDBACK_GIVEN, event)
            else:
                sink.send(GENERATION_SERVED, event)
        sink.flush()

    def listen(self) -> "Traffic":
        """Takes in what came out since."""
        for record in self.tail.poll(500, 0.5):
            if record.key != self.application.encode():
                continue
            if record.topic == FEEDBACK_JOINED.name:
                self.joined.append(codec.decode(FEEDBACK_JOINED, record.value or b""))
                self.event_ids.add(headers.get(record.headers, headers.EVENT_ID))
            else:
                self.refused.append(headers.get(record.headers, headers.DLQ_CODE) or "")
        return self

    def joined_ids(self) -> list[str]:
        """Feedback ids without the application, and versions."""
        start = len(self.application) + 1
        return sorted(f"{one.feedback_id[start:]}v{one.version}" for one in self.joined)


@pytest.fixture
def traffic(kafka: KafkaSettings) -> Traffic:
    application = f"app-{uuid.uuid4().hex[:12]}"
    outputs = [FEEDBACK_JOINED.name, FEEDBACK_GIVEN.dead_letters]
    rewind(kafka, application, ends(kafka))  # what other tests left is not this one's
    return Traffic(kafka, application, KafkaSource(kafka, f"tail-{application}", outputs))


def ends(kafka: KafkaSettings) -> list[TopicPartition]:
    """Where the logs of the join end now."""
    parts = [
        TopicPartition(topic.name, number)
        for topic in (FEEDBACK_GIVEN, GENERATION_SERVED)
        for number in range(topic.partitions)
    ]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    found = admin.list_offsets(dict.fromkeys(parts, latest))
    return [TopicPartition(p.topic, p.partition, end.result().offset) for p, end in found.items()]


def rewind(kafka: KafkaSettings, group: str, offsets: list[TopicPartition]) -> None:
    """Let ``group``, which has no member now, go on at ``offsets``."""
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)])
    asked[group].result()


@asynccontextmanager
async def joining(traffic: Traffic, sql_url: str, limits: Limits = LIMITS) -> AsyncIterator[None]:
    """The join runs, as the group that is called like the application."""
    stop = asyncio.Event()
    joiner = service(traffic.kafka.brokers, traffic.application, sql_url, limits)
    running = asyncio.create_task(serve(joiner, stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def eventually(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not await asyncio.to_thread(happened):
        assert time.monotonic() < deadline, f"waited {WITHIN_S} s for {what}"


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/feedback.db"


async def test_either_order_is_joined_and_a_new_version_again(
    traffic: Traffic, sqlite: str
) -> None:
    async with joining(traffic, sqlite):
        traffic.send(traffic.given(1), traffic.served(1))
        traffic.send(traffic.served(2), traffic.given(2), traffic.given(2))
        await eventually(lambda: len(traffic.listen().joined) >= 2, "two joined events")
        # Only now: two topics have no order, and beside a newer version an older one is not told.
        traffic.send(traffic.given(2, 2))
        await eventually(lambda: len(traffic.listen().joined) >= 3, "three joined events")

    assert traffic.joined_ids() == ["1v1", "2v1", "2v2"]
    assert all(one.prompt.startswith("question") for one in traffic.joined)


async def test_bad_bytes_and_lonely_feedback_land_in_the_dead_letters(
    traffic: Traffic, sqlite: str
) -> None:
    limits = Limits(timedelta(days=7), timedelta(seconds=1), 20_000, 10**8)
    sink = KafkaSink(traffic.kafka)
    async with joining(traffic, sqlite, limits):
        sink.send_raw(FEEDBACK_GIVEN.name, traffic.application.encode(), b"\xff\xff", ())
        sink.flush()
        traffic.send(traffic.given(1))
        # At least once each: a rebalance repeats records, and bytes have no state to be known by.
        await eventually(lambda: len(set(traffic.listen().refused)) >= 2, "two dead letters")

    assert set(traffic.refused) == {"no_generation", "undecodable"}


async def test_what_is_read_again_by_the_next_process_changes_nothing(
    traffic: Traffic, sql_url: str
) -> None:
    start = ends(traffic.kafka)
    crowd = [traffic.given(2) for _ in range(3)]
    async with joining(traffic, sql_url):
        traffic.send(traffic.served(1), traffic.served(2), *crowd)
        await eventually(lambda: len(traffic.listen().joined) >= 1, "the first joined event")

    rewind(traffic.kafka, traffic.application, start)
    async with joining(traffic, sql_url):
        traffic.send(traffic.given(1))
        await eventually(lambda: len(traffic.listen().joined) >= 2, "the join with the kept answer")

    assert traffic.joined_ids() == ["1v1", "2v1"]
    assert traffic.refused == []


def events_of(traffic: Traffic, count: int) -> Sequence[FeedbackGiven | GenerationServed]:
    return [event for n in range(count) for event in (traffic.given(n), traffic.served(n))]


def joiner(traffic: Traffic, sql_url: str) -> subprocess.Popen[bytes]:
    arguments = [traffic.kafka.brokers, traffic.application, sql_url]
    command = [sys.executable, "-m", "tests.integration.feedback.joiner", *arguments]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def committed(traffic: Traffic) -> int:
    """How many records the group has left behind it, since the log began."""
    admin = AdminClient({"bootstrap.servers": traffic.kafka.brokers})
    group = ConsumerGroupTopicPartitions(traffic.application)
    found = admin.list_consumer_group_offsets([group])[traffic.application].result()
    return sum(part.offset for part in found.topic_partitions)


async def test_a_process_killed_in_the_middle_loses_no_feedback(
    traffic: Traffic, sqlite: str
) -> None:
    count, start = 4000, committed(traffic)
    traffic.send(*events_of(traffic, count))
    first = joiner(traffic, sqlite)
    try:
        await eventually(lambda: len(traffic.listen().joined) >= 100, "the first joined events")
    finally:
        first.kill()
        first.wait()
    at_kill = committed(traffic) - start
    second = joiner(traffic, sqlite)
    try:
        await eventually(
            lambda: len(traffic.listen().event_ids) == count, "all feedback to be joined"
        )
    finally:
        second.terminate()
        second.wait(timeout=30)

    print(f"read at the kill: {at_kill} of {2 * count}; joined: {len(traffic.joined)} of {count}")
    assert 0 < at_kill < 2 * count
    assert len(set(traffic.joined_ids())) == count


def test_the_topics_of_the_join_are_partitioned_alike() -> None:
    pair: tuple[Topic[FeedbackGiven], Topic[GenerationServed]] = (FEEDBACK_GIVEN, GENERATION_SERVED)

    assert len({topic.partitions for topic in pair}) == 1
    assert topics.FEEDBACK_GIVEN.key(FeedbackGiven(application="a")) == "a"
