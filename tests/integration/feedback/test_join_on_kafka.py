"""The join on a real broker: both orders, dead letters, a killed process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from libs.events import codec, headers, topics
from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED, GENERATION_SERVED, Topic
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.kafka.record import Record
from libs.runtime.clock import SystemClock
from libs.runtime.config import KafkaSettings
from libs.streams.app import Streams
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven, FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.feedback.domain import Limits
from services.feedback.streams import JoinStream

LIMITS = Limits(timedelta(days=7), timedelta(hours=1), 20_000, 10**8)
WITHIN_S = 240.0


@pytest.fixture
def kafka(brokers: str) -> KafkaSettings:
    return KafkaSettings(brokers=brokers)


@dataclass
class Traffic:
    """Answers and feedback of one application that no other test uses."""

    kafka: KafkaSettings
    application: str
    tail: KafkaSource
    seen: list[Record] = field(default_factory=list)

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

    def records(self, topic: str) -> list[Record]:
        batch = self.tail.poll(500, 0.5)
        self.seen += [one for one in batch if one.key == self.application.encode()]
        return [record for record in self.seen if record.topic == topic]

    def joined(self) -> list[FeedbackJoined]:
        records = self.records(FEEDBACK_JOINED.name)
        return [codec.decode(FEEDBACK_JOINED, record.value or b"") for record in records]

    def dead_letter_codes(self) -> list[str]:
        letters = self.records(FEEDBACK_GIVEN.dead_letters)
        return [headers.get(one.headers, headers.DLQ_CODE) or "" for one in letters]


@pytest.fixture
def traffic(kafka: KafkaSettings) -> Traffic:
    application = f"app-{uuid.uuid4().hex[:12]}"
    outputs = [FEEDBACK_JOINED.name, FEEDBACK_GIVEN.dead_letters]
    join_from_here(kafka, f"feedback-{application}")
    return Traffic(kafka, application, KafkaSource(kafka, application, outputs))


def join_from_here(kafka: KafkaSettings, group: str) -> None:
    """Let ``group`` begin at the present ends: what other tests left is not this one's."""
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    parts = [
        TopicPartition(topic.name, number)
        for topic in (FEEDBACK_GIVEN, GENERATION_SERVED)
        for number in range(topic.partitions)
    ]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    ends = admin.list_offsets(dict.fromkeys(parts, latest))
    here = [TopicPartition(p.topic, p.partition, end.result().offset) for p, end in ends.items()]
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, here)])
    asked[group].result()


@asynccontextmanager
async def running(kafka: KafkaSettings, state: Path, limits: Limits) -> AsyncIterator[Streams]:
    sink = KafkaSink(kafka)
    join = JoinStream(sink, limits, SystemClock(), sweep_s=0.5)
    group = f"feedback-{state.name}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(sink)
        streams = Streams(kafka, group=group, state_dir=state, declare=join)
        yield await stack.enter_async_context(streams)


async def eventually(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not await asyncio.to_thread(happened):
        assert time.monotonic() < deadline, f"waited {WITHIN_S} s for {what}"
        await asyncio.sleep(0.2)


async def test_either_order_is_joined_and_a_new_version_again(
    kafka: KafkaSettings, traffic: Traffic, tmp_path: Path
) -> None:
    async with running(kafka, tmp_path / traffic.application, LIMITS) as streams:
        await eventually(lambda: streams.unready() is None, "the join to be ready")
        traffic.send(traffic.given(1), traffic.served(1))
        traffic.send(traffic.served(2), traffic.given(2), traffic.given(2))
        await eventually(lambda: len(traffic.joined()) >= 2, "two joined events")
        # Only now: two topics have no order, and beside a newer version an older one is not told.
        traffic.send(traffic.given(2, 2))
        await eventually(lambda: len(traffic.joined()) >= 3, "three joined events")

    joined = sorted((one.feedback_id, one.version) for one in traffic.joined())
    name = traffic.application
    assert joined == [(f"{name}-1", 1), (f"{name}-2", 1), (f"{name}-2", 2)]
    assert all(one.prompt.startswith("question") for one in traffic.joined())


async def test_bad_bytes_and_lonely_feedback_land_in_the_dead_letters(
    kafka: KafkaSettings, traffic: Traffic, tmp_path: Path
) -> None:
    limits = Limits(timedelta(days=7), timedelta(seconds=1), 20_000, 10**8)
    sink = KafkaSink(kafka)
    async with running(kafka, tmp_path / traffic.application, limits) as streams:
        await eventually(lambda: streams.unready() is None, "the join to be ready")
        sink.send_raw(FEEDBACK_GIVEN.name, traffic.application.encode(), b"\xff\xff", ())
        sink.flush()
        traffic.send(traffic.given(1))
        await eventually(lambda: len(traffic.dead_letter_codes()) >= 2, "two dead letters")

    assert sorted(traffic.dead_letter_codes()) == ["no_generation", "undecodable"]


async def test_state_is_read_back_by_the_next_process(
    kafka: KafkaSettings, traffic: Traffic, tmp_path: Path
) -> None:
    async with running(kafka, tmp_path / traffic.application, LIMITS) as streams:
        await eventually(lambda: streams.unready() is None, "the join to be ready")
        traffic.send(traffic.served(1), traffic.served(2), traffic.given(2))
        await eventually(lambda: len(traffic.joined()) == 1, "the first joined event")

    async with running(kafka, tmp_path / traffic.application, LIMITS):
        traffic.send(traffic.given(1))
        await eventually(lambda: len(traffic.joined()) == 2, "the join with the recovered answer")

    assert sorted(one.answer[:8] for one in traffic.joined()) == ["answer 1", "answer 2"]


def events_of(traffic: Traffic, count: int) -> Sequence[FeedbackGiven | GenerationServed]:
    return [event for n in range(count) for event in (traffic.given(n), traffic.served(n))]


def joiner(brokers: str, state: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.integration.feedback.joiner", brokers, str(state)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


async def test_a_process_killed_in_the_middle_loses_no_feedback(
    brokers: str, traffic: Traffic, tmp_path: Path
) -> None:
    count = 4000
    traffic.send(*events_of(traffic, count))
    first = joiner(brokers, tmp_path / traffic.application)
    try:
        await eventually(lambda: len(traffic.joined()) >= 100, "the first joined events")
        at_kill = len(traffic.joined())
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = joiner(brokers, tmp_path / traffic.application)
    try:
        await eventually(
            lambda: len({one.feedback_id for one in traffic.joined()}) == count,
            "all feedback to be joined",
        )
    finally:
        second.terminate()
        second.wait(timeout=120)

    ids = {
        headers.get(record.headers, headers.EVENT_ID)
        for record in traffic.records(FEEDBACK_JOINED.name)
    }
    print(f"joined at the kill: {at_kill}; sent in all: {len(traffic.joined())} of {count}")
    assert at_kill < count
    assert len(ids) == count


def test_the_topics_of_the_join_are_partitioned_alike() -> None:
    pair: tuple[Topic[FeedbackGiven], Topic[GenerationServed]] = (FEEDBACK_GIVEN, GENERATION_SERVED)

    assert len({topic.partitions for topic in pair}) == 1
    assert topics.FEEDBACK_GIVEN.key(FeedbackGiven(application="a")) == "a"
