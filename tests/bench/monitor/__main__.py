"""`make bench-monitor`: answers a second that one monitor process folds, on one core, durably.

Whole path: poll, decode, language, every detector, service levels, one transaction a batch in
SQLite. The first cells read records from memory, the last ones from a Kafka of their own. A
round is a fresh state whose reference is complete; its rate is per second of processor time,
which a machine that others use distorts less than the clock. In a crowd more answers come in a
second than the monitor can fold: the detectors pass over some and count them, and the age of the
newest settled answer, the monitor's own figure, says how far behind it is.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
import structlog
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

from infra.local import stack
from libs.events import headers
from libs.events.topics import APPLICATION_APPLIED, GENERATION_SERVED, ROUTING
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.kafka.consumer import ConsumerLoop, Route
from libs.kafka.memory import MemoryBroker
from libs.kafka.record import Record, Source
from libs.kafka.table import MemoryTable
from libs.runtime import tracing
from libs.runtime.config import KafkaSettings
from libs.sql.engine import connect
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.application_pb2 import Application, DriftPolicy, Objective
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CHAMPION,
    ApplicationApplied,
    Release,
    RoutingTable,
)
from protos.registry.v1.registry_events_pb2 import Route as RoutingRoute
from services.monitor.adapters.gauges import Gauges
from services.monitor.adapters.language import DetectLanguage
from services.monitor.adapters.sql import METADATA, SqlStates
from services.monitor.domain.application import MOST_PER_S
from services.monitor.handlers import Batch, OnGenerationServed
from tests.bench.serving import figures

REFERENCE: Final = 600
WARM: Final = 1000
EVENTS: Final = 5000
ROUNDS: Final = 3
DIMENSIONS: Final = 384
UNIT: Final = "answers/s of processor time"
GOALS: Final = {"scalars and categories": ">= 5000", "with the embedding": ">= 2000"}
TEXT: Final = "how do i change the limit of my card when account is blocked payment failed today"
CROWD_PER_S: Final = 10_000
TOPIC: Final = {"topic": GENERATION_SERVED.name}
Feed = Callable[[Sequence[GenerationServed]], Source]
HOME: Final = Path(".perennial-bench")


def answers(name: str, count: int, embedded: bool) -> list[GenerationServed]:
    """Quiet traffic of eight topics."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(8, DIMENSIONS))
    found: list[GenerationServed] = []
    for number in range(count):
        vector = centres[random.integers(8)] + 0.7 * random.normal(size=DIMENSIONS)
        vector /= np.linalg.norm(vector)
        event = GenerationServed(
            generation_id=f"{name}-{number}",
            application=name,
            release_digest="r1",
            role=ROLE_CHAMPION,
            episode_id=f"e{number}",
            prompt=" ".join(random.choice(TEXT.split(), 14)),
            answer="Open Cards, choose the card, then Limits. " * 4,
            completion_tokens=40,
            time_to_first_token_s=0.1,
            latency_s=float(0.5 + random.random()),
            mean_logprob=float(-1 + 0.1 * random.normal()),
            finish_reason="stop",
            response_model="m",
            guard_verdict="allow",
            retrieval_score=float(random.random()),
            embedding=vector.astype("<f2").tobytes() if embedded else b"",
        )
        event.served_at.FromMilliseconds(1_790_000_000_000 + number)
        found.append(event)
    return found


@dataclass(frozen=True, slots=True)
class Round:
    """Answers per second of processor time, the share that the detectors passed over, and the age
    in seconds of the newest settled answer at the end."""

    rate: float
    skipped: float
    age_s: float


def record(event: GenerationServed, number: int, at: float) -> Record:
    """Produced ``at`` seconds since 1970."""
    head = headers.stamp(str(number), datetime.fromtimestamp(at, UTC))
    value = event.SerializeToString()
    return Record(GENERATION_SERVED.name, 0, number, b"", value, head, int(1000 * at))


class InMemory:
    """A thousand answers a second of the log, all there from the beginning."""

    def __init__(self, events: Sequence[GenerationServed]) -> None:
        began = 1_790_000_000.0
        self._left = [record(event, n, began + n / 1000) for n, event in enumerate(events)][::-1]

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        return [self._left.pop() for _ in range(min(max_records, self._come()))]

    def _come(self) -> int:
        return len(self._left)

    def commit(self, records: Sequence[Record]) -> None:
        pass

    def assigned(self) -> bool:
        return True

    def close(self) -> None:
        pass


class Crowd(InMemory):
    """Answers that come by the clock, `CROWD_PER_S` of them."""

    def __init__(self, events: Sequence[GenerationServed]) -> None:
        self._all, self._began = len(events), math.ceil(time.time()) + 2.0
        times = [self._began + number / CROWD_PER_S for number in range(self._all)]
        self._left = [record(events[n], n, at) for n, at in enumerate(times)][::-1]

    def _come(self) -> int:
        time.sleep(0.001)
        come = min(self._all, int((time.time() - self._began) * CROWD_PER_S))
        return max(0, come - (self._all - len(self._left)))


def on_kafka(brokers: str) -> Feed:
    """A group of its own for each round, that begins where the round's records do."""

    def source(events: Sequence[GenerationServed]) -> Source:
        settings, group = KafkaSettings(brokers=brokers), uuid4().hex
        _begin_here(brokers, group)
        sink = KafkaSink(settings)
        for event in events:
            sink.send(GENERATION_SERVED, event)
        sink.flush()
        return KafkaSource(settings, group, [GENERATION_SERVED.name])

    return source


def _begin_here(brokers: str, group: str) -> None:
    name = GENERATION_SERVED.name
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": group})
    try:
        numbers = consumer.list_topics(name, 10).topics[name].partitions
        ends = [
            TopicPartition(
                name, number, consumer.get_watermark_offsets(TopicPartition(name, number))[1]
            )
            for number in numbers
        ]
        consumer.commit(offsets=ends, asynchronous=False)
    finally:
        consumer.close()


def loop_over(source: Source, name: str, home: Path, most_per_s: int) -> tuple[ConsumerLoop, Batch]:
    """A consumer of the monitor's, and what it folds."""
    engine = connect(f"sqlite:///{home / 'monitor.db'}")
    METADATA.create_all(engine)
    routing, applied = MemoryTable(ROUTING), MemoryTable(APPLICATION_APPLIED)
    objectives = [
        Objective(name="latency", threshold=2.0, target=0.99, period_s=2_592_000),
        Objective(name="time_to_first_token", threshold=1.0, target=0.99, period_s=2_592_000),
        Objective(name="errors", target=0.99, period_s=2_592_000),
    ]
    declared = Application(
        name=name, drift=DriftPolicy(reference_events=REFERENCE), objectives=objectives
    )
    applied.put(ApplicationApplied(application=declared, revision=1))
    champion = RoutingRoute(release=Release(digest="r1"), role=ROLE_CHAMPION)
    routing.put(RoutingTable(application=name, version=1, routes=[champion]))
    batch = Batch(SqlStates(engine), routing, applied, Gauges(), most_per_s)
    routes = [Route(GENERATION_SERVED, OnGenerationServed(batch, DetectLanguage()))]
    return ConsumerLoop(source, MemoryBroker().sink(), routes, batch.settle), batch


def measure(source: Feed, embedded: bool, most_per_s: int = 10**9, warm: int = WARM) -> Round:
    name = f"bench-{uuid4().hex[:12]}"
    feed = source(answers(name, warm + EVENTS, embedded))
    with tempfile.TemporaryDirectory() as home:
        (loop, batch), settled = loop_over(feed, name, Path(home), most_per_s), 0
        while settled < warm:
            settled += loop.step(max_records=min(500, warm - settled))
        before, began = batch.held[name].pace.skipped, time.process_time()
        while settled < warm + EVENTS:
            settled += loop.step()
        taken = time.process_time() - began
        skipped = batch.held[name].pace.skipped - before
    feed.close()
    age_s = REGISTRY.get_sample_value("perennial_event_age_seconds", TOPIC) or 0.0
    return Round(EVENTS / taken, skipped / EVENTS, age_s)


def told(name: str, rounds: Sequence[Round], goal: str = "") -> list[figures.Result]:
    """The rate, how far behind, and what was skipped, a row each."""
    return [
        figures.alone(name, [each.rate for each in rounds], UNIT, goal),
        figures.alone(f"{name}: event age at the end", [each.age_s for each in rounds], "s", ""),
        figures.alone(f"{name}: passed over", [each.skipped for each in rounds], "share", ""),
    ]


def crowd() -> list[figures.Result]:
    """From the second second of a crowd on: the first one told how many there are."""
    rounds = [measure(Crowd, True, MOST_PER_S, CROWD_PER_S) for _ in range(ROUNDS)]
    return told(
        f"monitor, {CROWD_PER_S} answers a second, with the embedding, by the clock", rounds
    )


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    threadpool_limits(limits=1)
    tracing.configure("monitor")
    sources: dict[str, Feed] = {"from memory": InMemory}
    ours = "kafka" in sys.argv[1:] and not stack.status(HOME)
    if "kafka" in sys.argv[1:]:
        stack.up(HOME, only=("kafka", "topics"))
        sources["from Kafka"] = on_kafka(stack.endpoints(HOME)["kafka"])
    try:
        results: list[figures.Result] = []
        for where, source in sources.items():
            for what, goal in GOALS.items():
                embedded = what == "with the embedding"
                rounds = [measure(source, embedded) for _ in range(ROUNDS)]
                rows = told(f"monitor, {what}, {where}", rounds, goal)
                results += rows if where == "from Kafka" else rows[:1]  # no age without a clock
        results += crowd()
    finally:
        if ours:
            stack.down(HOME)
    figures.write(
        Path(".perennial/bench/monitor.json"),
        results,
        {name: version(name) for name in ("numpy", "confluent-kafka", "protobuf", "sqlalchemy")},
    )
    figures.show(results)


if __name__ == "__main__":
    main()
