"""`make bench-monitor`: answers a second that one monitor process folds, on one core, durably.

Whole path: poll, decode, language, every detector, service levels, one transaction a batch in
SQLite. The first cells read records from memory, the last ones from a Kafka of their own. A
round is a fresh state whose reference is complete; its rate is per second of processor time,
which a machine that others use distorts less than the clock. In a crowd more answers come in a
second of the log than the detectors take: they pass over some and count them.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
import structlog
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
    """Answers per second of processor time, and the share that the detectors passed over."""

    rate: float
    skipped: float


def in_memory(events: Sequence[GenerationServed], per_s: int = 1000) -> Source:
    broker, began = MemoryBroker(), datetime(2026, 9, 1, tzinfo=UTC)
    for number, event in enumerate(events):
        at = began + timedelta(seconds=number / per_s)
        value = event.SerializeToString()
        broker.append(GENERATION_SERVED.name, b"", value, headers.stamp(str(number), at))
    return broker.source("bench", [GENERATION_SERVED.name])


def on_kafka(brokers: str) -> Feed:
    def source(events: Sequence[GenerationServed]) -> Source:
        settings, application = KafkaSettings(brokers=brokers), events[0].application.encode()
        sink = KafkaSink(settings)
        for event in events:
            sink.send(GENERATION_SERVED, event)
        sink.flush()
        return Ours(KafkaSource(settings, uuid4().hex, [GENERATION_SERVED.name]), application)

    return source


class Ours:
    """A source without the records of earlier rounds."""

    def __init__(self, source: KafkaSource, application: bytes) -> None:
        self._source, self._application = source, application
        self.commit, self.assigned, self.close = source.commit, source.assigned, source.close

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        found = self._source.poll(max_records, timeout_s)
        return [record for record in found if record.key == self._application]


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
    return Round(EVENTS / taken, skipped / EVENTS)


def crowd() -> figures.Result:
    """From the second second of a crowd on: the first one told how many there are."""
    feed = partial(in_memory, per_s=CROWD_PER_S)
    rounds = [measure(feed, True, MOST_PER_S, CROWD_PER_S) for _ in range(ROUNDS)]
    passed = statistics.median(each.skipped for each in rounds)
    return figures.alone(
        f"monitor, {CROWD_PER_S} answers a second of the log, from memory",
        [each.rate for each in rounds],
        UNIT,
        "",
        f"{passed:.0%} passed over",
    )


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    threadpool_limits(limits=1)
    tracing.configure()
    sources: dict[str, Feed] = {"from memory": in_memory}
    ours = "kafka" in sys.argv[1:] and not stack.status(HOME)
    if "kafka" in sys.argv[1:]:
        stack.up(HOME, only=("kafka", "topics"))
        sources["from Kafka"] = on_kafka(stack.endpoints(HOME)["kafka"])
    try:
        results = [
            figures.alone(
                f"monitor, {what}, {where}",
                [measure(source, what == "with the embedding").rate for _ in range(ROUNDS)],
                UNIT,
                goal,
            )
            for where, source in sources.items()
            for what, goal in GOALS.items()
        ]
        results.append(crowd())
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
